//! `/api/v1/links`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Issues;
use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use domain::ids::{AffiliateId, LinkId, OfferId};
use domain::program::affiliate::normal_code;
use domain::timestamp::Timestamp;
use domain::tracking::coupon::{Active, COUPONS_MAX, Coupon};
use domain::tracking::link::LinkStatus;
use engine::Error;
use engine::app::App;
use engine::tracking::links::{self, Changes, LinkWithCoupons, NewCoupon, NewLink};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkIn {
    /// An affiliate's key may leave it out.
    affiliate_id: Option<AffiliateId>,
    offer_id: OfferId,
    /// A code that customers type at checkout; conversions may name it instead of a click. Short for one of coupons.
    #[schema(example = "SAVE10", max_length = 64)]
    coupon: Option<String>,
    #[schema(max_items = 50)]
    coupons: Option<Vec<CouponIn>>,
    /// One page of the shop, on a host of the offer's deep_link_hosts.
    #[schema(example = "https://shop.example/product/1", max_length = 2000)]
    deep_url: Option<String>,
    /// The name of one of the offer's landing pages.
    landing_page: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponIn {
    #[schema(example = "SAVE10", max_length = 64)]
    code: String,
    /// It counts for purchases from then on.
    #[serde(default)]
    starts_at: Option<Timestamp>,
    /// It counts for purchases before then.
    #[serde(default)]
    ends_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
pub struct CouponOut {
    code: String,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
}

/// `coupon` is short for a list of one; null for none.
fn coupons(issues: &mut Issues, one: Option<Option<String>>, many: Option<Vec<CouponIn>>) -> Option<Vec<NewCoupon>> {
    let mut read = |path: String, code: &str, active: Active| {
        if active.is_empty() {
            issues.add(&path, "invalid_field", "it ends before it starts; correct starts_at or ends_at");
        }
        NewCoupon { code: issues.text(&path, code, 64), active }
    };
    let coupons: Vec<NewCoupon> = match (one, many) {
        (Some(_), Some(_)) => {
            issues.add("/coupon", "invalid_field", "give either coupon or coupons");
            return None;
        }
        (Some(one), None) => {
            let one = one.filter(|code| !code.trim().is_empty());
            one.iter().map(|code| read("/coupon".into(), code, Active::default())).collect()
        }
        (None, Some(many)) => many
            .iter()
            .enumerate()
            .map(|(index, it)| {
                let active = Active { starts_at: it.starts_at, ends_at: it.ends_at };
                read(format!("/coupons/{index}"), &it.code, active)
            })
            .collect(),
        (None, None) => return None,
    };
    if coupons.len() > COUPONS_MAX {
        issues.add("/coupons", "invalid_field", format!("{COUPONS_MAX} coupons are the most that a link has"));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = coupons.iter().find(|it| !seen.insert(normal_code(&it.code))) {
        issues.add("/coupons", "invalid_field", format!("\"{}\" is there twice; case does not matter", twice.code));
    }
    Some(coupons)
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkChanges {
    /// Null takes it away.
    #[serde(default, deserialize_with = "crate::api::some")]
    #[schema(value_type = Option<String>)]
    coupon: Option<Option<String>>,
    /// All that it has from now on.
    coupons: Option<Vec<CouponIn>>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "crate::api::some")]
    #[schema(value_type = Option<String>)]
    deep_url: Option<Option<String>>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "crate::api::some")]
    #[schema(value_type = Option<String>)]
    landing_page: Option<Option<String>>,
    status: Option<LinkStatus>,
}

#[derive(Serialize, ToSchema)]
pub struct LinkOut {
    id: LinkId,
    affiliate_id: AffiliateId,
    offer_id: OfferId,
    /// What the affiliate publishes. Add sub1 to sub10, click_id (the tracker's own), keyword and page at will, lp for a
    /// landing page by name, and url for any page on the offer's deep_link_hosts.
    url: String,
    /// A pixel that counts an impression.
    impression_url: String,
    /// The first of coupons.
    coupon: Option<String>,
    coupons: Vec<CouponOut>,
    deep_url: Option<String>,
    landing_page: Option<String>,
    status: LinkStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl LinkOut {
    fn of(app: &App, linked: LinkWithCoupons) -> Self {
        let LinkWithCoupons { link: it, coupons } = linked;
        let shown =
            |it: Coupon| CouponOut { code: it.code, starts_at: it.active.starts_at, ends_at: it.active.ends_at };
        Self {
            id: it.id,
            affiliate_id: it.affiliate_id,
            offer_id: it.offer_id,
            url: format!("{}/c/{}", app.public_url, it.id.bare()),
            impression_url: format!("{}/i/{}", app.public_url, it.id.bare()),
            coupon: coupons.first().map(|coupon| coupon.code.clone()),
            coupons: coupons.into_iter().map(shown).collect(),
            deep_url: it.deep_url,
            landing_page: it.landing_page,
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
    let one = body.coupon.filter(|code| !code.trim().is_empty()).map(Some);
    let coupons = coupons(&mut issues, one, body.coupons).unwrap_or_default();
    let deep_url = issues.optional_text("/deep_url", body.deep_url, 2000);
    let landing_page = issues.optional_text("/landing_page", body.landing_page, 100);
    issues.result()?;
    let affiliate_id = body.affiliate_id.or(actor.confined_to());
    let affiliate_id = affiliate_id.ok_or_else(|| Error::invalid("/affiliate_id", "say whose link it is"))?;
    let new = NewLink { affiliate_id, offer_id: body.offer_id, deep_url, landing_page, coupons };
    let link = links::create(&app, actor, new).await?;
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
) -> ApiResult<Audited<LinkOut>> {
    let mut issues = Issues::default();
    let changes = Changes {
        coupons: coupons(&mut issues, body.coupon, body.coupons),
        deep_url: body.deep_url.map(|text| issues.optional_text("/deep_url", text, 2000)),
        landing_page: body.landing_page.map(|name| issues.optional_text("/landing_page", name, 100)),
        status: body.status,
    };
    issues.result()?;
    let changed = links::change(&app, actor, id, changes).await?;
    Ok(Audited(changed.map(|it| LinkOut::of(&app, it))))
}
