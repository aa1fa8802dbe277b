//! `/api/v1/links`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::link::{Link, LinkStatus};
use crate::ids::{AffiliateId, LinkId, OfferId};
use crate::services::Error;
use crate::services::links::{self, Changes};
use crate::web::auth::Caller;
use crate::web::errors::{ApiResult, Problem};
use crate::web::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};

use super::Issues;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkIn {
    /// An affiliate's key may leave it out.
    affiliate_id: Option<AffiliateId>,
    offer_id: OfferId,
    /// A code that customers type at checkout; conversions may name it instead of a click.
    #[schema(example = "SAVE10", max_length = 64)]
    coupon: Option<String>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkChanges {
    /// Null takes it away.
    #[serde(default, deserialize_with = "super::some")]
    #[schema(value_type = Option<String>)]
    coupon: Option<Option<String>>,
    status: Option<LinkStatus>,
}

#[derive(Serialize, ToSchema)]
pub struct LinkOut {
    id: LinkId,
    affiliate_id: AffiliateId,
    offer_id: OfferId,
    /// What the affiliate publishes. Add sub1 to sub10, click_id (the tracker's own), keyword and page at will.
    url: String,
    /// A pixel that counts an impression.
    impression_url: String,
    coupon: Option<String>,
    status: LinkStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl LinkOut {
    fn of(app: &App, it: Link) -> Self {
        Self {
            id: it.id,
            affiliate_id: it.affiliate_id,
            offer_id: it.offer_id,
            url: format!("{}/c/{}", app.public_url, it.id.bare()),
            impression_url: format!("{}/i/{}", app.public_url, it.id.bare()),
            coupon: it.coupon,
            status: it.status,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LinkFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
    offer_id: Option<OfferId>,
}

/// Create a link: an affiliate takes up an offer.
#[utoipa::path(post, path = "/api/v1/links", tag = "links", request_body = LinkIn,
    security(("api_key" = ["manage_links"])),
    responses((status = 201, body = LinkOut), (status = "default", body = Problem)))]
pub async fn create_link(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<LinkIn>,
) -> ApiResult<(StatusCode, Json<LinkOut>)> {
    let mut issues = Issues::default();
    let coupon = issues.optional_text("/coupon", body.coupon, 64);
    issues.result()?;
    let affiliate_id = body.affiliate_id.or(actor.confined_to());
    let affiliate_id = affiliate_id.ok_or_else(|| Error::invalid("/affiliate_id", "say whose link it is"))?;
    let link = links::create(&app, actor, affiliate_id, body.offer_id, coupon).await?;
    Ok((StatusCode::CREATED, Json(LinkOut::of(&app, link))))
}

/// List links, newest first.
#[utoipa::path(get, path = "/api/v1/links", tag = "links", params(LinkFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<LinkOut>), (status = "default", body = Problem)))]
pub async fn list_links(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(filter): ApiQuery<LinkFilter>,
) -> ApiResult<Json<PageOut<LinkOut>>> {
    let page = PageIn { limit: filter.limit, cursor: filter.cursor }.request()?;
    let page = links::list(&app, actor, filter.affiliate_id, filter.offer_id, page).await?;
    Ok(Json(PageOut::of(page, |it| LinkOut::of(&app, it))))
}

/// Read a link.
#[utoipa::path(get, path = "/api/v1/links/{id}", tag = "links", params(("id" = LinkId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = LinkOut), (status = "default", body = Problem)))]
pub async fn get_link(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
) -> ApiResult<Json<LinkOut>> {
    let link = links::get(&app, actor, id).await?;
    Ok(Json(LinkOut::of(&app, link)))
}

/// Change a link. A paused one leads nowhere.
#[utoipa::path(patch, path = "/api/v1/links/{id}", tag = "links", params(("id" = LinkId, Path)),
    request_body = LinkChanges,
    security(("api_key" = ["manage_links"])),
    responses((status = 200, body = LinkOut), (status = "default", body = Problem)))]
pub async fn change_link(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
    ApiJson(body): ApiJson<LinkChanges>,
) -> ApiResult<Json<LinkOut>> {
    let mut issues = Issues::default();
    let coupon = body.coupon.map(|coupon| issues.optional_text("/coupon", coupon, 64));
    issues.result()?;
    let link = links::change(&app, actor, id, Changes { coupon, status: body.status }).await?;
    Ok(Json(LinkOut::of(&app, link)))
}
