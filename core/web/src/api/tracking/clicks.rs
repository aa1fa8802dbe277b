//! `/api/v1/clicks`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut, PathId};
use domain::ids::{AffiliateId, ClickId, LinkId, OfferId};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::Click;
use engine::app::App;
use engine::tracking::clicks;

#[derive(Serialize, ToSchema)]
pub struct ClickOut {
    id: ClickId,
    /// click or impression.
    action: Action,
    occurred_at: Timestamp,
    link_id: Option<LinkId>,
    affiliate_id: AffiliateId,
    offer_id: OfferId,
    /// The tracker's own id, given as click_id.
    external_click_id: Option<String>,
    sub_ids: BTreeMap<String, String>,
    /// Every other parameter of the link.
    parameters: BTreeMap<String, String>,
    landing_url: String,
    referrer: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    /// By the address, if a database of countries is configured.
    country: Option<String>,
    device: Option<String>,
    browser: Option<String>,
    os: Option<String>,
    likely_bot: bool,
    /// The first of this visitor on this link that day (UTC).
    unique: bool,
}

impl From<Click> for ClickOut {
    fn from(it: Click) -> Self {
        Self {
            id: it.id,
            action: it.action,
            occurred_at: it.occurred_at,
            link_id: it.link_id,
            affiliate_id: it.affiliate_id,
            offer_id: it.offer_id,
            external_click_id: it.external_id,
            sub_ids: it.sub_ids.into_iter().collect(),
            parameters: it.params.into_iter().collect(),
            landing_url: it.landing_url,
            referrer: it.referrer,
            ip: it.ip,
            user_agent: it.user_agent,
            country: it.country,
            device: it.agent.device,
            browser: it.agent.browser,
            os: it.agent.os,
            likely_bot: it.agent.likely_bot,
            unique: it.unique,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ClickFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
    offer_id: Option<OfferId>,
    link_id: Option<LinkId>,
    action: Option<Action>,
}

/// List clicks and impressions, newest first.
#[utoipa::path(get, path = "/api/v1/clicks", tag = "clicks", params(ClickFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<ClickOut>), (status = "default", body = Problem)))]
pub async fn list_clicks(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<ClickFilter>,
) -> ApiResult<Json<PageOut<ClickOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    let filter = storage::tracking::clicks::Filter {
        affiliate_id: it.affiliate_id,
        offer_id: it.offer_id,
        link_id: it.link_id,
        action: it.action,
    };
    Ok(Json(PageOut::of(clicks::list(&app, actor, filter, page).await?, ClickOut::from)))
}

/// Read a click.
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
