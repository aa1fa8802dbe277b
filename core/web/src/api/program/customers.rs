//! `/api/v1/customers`: customers of the operator as affiliates, and their login links.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{Issues, email};
use crate::audit::{Audited, AuditedChanges};
use crate::auth::Caller;
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters;
use domain::ids::{AffiliateId, CustomerId, LinkId};
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::people::grant::SessionAccess;
use domain::program::affiliate::Affiliate;
use domain::program::customer::Customer;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::program::affiliates;
use engine::program::customers::{self, CustomerData, Done, LoginLink};

/// A person in your own system who becomes an affiliate.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerIn {
    /// The id of the customer in your system. It cannot be changed.
    #[schema(example = "user-4711", min_length = 1, max_length = 200)]
    external_id: String,
    /// The name of the customer and its affiliate.
    #[schema(example = "Ada Lovelace", min_length = 1, max_length = 200)]
    name: String,
    /// The e-mail address of the customer and its affiliate.
    #[schema(example = "ada@example.com", min_length = 1, max_length = 254)]
    email: String,
}

impl CustomerIn {
    fn data(self) -> Result<CustomerData, Error> {
        let mut issues = Issues::default();
        let data = CustomerData {
            external_id: issues.text("/external_id", &self.external_id, 200),
            name: issues.text("/name", &self.name, 200),
            email: email(&mut issues, &self.email),
        };
        issues.result().map(|()| data)
    }

    fn of(customer: &Customer) -> Self {
        Self { external_id: customer.external_id.clone(), name: customer.name.clone(), email: customer.email.clone() }
    }
}

/// A person in your own system who is an affiliate.
#[derive(Serialize, ToSchema)]
pub struct CustomerOut {
    id: CustomerId,
    /// The id of the customer in your system.
    external_id: String,
    /// The name of the customer.
    name: String,
    /// The e-mail address of the customer.
    email: String,
    /// The affiliate that the customer is.
    affiliate_id: AffiliateId,
    /// The referral code of the affiliate.
    #[schema(example = "AF12345")]
    referral_code: String,
    /// A URL with the referral code, which leads to the default offer.
    referral_url: String,
    /// The affiliate's link to the default offer; null if there is no default offer.
    link_id: Option<LinkId>,
    /// The URL of that link; null if there is no default offer.
    link_url: Option<String>,
    /// When the customer was created.
    created_at: Timestamp,
    /// When the customer last changed.
    updated_at: Timestamp,
}

/// A customer, and the effect of the request.
#[derive(Serialize, ToSchema)]
pub struct CustomerResultOut {
    #[serde(flatten)]
    about: CustomerOut,
    /// Whether the customer was created, updated, or is unchanged.
    result: Done,
}

/// A login link for a customer.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginLinkIn {
    /// The path on this server to which the link leads, at most 2,000 characters; "/" if absent.
    #[schema(example = "/")]
    next: Option<String>,
}

/// A login link, with which a customer is signed in without a password.
#[derive(Serialize, ToSchema)]
pub struct LoginLinkOut {
    /// The login link, which can be used once: redirect your customer to it. Null if the request is repeated with the
    /// same Idempotency-Key.
    login_url: Option<String>,
    /// The access of the session: `full` if a key of the program created the link, `read_only` if a person did.
    access: SessionAccess,
    /// When the unused link expires, five minutes after its creation.
    expires_at: Timestamp,
}

impl From<LoginLink> for LoginLinkOut {
    fn from(link: LoginLink) -> Self {
        Self { login_url: Some(link.url), access: link.access, expires_at: link.expires_at }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CustomerFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only the customer with this id in your system.
    external_id: Option<String>,
    /// Only customers whose id in the operator's system, name or e-mail address begins with this text.
    search: Option<String>,
}

impl CustomerOut {
    async fn of(app: &App, actor: Actor, customer: Customer) -> ApiResult<Self> {
        let affiliate = affiliates::get(app, actor, customer.affiliate_id).await?;
        Ok(Self::with(app, &affiliate, customer))
    }

    async fn changed(app: &App, actor: Actor, changed: Changed<Customer>) -> ApiResult<Audited<Self>> {
        let affiliate = affiliates::get(app, actor, changed.now.affiliate_id).await?;
        Ok(Audited(changed.map(|customer| Self::with(app, &affiliate, customer))))
    }

    fn with(app: &App, affiliate: &Affiliate, customer: Customer) -> Self {
        Self {
            id: customer.id,
            external_id: customer.external_id,
            name: customer.name,
            email: customer.email,
            affiliate_id: customer.affiliate_id,
            referral_url: format!("{}/r/{}", app.public_url, affiliate.referral_code),
            referral_code: affiliate.referral_code.clone(),
            link_id: customer.link_id,
            link_url: customer.link_id.map(|id| format!("{}/c/{}", app.public_url, id.bare())),
            created_at: customer.created_at,
            updated_at: customer.updated_at,
        }
    }
}

/// Create a customer as an affiliate, with a referral code and a link to the default offer.
///
/// A repeated call with the same external id updates name and e-mail address, and adds the link if it is missing.
#[utoipa::path(post, path = "/api/v1/customers", tag = "customers", request_body = CustomerIn,
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 201, description = "The customer was created.", body = CustomerResultOut),
        (status = 200, description = "The customer was known; `result` says whether it was updated.", body = CustomerResultOut),
        (status = "default", body = Problem)))]
pub async fn create_customer(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<CustomerIn>,
) -> ApiResult<(StatusCode, Extension<AuditedChanges>, Json<CustomerResultOut>)> {
    let (customer, result) = customers::create(&app, body.data()?).await?;
    let status = if result == Done::Created { StatusCode::CREATED } else { StatusCode::OK };
    let Audited(changed) = CustomerOut::changed(&app, actor, customer).await?;
    let audited = if result == Done::Created { Vec::new() } else { changed.fields() };
    Ok((status, AuditedChanges::many(audited), Json(CustomerResultOut { about: changed.now, result })))
}

/// List customers, newest first.
#[utoipa::path(get, path = "/api/v1/customers", tag = "customers", params(CustomerFilter),
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = PageOut<CustomerOut>), (status = "default", body = Problem)))]
pub async fn list_customers(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(filter): ApiQuery<CustomerFilter>,
) -> ApiResult<Json<PageOut<CustomerOut>>> {
    let page = PageIn { limit: filter.limit, cursor: filter.cursor }.request()?;
    let search = filters::search(filter.search.as_deref())?;
    let page = customers::list(&app, filter.external_id.as_deref(), search, page).await?;
    let mut items = Vec::new();
    for customer in page.items {
        items.push(CustomerOut::of(&app, actor, customer).await?);
    }
    Ok(Json(PageOut { items, next: page.next.map(domain::ids::encode) }))
}

/// Read a customer.
#[utoipa::path(get, path = "/api/v1/customers/{id}", tag = "customers", params(("id" = CustomerId, Path)),
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = CustomerOut), (status = "default", body = Problem)))]
pub async fn get_customer(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<CustomerId>,
) -> ApiResult<Json<CustomerOut>> {
    let customer = customers::get(&app, id).await?;
    Ok(Json(CustomerOut::of(&app, actor, customer).await?))
}

/// Change the name or e-mail address of a customer and of its affiliate.
///
/// The body is a merge patch (RFC 7396).
#[utoipa::path(patch, path = "/api/v1/customers/{id}", tag = "customers", params(("id" = CustomerId, Path)),
    request_body = CustomerIn,
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = CustomerOut), (status = "default", body = Problem)))]
pub async fn change_customer(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<CustomerId>,
    patch: Patch,
) -> ApiResult<Audited<CustomerOut>> {
    let changed = customers::change(&app, id, |it| patch.apply(&CustomerIn::of(it))?.data()).await?;
    CustomerOut::changed(&app, actor, changed).await
}

/// Create a login link for a customer.
///
/// The link can be used once, within five minutes. The link of a key of the program signs the customer in; the link of
/// a person opens a read-only session.
#[utoipa::path(post, path = "/api/v1/customers/{id}/login-link", tag = "customers",
    params(("id" = CustomerId, Path)), request_body = LoginLinkIn,
    security(("api_key" = ["open_sessions"])),
    responses((status = 201, body = LoginLinkOut), (status = "default", body = Problem)))]
pub async fn create_customer_login_link(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<CustomerId>,
    ApiJson(body): ApiJson<LoginLinkIn>,
) -> ApiResult<(StatusCode, Json<LoginLinkOut>)> {
    let customer = customers::get(&app, id).await?;
    let link = customers::login_link(&app, actor, customer.affiliate_id, body.next).await?;
    Ok((StatusCode::CREATED, Json(link.into())))
}

/// Create a login link for an affiliate.
///
/// The link can be used once, within five minutes. The link of a key of the program signs the affiliate in; the link of
/// a person opens a read-only session.
#[utoipa::path(post, path = "/api/v1/affiliates/{id}/login-link", tag = "customers",
    params(("id" = AffiliateId, Path)), request_body = LoginLinkIn,
    security(("api_key" = ["open_sessions"])),
    responses((status = 201, body = LoginLinkOut), (status = "default", body = Problem)))]
pub async fn create_affiliate_login_link(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<AffiliateId>,
    ApiJson(body): ApiJson<LoginLinkIn>,
) -> ApiResult<(StatusCode, Json<LoginLinkOut>)> {
    let link = customers::login_link(&app, actor, id, body.next).await?;
    Ok((StatusCode::CREATED, Json(link.into())))
}
