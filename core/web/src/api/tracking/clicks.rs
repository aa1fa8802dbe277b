//! `/api/v1/clicks`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut, PathId};
use crate::filters::{Period, PeriodIn, SubIds, SubIdsIn};
use domain::ids::{AffiliateId, ClickId, LinkId, OfferId};
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::{Click, stored_text};
use engine::app::App;
use engine::tracking::clicks;
use storage::tracking::clicks::{Filter, VisitFilter};

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
    /// The parameters of the link, `click_id` among them, whose macro the tracker or network did not replace, such as
    /// `{clickid}`. Such a click counts as one without an external click id.
    #[schema(example = json!([]))]
    unreplaced_macros: Vec<String>,
    /// All other parameters of the link, with their values.
    parameters: BTreeMap<String, String>,
    /// The URL of the landing page to which the visitor was redirected.
    landing_url: String,
    /// The page from which the visitor came, at most 512 characters; null if the browser did not send it.
    referrer: Option<String>,
    /// The visitor's IP address; null if it is not known. Callers without the permission `read_buyers` see its network.
    /// Affiliates see what the setting `affiliates_see` allows.
    ip: Option<String>,
    /// The visitor's user agent, at most 512 characters; null if the browser did not send it, and for affiliates if the
    /// setting `affiliates_see` is `nothing`.
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

impl ClickOut {
    pub(crate) fn of(actor: Actor, click: Click) -> Self {
        let click = actor.buyers().show(click).into_inner();
        let unreplaced_macros = click.unreplaced().map(str::to_owned).collect();
        Self {
            id: click.id,
            action: click.action,
            occurred_at: click.occurred_at,
            link_id: click.link_id,
            affiliate_id: click.affiliate_id,
            offer_id: click.offer_id,
            external_click_id: click.external_id,
            sub_ids: click.sub_ids.into_iter().collect(),
            unreplaced_macros,
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
    /// Only clicks from this country, ISO 3166-1 with two letters.
    #[param(example = "DE")]
    country: Option<String>,
    /// Only clicks with this kind of device: desktop, mobile, tablet or appliance.
    device: Option<String>,
    /// Only clicks of visitors that are probably bots (`true`) or are not (`false`).
    likely_bot: Option<bool>,
    /// Only the first clicks of a visitor on a link on a day (`true`) or only the others (`false`).
    unique: Option<bool>,
    /// Only clicks to which a conversion is attributed (`true`) or none (`false`).
    converted: Option<bool>,
}

/// The value of a parameter, cut as clicks store it.
fn given(text: &str) -> Option<String> {
    Some(stored_text(text)).filter(|text| !text.is_empty())
}

/// List clicks and impressions, newest first. Affiliates see their own.
///
/// A page can be short or empty although more clicks match: a filter other than the period, affiliate and tracker's id examines
/// at most 20,000 clicks for each page. Continue with `next` until it is null. Clicks are found faster by sub id together with
/// `affiliate_id`, `link_id` or a period.
#[utoipa::path(get, path = "/api/v1/clicks", tag = "clicks", params(ClickFilter, SubIdsIn, PeriodIn),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = PageOut<ClickOut>), (status = "default", body = Problem)))]
pub async fn list_clicks(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    sub_ids: SubIds,
    ApiQuery(params): ApiQuery<ClickFilter>,
) -> ApiResult<Json<PageOut<ClickOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let sub_ids = sub_ids
        .0
        .into_iter()
        .filter_map(|(sub_id, value)| Some((sub_id.as_str(), Some(value).filter(|it| !it.is_empty())?)))
        .collect();
    let filter = Filter {
        affiliate_id: params.affiliate_id,
        offer_id: params.offer_id,
        link_id: params.link_id,
        action: params.action,
        external_id: params.external_click_id.filter(|text| !text.is_empty()),
        sub_ids,
    };
    let visit = VisitFilter {
        country: params.country.as_deref().and_then(given).map(|country| country.to_uppercase()),
        device: params.device.as_deref().and_then(given),
        likely_bot: params.likely_bot,
        unique: params.unique,
        converted: params.converted,
        ..VisitFilter::default()
    };
    Ok(Json(PageOut::of(clicks::list(&app, actor, filter, visit, page).await?, |it| ClickOut::of(actor, it))))
}

/// Read a click or an impression.
#[utoipa::path(get, path = "/api/v1/clicks/{id}", tag = "clicks", params(("id" = ClickId, Path)),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = ClickOut), (status = "default", body = Problem)))]
pub async fn get_click(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ClickId>,
) -> ApiResult<Json<ClickOut>> {
    Ok(Json(ClickOut::of(actor, clicks::get(&app, actor, id).await?)))
}
