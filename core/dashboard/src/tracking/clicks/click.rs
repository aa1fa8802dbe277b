//! `/clicks/{id}`: everything that was recorded of a click, and what came of it.

use axum::extract::State;
use domain::ids::ClickId;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::Click;
use domain::tracking::conversion::Conversion;
use engine::app::App;
use engine::tracking::{clicks, conversions};
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::tracking::conversions::Filter;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::{Given, shown_visitor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::templates::Sum;
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;
use crate::tracking::offer_name;

const CONVERSIONS_AT_MOST: u64 = 20;

#[derive(Debug, Serialize)]
pub struct ClickPage {
    id: String,
    at: Timestamp,
    is_impression: bool,
    offer_id: String,
    offer: String,
    link_id: Option<String>,
    parameters: Vec<Given>,
    has_unreplaced: bool,
    /// The link has no id of a tracker.
    lacks_external_id: bool,
    landing_url: String,
    referrer: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    country: Option<String>,
    device: Option<String>,
    browser: Option<String>,
    os: Option<String>,
    visitor: ShownStatus,
    conversions: Vec<ConversionRow>,
}

#[derive(Debug, Serialize)]
struct ConversionRow {
    id: String,
    transaction_id: String,
    at: Timestamp,
    status: ShownStatus,
    payout: Option<Sum>,
}

impl From<Conversion> for ConversionRow {
    fn from(conversion: Conversion) -> Self {
        Self {
            id: conversion.id.to_string(),
            status: ShownStatus::from(&conversion.status),
            transaction_id: conversion.transaction_id,
            at: conversion.created_at,
            payout: conversion.payout.map(|payout| Sum::new(payout.micros.into(), payout.currency)),
        }
    }
}

impl ClickPage {
    fn new(click: Click, offer: String, conversions: Vec<ConversionRow>) -> Self {
        let external = click.external_id.as_deref().map(|value| Given::new("click_id", value));
        let others = click.sub_ids.iter().chain(&click.params).map(|(name, value)| Given::new(name, value));
        let lacks_external_id = external.as_ref().is_none_or(|it| it.is_unreplaced);
        let parameters: Vec<_> = external.into_iter().chain(others).collect();
        Self {
            id: click.id.to_string(),
            at: click.occurred_at,
            is_impression: click.action == Action::Impression,
            offer_id: click.offer_id.to_string(),
            offer,
            link_id: click.link_id.map(|id| id.to_string()),
            has_unreplaced: parameters.iter().any(|given| given.is_unreplaced),
            parameters,
            lacks_external_id,
            visitor: shown_visitor(&click),
            landing_url: click.landing_url,
            referrer: click.referrer,
            ip: click.ip,
            user_agent: click.user_agent,
            country: click.country,
            device: click.agent.device,
            browser: click.agent.browser,
            os: click.agent.os,
            conversions,
        }
    }
}

impl Page for ClickPage {
    const TEMPLATE: &'static str = "tracking/click";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use super::sample_click;

        let conversion = |has_payout: bool| ConversionRow {
            id: "cnv_06a5xk2m7q8r9stvwxyz012345".into(),
            transaction_id: "HM-<b>".into(),
            at: Timestamp::from_millis(0),
            status: ShownStatus::of("ok", "circle-check", "status.approved"),
            payout: has_payout.then(|| Sum::new(14_700_000, "USD".parse().expect("a currency"))),
        };
        let offer = || "Harbor <b> Pro".to_owned();
        vec![
            Self::new(sample_click("news <b>", false, true), offer(), vec![conversion(true), conversion(false)]),
            Self::new(sample_click("{clickid}", true, false), offer(), Vec::new()),
            Self::new(sample_click("", false, false), offer(), Vec::new()),
        ]
    }
}

/// `GET /clicks/{id}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<ClickId>,
) -> Result<Reply<ClickPage>, Problem> {
    // Affiliates see what the setting of the program permits.
    let click = actor.buyers().show(clicks::get(&app, actor, id).await?).into_inner();
    let filter = Filter { click_id: Some(id), ..Filter::default() };
    let found = conversions::list(&app, actor, filter, PageRequest::first(CONVERSIONS_AT_MOST)).await?.items;
    let offer = offer_name(&app, click.offer_id).await?;
    let title = text(if click.action == Action::Impression { "clicks.impression_of" } else { "clicks.click_of" });
    let title = title.time("at", click.occurred_at);
    let page = ClickPage::new(click, offer, found.into_iter().map(ConversionRow::from).collect());
    Ok(viewer.page(title, page).below("/clicks", text("nav.clicks")))
}
