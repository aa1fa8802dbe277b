//! `/api/v1/users`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{Issues, email};
use crate::audit::Audited;
use crate::auth::Caller;
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters;
use domain::ids::{AffiliateId, UserId};
use domain::people::permission::Role;
use domain::people::user::{User, UserStatus};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::people::users::{self, NewUser, UserData};

/// A user to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserIn {
    /// The invitation is sent to this address. It must not belong to another user.
    #[schema(example = "grace@example.com", min_length = 1, max_length = 254)]
    email: String,
    #[schema(example = "Grace Hopper", min_length = 1, max_length = 200)]
    name: String,
    role: Role,
    /// Required for the role `affiliate`, not allowed for other roles.
    affiliate_id: Option<AffiliateId>,
}

/// What can be changed about a user.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChangesIn {
    /// 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The new address must not belong to another user. It is valid immediately, the user's sessions and links end, and
    /// the former address gets a message; a person who has not accepted the invitation gets it again. For your own
    /// address, use the operation `change_email`.
    #[schema(example = "grace@example.com", max_length = 254)]
    email: String,
    /// A role of staff cannot become `affiliate`, and the reverse.
    role: Role,
    /// `active` or `disabled`. Approve a registration with the operation `approve_user`.
    status: UserStatus,
}

impl UserChangesIn {
    fn data(self) -> Result<UserData, Error> {
        let mut issues = Issues::default();
        let (name, email) = (issues.text("/name", &self.name, 200), email(&mut issues, &self.email));
        issues.result()?;
        Ok(UserData { name, email, role: self.role, status: self.status })
    }

    fn of(user: &User) -> Self {
        Self { name: user.name.clone(), email: user.email.clone(), role: user.role, status: user.status }
    }
}

/// A person who can sign in.
#[derive(Serialize, ToSchema)]
pub struct UserOut {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    /// The affiliate of the person; null for staff, and for registrations that wait for approval.
    affiliate_id: Option<AffiliateId>,
    status: UserStatus,
    /// Whether the person has set up a second factor.
    second_factor: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// An invited user, with the link that no other response contains.
#[derive(Serialize, ToSchema)]
pub struct InvitedUserOut {
    #[serde(flatten)]
    about: UserOut,
    /// The link for choosing a password, valid for seven days and one use; it was sent by e-mail too. Null in the
    /// repeated response to the same Idempotency-Key, and if the user has permissions that the caller does not have.
    invitation_url: Option<String>,
}

impl From<User> for UserOut {
    fn from(user: User) -> Self {
        Self {
            second_factor: user.has_second_factor(),
            id: user.id,
            email: user.email,
            name: user.name,
            role: user.role,
            affiliate_id: user.affiliate_id,
            status: user.status,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UserFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// `waiting` lists the registrations that wait for approval.
    status: Option<UserStatus>,
    /// Only users whose name, e-mail address or id begins with this text.
    search: Option<String>,
}

/// Invite a user: a link for choosing a password is sent to the address. The role must have no permission that you do
/// not have. Without the permissions of the role `affiliate`, you can invite people of an affiliate only at the
/// affiliate's own e-mail address.
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
    let new = NewUser { email, name, role: body.role, affiliate_id: body.affiliate_id };
    let (user, link) = users::invite(&app, actor, new).await?;
    Ok((StatusCode::CREATED, Json(InvitedUserOut { about: user.into(), invitation_url: link })))
}

/// Invite a user again, with a new link: earlier links of the invitation stop working. The same rules apply as to
/// `invite_user`. A person who has accepted the invitation cannot be invited again (409).
#[utoipa::path(post, path = "/api/v1/users/{id}/invite", tag = "users", params(("id" = UserId, Path)),
    security(("api_key" = ["manage_users"])),
    responses((status = 200, body = InvitedUserOut), (status = "default", body = Problem)))]
pub async fn invite_user_again(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<UserId>,
) -> ApiResult<Json<InvitedUserOut>> {
    let (user, link) = users::invite_again(&app, actor, id).await?;
    Ok(Json(InvitedUserOut { about: user.into(), invitation_url: link }))
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
    let search = filters::search(filter.search.as_deref())?;
    Ok(Json(PageOut::of(users::list(&app, filter.status, search, page).await?, UserOut::from)))
}

/// Read a user.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", params(("id" = UserId, Path)),
    security(("api_key" = ["manage_users"])),
    responses((status = 200, body = UserOut), (status = "default", body = Problem)))]
pub async fn get_user(State(app): State<App>, PathId(id): PathId<UserId>) -> ApiResult<Json<UserOut>> {
    Ok(Json(users::get(&app, id).await?.into()))
}

/// Change the name, e-mail address, role or status of a user.
///
/// The body is a merge patch (RFC 7396). You need all permissions of the user's former and new role; the address of an
/// affiliate's people can be changed by callers who may invite them at the new address. Disabling a user ends the
/// user's sessions, and the user's API keys stop working. The last active owner cannot be disabled or get another role.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", params(("id" = UserId, Path)),
    request_body = UserChangesIn,
    security(("api_key" = ["manage_users"])),
    responses((status = 200, body = UserOut), (status = "default", body = Problem)))]
pub async fn change_user(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<UserId>,
    patch: Patch,
) -> ApiResult<Audited<UserOut>> {
    let changed = users::change(&app, actor, id, |it| patch.apply(&UserChangesIn::of(it))?.data()).await?;
    Ok(Audited(changed.map(Into::into)))
}

/// Approve a registration: an affiliate is created for the user, who becomes active. Has no effect on users with
/// another status.
#[utoipa::path(post, path = "/api/v1/users/{id}/approve", tag = "users", params(("id" = UserId, Path)),
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = UserOut), (status = "default", body = Problem)))]
pub async fn approve_user(State(app): State<App>, PathId(id): PathId<UserId>) -> ApiResult<Audited<UserOut>> {
    Ok(Audited(users::approve(&app, id).await?.map(Into::into)))
}
