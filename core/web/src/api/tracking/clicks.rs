//! `/api/v1/clicks`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut, PathId};
use crate::filters::{Period, PeriodIn};
use domain::ids::{AffiliateId, ClickId, LinkId, OfferId};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::{Click, stored_text};
use engine::app::App;
use engine::tracking::clicks;

/// A click or an impression.
#[derive(Serialize, ToSchema)]
pub struct ClickOut {
    id: ClickId,
    /// click or impression
    action: Action,
    /// When it happened.
    occurred_at: Timestamp,
    /// The link; null if the visitor used a referral code.
    link_id: Option<LinkId>,
    /// The affiliate of the link or referral code.
    affiliate_id: AffiliateId,
    /// The offer to which the link or referral code led.
    offer_id: OfferId,
    /// The tracker's own id of the click, from the parameter `click_id` of the link; null if the link has none.
    external_click_id: Option<String>,
    /// The sub ids of the link, `sub1` to `sub10`, and their values.
    sub_ids: BTreeMap<String, String>,
    /// All other parameters of the link, with their values.
    parameters: BTreeMap<String, String>,
    /// The URL of the landing page to which the visitor was redirected.
    landing_url: String,
    /// The page from which the visitor came, at most 512 characters; null if the browser did not send it.
    referrer: Option<String>,
    /// The visitor's IP address; null if it is not known.
    ip: Option<String>,
    /// The visitor's user agent, at most 512 characters; null if the browser did not send it.
    user_agent: Option<String>,
    /// The country of the IP address, ISO 3166-1 with two letters; null if it is not known, or if the server has no
    /// database of countries.
    #[schema(example = "DE")]
    country: Option<String>,
    /// desktop, mobile, tablet or appliance (a television or console), by the user agent; null if it is not known.
    #[schema(example = "mobile")]
    device: Option<String>,
    /// The name of the browser, by the user agent; null if it is not known.
    browser: Option<String>,
    /// The name of the operating system, by the user agent; null if it is not known.
    os: Option<String>,
    /// Whether the visitor is probably a bot.
    likely_bot: bool,
    /// Whether it is the first of this visitor on this link on this day (UTC). Visitors are recognized by IP address
    /// and user agent.
    unique: bool,
}

impl From<Click> for ClickOut {
    fn from(click: Click) -> Self {
        Self {
            id: click.id,
            action: click.action,
            occurred_at: click.occurred_at,
            link_id: click.link_id,
            affiliate_id: click.affiliate_id,
            offer_id: click.offer_id,
            external_click_id: click.external_id,
            sub_ids: click.sub_ids.into_iter().collect(),
            parameters: click.params.into_iter().collect(),
            landing_url: click.landing_url,
            referrer: click.referrer,
            ip: click.ip,
            user_agent: click.user_agent,
            country: click.country,
            device: click.agent.device,
            browser: click.agent.browser,
            os: click.agent.os,
            likely_bot: click.agent.likely_bot,
            unique: click.unique,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ClickFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only clicks of this affiliate.
    affiliate_id: Option<AffiliateId>,
    /// Only clicks for this offer.
    offer_id: Option<OfferId>,
    /// Only clicks on this link.
    link_id: Option<LinkId>,
    /// Only clicks (`click`) or only impressions (`impression`); both if absent.
    action: Option<Action>,
    /// Only clicks with this id of the tracker, from the parameter `click_id` of the link.
    external_click_id: Option<String>,
    /// Only clicks with this value of the sub id. The same applies to the other sub ids. They are found faster together
    /// with `affiliate_id`, `link_id` or a period.
    sub1: Option<String>,
    sub2: Option<String>,
    sub3: Option<String>,
    sub4: Option<String>,
    sub5: Option<String>,
    sub6: Option<String>,
    sub7: Option<String>,
    sub8: Option<String>,
    sub9: Option<String>,
    sub10: Option<String>,
}

/// The value of a parameter, cut as clicks store it.
fn given(text: &str) -> Option<String> {
    Some(stored_text(text)).filter(|text| !text.is_empty())
}

/// List clicks and impressions, newest first. Affiliates see their own.
///
/// A page can be short or empty although more clicks match: a filter by offer, link, action or sub id examines at most
/// 20,000 clicks for each page. Continue with `next` until it is null.
#[utoipa::path(get, path = "/api/v1/clicks", tag = "clicks", params(ClickFilter, PeriodIn),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<ClickOut>), (status = "default", body = Problem)))]
pub async fn list_clicks(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<ClickFilter>,
) -> ApiResult<Json<PageOut<ClickOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let sub_ids = [
        ("sub1", params.sub1),
        ("sub2", params.sub2),
        ("sub3", params.sub3),
        ("sub4", params.sub4),
        ("sub5", params.sub5),
        ("sub6", params.sub6),
        ("sub7", params.sub7),
        ("sub8", params.sub8),
        ("sub9", params.sub9),
        ("sub10", params.sub10),
    ];
    let sub_ids = sub_ids.into_iter().filter_map(|(name, value)| Some((name, given(&value?)?))).collect();
    let filter = storage::tracking::clicks::Filter {
        affiliate_id: params.affiliate_id,
        offer_id: params.offer_id,
        link_id: params.link_id,
        action: params.action,
        external_id: params.external_click_id.as_deref().and_then(given),
        sub_ids,
    };
    Ok(Json(PageOut::of(clicks::list(&app, actor, filter, page).await?, ClickOut::from)))
}

/// Read a click or an impression.
#[utoipa::path(get, path = "/api/v1/clicks/{id}", tag = "clicks", params(("id" = ClickId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = ClickOut), (status = "default", body = Problem)))]
pub async fn get_click(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ClickId>,
) -> ApiResult<Json<ClickOut>> {
    Ok(Json(clicks::get(&app, actor, id).await?.into()))
}
