//! `/api/v1/users`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{Issues, email};
use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use domain::ids::{AffiliateId, UserId};
use domain::people::permission::Role;
use domain::people::user::{User, UserStatus};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::users::{self, Changes, NewUser};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserIn {
    #[schema(example = "grace@example.com", max_length = 254)]
    email: String,
    #[schema(example = "Grace Hopper", max_length = 200)]
    name: String,
    role: Role,
    /// For the role affiliate.
    affiliate_id: Option<AffiliateId>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChanges {
    name: Option<String>,
    role: Option<Role>,
    /// `active` or `disabled`.
    status: Option<UserStatus>,
}

#[derive(Serialize, ToSchema)]
pub struct UserOut {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    affiliate_id: Option<AffiliateId>,
    status: UserStatus,
    second_factor: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// An invited user: the only answer that holds the link.
#[derive(Serialize, ToSchema)]
pub struct InvitedUserOut {
    #[serde(flatten)]
    about: UserOut,
    /// Where to choose a password, once, within seven days. It was sent by mail too. Null in a repeated answer to
    /// the same Idempotency-Key, and where it opens more than the caller may do.
    invitation_url: Option<String>,
}

impl From<User> for UserOut {
    fn from(it: User) -> Self {
        Self {
            second_factor: it.has_second_factor(),
            id: it.id,
            email: it.email,
            name: it.name,
            role: it.role,
            affiliate_id: it.affiliate_id,
            status: it.status,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UserFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    /// `waiting` shows the registrations to approve.
    status: Option<UserStatus>,
}

/// Invite a user who may do no more than you. Without the permissions of an affiliate you can invite one at the
/// affiliate's own address only.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = UserIn,
    security(("api_key" = ["manage_users"])),
    responses((status = 201, body = InvitedUserOut), (status = "default", body = Problem)))]
pub async fn invite_user(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<UserIn>,
) -> ApiResult<(StatusCode, Json<InvitedUserOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    let email = email(&mut issues, &body.email);
    issues.result()?;
    let wanted = NewUser { email, name, role: body.role, affiliate_id: body.affiliate_id };
    let (user, link) = users::invite(&app, actor, wanted).await?;
    Ok((StatusCode::CREATED, Json(InvitedUserOut { about: user.into(), invitation_url: link })))
}

/// List users, newest first.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(UserFilter),
    security(("api_key" = ["manage_users"])),
    responses((status = 200, body = PageOut<UserOut>), (status = "default", body = Problem)))]
pub async fn list_users(
    State(app): State<App>,
    ApiQuery(filter): ApiQuery<UserFilter>,
) -> ApiResult<Json<PageOut<UserOut>>> {
    let page = PageIn { limit: filter.limit, cursor: filter.cursor }.request()?;
    Ok(Json(PageOut::of(users::list(&app, filter.status, page).await?, UserOut::from)))
}

/// Read a user.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", params(("id" = UserId, Path)),
    security(("api_key" = ["manage_users"])),
    responses((status = 200, body = UserOut), (status = "default", body = Problem)))]
pub async fn get_user(State(app): State<App>, PathId(id): PathId<UserId>) -> ApiResult<Json<UserOut>> {
    Ok(Json(users::get(&app, id).await?.into()))
}

/// Change the name, role or status of a user who may do no more than you. Disabling ends its sessions and stops its keys.
/// One owner always stays.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", params(("id" = UserId, Path)),
    request_body = UserChanges,
    security(("api_key" = ["manage_users"])),
    responses((status = 200, body = UserOut), (status = "default", body = Problem)))]
pub async fn change_user(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<UserId>,
    ApiJson(body): ApiJson<UserChanges>,
) -> ApiResult<Audited<UserOut>> {
    let mut issues = Issues::default();
    let name = body.name.map(|name| issues.text("/name", &name, 200));
    issues.result()?;
    let changes = Changes { name, role: body.role, status: body.status };
    Ok(Audited(users::change(&app, actor, id, changes).await?.map(Into::into)))
}

/// Approve a registration: its affiliate is made.
#[utoipa::path(post, path = "/api/v1/users/{id}/approve", tag = "users", params(("id" = UserId, Path)),
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = UserOut), (status = "default", body = Problem)))]
pub async fn approve_user(State(app): State<App>, PathId(id): PathId<UserId>) -> ApiResult<Audited<UserOut>> {
    Ok(Audited(users::approve(&app, id).await?.map(Into::into)))
}
