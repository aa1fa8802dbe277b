//! `/api/v1/links`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Issues;
use crate::audit::Audited;
use crate::auth::Caller;
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters;
use domain::archive::ArchivedFilter;
use domain::ids::{AffiliateId, LinkId, OfferId};
use domain::people::actor::Actor;
use domain::program::affiliate::normal_code;
use domain::timestamp::Timestamp;
use domain::tracking::coupon::{Active, COUPONS_MAX, Coupon};
use domain::tracking::link::LinkStatus;
use engine::Error;
use engine::app::App;
use engine::tracking::links::{self, LinkData, LinkWithCoupons, NewCoupon};

/// A link with which an affiliate promotes an offer.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkIn {
    /// The affiliate that promotes the offer. Required for staff; optional for callers of an affiliate. It cannot be
    /// changed.
    affiliate_id: Option<AffiliateId>,
    /// The offer that the affiliate promotes. It cannot be changed.
    offer_id: OfferId,
    /// Short for `coupons` with one coupon that has no dates. In a change it replaces all coupons; null removes them.
    #[schema(example = "SAVE10", max_length = 64)]
    coupon: Option<String>,
    /// Coupons of the link: codes that customers type at checkout, and by which conversions are attributed. They
    /// require the permission `manage_affiliates`.
    #[schema(max_items = 50)]
    coupons: Option<Vec<CouponIn>>,
    /// The page to which the link leads, on one of the offer's `deep_link_hosts`. It can contain the macros of landing
    /// pages. If absent, it leads to a landing page.
    #[schema(example = "https://shop.example/product/1", max_length = 2000)]
    deep_url: Option<String>,
    /// The name of the offer's landing page to which the link leads. If absent, the offer's weights decide.
    #[schema(max_length = 100)]
    landing_page: Option<String>,
    /// `active` if absent. Visitors of a paused link get a "not found" page.
    #[serde(default)]
    status: LinkStatus,
}

impl LinkIn {
    fn data(self, actor: Actor) -> Result<LinkData, Error> {
        let mut issues = Issues::default();
        let coupons = coupons(&mut issues, self.coupon, self.coupons);
        let deep_url = issues.optional_text("/deep_url", self.deep_url, 2000);
        let landing_page = issues.optional_text("/landing_page", self.landing_page, 100);
        issues.result()?;
        let affiliate_id = self.affiliate_id.or(actor.confined_to());
        let affiliate_id = affiliate_id.ok_or_else(|| Error::invalid("/affiliate_id", "is missing"))?;
        Ok(LinkData { affiliate_id, offer_id: self.offer_id, deep_url, landing_page, coupons, status: self.status })
    }

    fn patched(linked: &LinkWithCoupons, patch: &Patch) -> Result<Self, Error> {
        let LinkWithCoupons { link, coupons } = linked;
        // The short form replaces the coupons, and null removes them.
        let coupons = if patch.get("coupon").is_some() { &[] } else { &coupons[..] };
        let coupon = |it: &Coupon| CouponIn {
            code: it.code.clone(),
            starts_at: it.active.starts_at,
            ends_at: it.active.ends_at,
        };
        let present = Self {
            affiliate_id: Some(link.affiliate_id),
            offer_id: link.offer_id,
            coupon: None,
            coupons: Some(coupons.iter().map(coupon).collect()),
            deep_url: link.deep_url.clone(),
            landing_page: link.landing_page.clone(),
            status: link.status,
        };
        patch.apply(&present)
    }
}

/// A coupon of a link.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponIn {
    /// The code, in any case. A coupon belongs to only one link.
    #[schema(example = "SAVE10", min_length = 1, max_length = 64)]
    code: String,
    /// The coupon is valid for purchases from this time; without a start if absent or null.
    #[serde(default)]
    starts_at: Option<Timestamp>,
    /// The coupon is valid for purchases before this time; without an end if absent or null.
    #[serde(default)]
    ends_at: Option<Timestamp>,
}

/// A coupon of a link.
#[derive(Serialize, ToSchema)]
pub struct CouponOut {
    /// The code, in upper case.
    code: String,
    /// The coupon is valid for purchases from this time; null for no start.
    starts_at: Option<Timestamp>,
    /// The coupon is valid for purchases before this time; null for no end.
    ends_at: Option<Timestamp>,
}

/// The coupons of a body: `many`, or the single coupon `one`.
fn coupons(issues: &mut Issues, one: Option<String>, many: Option<Vec<CouponIn>>) -> Vec<NewCoupon> {
    let mut read = |path: String, code: &str, active: Active| {
        if active.is_empty() {
            issues.add(&path, "invalid_field", "the coupon ends before it starts; correct starts_at or ends_at");
        }
        NewCoupon { code: issues.text(&path, code, 64), active }
    };
    let (one, many) = (one.filter(|code| !code.trim().is_empty()), many.unwrap_or_default());
    if one.is_some() && !many.is_empty() {
        issues.add("/coupon", "invalid_field", "send either coupon or coupons");
        return Vec::new();
    }
    let of_one = one.iter().map(|code| read("/coupon".into(), code, Active::default()));
    let mut coupons: Vec<NewCoupon> = of_one.collect();
    coupons.extend(many.iter().enumerate().map(|(index, coupon)| {
        let active = Active { starts_at: coupon.starts_at, ends_at: coupon.ends_at };
        read(format!("/coupons/{index}"), &coupon.code, active)
    }));
    if coupons.len() > COUPONS_MAX {
        let message = format!("has {} coupons; a link can have at most {COUPONS_MAX}", coupons.len());
        issues.add("/coupons", "invalid_field", message);
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(repeated) = coupons.iter().find(|it| !seen.insert(normal_code(&it.code))) {
        let message = format!("\"{}\" is repeated; codes that differ only in case are the same", repeated.code);
        issues.add("/coupons", "invalid_field", message);
    }
    coupons
}

/// A link with which an affiliate promotes an offer.
#[derive(Serialize, ToSchema)]
pub struct LinkOut {
    id: LinkId,
    affiliate_id: AffiliateId,
    offer_id: OfferId,
    /// The URL that the affiliate publishes. Optional parameters: sub1 to sub10; click_id, the tracker's own id of the
    /// click; keyword and page, for reports; lp, the name of a landing page; url, a page on the offer's
    /// `deep_link_hosts`. Other parameters are passed on to the landing page.
    url: String,
    /// The URL of a transparent pixel; loading it counts an impression.
    impression_url: String,
    /// The code of the first coupon; null if there is none.
    coupon: Option<String>,
    /// All coupons of the link.
    coupons: Vec<CouponOut>,
    /// The page to which the link leads; null if it leads to a landing page.
    deep_url: Option<String>,
    /// The name of the landing page to which the link leads; null if the offer's weights decide.
    landing_page: Option<String>,
    status: LinkStatus,
    /// When the link was created.
    created_at: Timestamp,
    /// When the link last changed.
    updated_at: Timestamp,
    /// When the link was archived; null while it is in use.
    archived_at: Option<Timestamp>,
}

impl LinkOut {
    fn of(app: &App, linked: LinkWithCoupons) -> Self {
        let LinkWithCoupons { link, coupons } = linked;
        let coupon_out = |coupon: Coupon| CouponOut {
            code: coupon.code,
            starts_at: coupon.active.starts_at,
            ends_at: coupon.active.ends_at,
        };
        Self {
            id: link.id,
            affiliate_id: link.affiliate_id,
            offer_id: link.offer_id,
            url: format!("{}/c/{}", app.public_url, link.id.bare()),
            impression_url: format!("{}/i/{}", app.public_url, link.id.bare()),
            coupon: coupons.first().map(|coupon| coupon.code.clone()),
            coupons: coupons.into_iter().map(coupon_out).collect(),
            deep_url: link.deep_url,
            landing_page: link.landing_page,
            status: link.status,
            created_at: link.created_at,
            updated_at: link.updated_at,
            archived_at: link.archived_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LinkFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only links of this affiliate.
    affiliate_id: Option<AffiliateId>,
    /// Only links for this offer.
    offer_id: Option<OfferId>,
    /// Only links whose coupon, deep link, published URL or id begins with this text.
    search: Option<String>,
    /// Which links the list has: `false` (the default) those in use, `true` archived ones, `any` both.
    #[param(inline)]
    archived: Option<ArchivedFilter>,
}

/// Create a link, with which an affiliate promotes an offer.
#[utoipa::path(post, path = "/api/v1/links", tag = "links", request_body = LinkIn,
    security(("api_key" = ["manage_links"])),
    responses((status = 201, body = LinkOut), (status = "default", body = Problem)))]
pub async fn create_link(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<LinkIn>,
) -> ApiResult<(StatusCode, Json<LinkOut>)> {
    let link = links::create(&app, actor, body.data(actor)?).await?;
    Ok((StatusCode::CREATED, Json(LinkOut::of(&app, link))))
}

/// List links, newest first. Affiliates see their own.
#[utoipa::path(get, path = "/api/v1/links", tag = "links", params(LinkFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<LinkOut>), (status = "default", body = Problem)))]
pub async fn list_links(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(filter): ApiQuery<LinkFilter>,
) -> ApiResult<Json<PageOut<LinkOut>>> {
    let page = PageIn { limit: filter.limit, cursor: filter.cursor }.request()?;
    let search = filters::search(filter.search.as_deref())?;
    let filter = storage::tracking::links::Filter {
        affiliate_id: filter.affiliate_id,
        offer_id: filter.offer_id,
        search,
        archived: filter.archived.unwrap_or_default(),
    };
    let page = links::list(&app, actor, filter, page).await?;
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

/// Change a link.
///
/// The body is a merge patch (RFC 7396). Visitors of a paused link get a "not found" page.
#[utoipa::path(patch, path = "/api/v1/links/{id}", tag = "links", params(("id" = LinkId, Path)),
    request_body = LinkIn,
    security(("api_key" = ["manage_links"])),
    responses((status = 200, body = LinkOut), (status = "default", body = Problem)))]
pub async fn change_link(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
    patch: Patch,
) -> ApiResult<Audited<LinkOut>> {
    let changed = links::change(&app, actor, id, |it| LinkIn::patched(it, &patch)?.data(actor)).await?;
    Ok(Audited(changed.map(|it| LinkOut::of(&app, it))))
}

/// Archive a link.
///
/// It stays for statistics and the conversions of its earlier clicks, and is not in lists by default. Its visitors get a
/// "not found" page, and it does not count for the quota of links. Its coupons remain its own; to use a code for another
/// link, remove it first. Archiving it again has no effect.
#[utoipa::path(post, path = "/api/v1/links/{id}/archive", tag = "links", params(("id" = LinkId, Path)),
    security(("api_key" = ["manage_links"])),
    responses((status = 200, body = LinkOut), (status = "default", body = Problem)))]
pub async fn archive_link(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
) -> ApiResult<Audited<LinkOut>> {
    Ok(Audited(links::archive(&app, actor, id).await?.map(|it| LinkOut::of(&app, it))))
}

/// Restore an archived link.
///
/// Its visitors are redirected again, unless it is paused. Restoring a link that is in use has no effect.
#[utoipa::path(post, path = "/api/v1/links/{id}/restore", tag = "links", params(("id" = LinkId, Path)),
    security(("api_key" = ["manage_links"])),
    responses((status = 200, body = LinkOut), (status = "default", body = Problem)))]
pub async fn restore_link(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<LinkId>,
) -> ApiResult<Audited<LinkOut>> {
    Ok(Audited(links::restore(&app, actor, id).await?.map(|it| LinkOut::of(&app, it))))
}
