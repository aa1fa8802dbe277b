//! `/` of an affiliate: its link, its balance, what needs attention, the figures of a period, and the last conversions.

mod attention;
pub mod figures;
mod first_steps;
mod link;

use axum::http::Uri;
use chrono::Timelike;
use domain::people::actor::Actor;
use domain::program::affiliate::Affiliate;
use engine::app::App;
use engine::delivery::postbacks;
use engine::money::payout_details;
use engine::tracking::conversions;
use serde::Serialize;
use storage::base::page::PageRequest;
use web::errors::Problem;

use crate::money::balance::BalanceCard;
use crate::parts::list::{Choice, ListUrl};
use crate::reports::if_computed;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, text};
use crate::shell::viewer::{Person, Viewer};
use crate::tracking::rows::{self, ConversionRow, PostbackNames};
use attention::Attention;
use figures::{Figures, Headlines};
use first_steps::FirstSteps;
use link::LinkCard;

/// The days of a period, and the default.
const PERIODS: [u32; 3] = [7, 30, 90];
const DEFAULT_DAYS: u32 = 30;

/// Conversions at the bottom of the page.
pub const CONVERSIONS: u64 = 5;

/// Postbacks and payout details whose names the page needs.
const NAMED_AT_MOST: u64 = 100;

#[derive(Debug, Serialize)]
pub struct Dashboard {
    periods: Vec<Choice>,
    link: LinkCard,
    balance: BalanceCard,
    attention: Vec<Attention>,
    /// `None` if the report could not be made; the rest of the page stays.
    figures: Option<Figures>,
    conversions: Vec<ConversionRow>,
    first_steps: Option<FirstSteps>,
}

impl Page for Dashboard {
    const TEMPLATE: &'static str = "program/dashboard";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let choice = |current| Choice { url: "/?days=7".into(), name: text("home.days").count("count", 7), current };
        let full = Self {
            periods: vec![choice(true), choice(false)],
            link: LinkCard::sample(true),
            balance: BalanceCard::sample(),
            attention: Attention::samples(),
            figures: Some(Figures::sample()),
            conversions: ConversionRow::samples(),
            first_steps: Some(FirstSteps::sample(true)),
        };
        let empty = Self {
            periods: vec![choice(true)],
            link: LinkCard::sample(false),
            balance: BalanceCard::default(),
            attention: Vec::new(),
            figures: None,
            conversions: Vec::new(),
            first_steps: None,
        };
        vec![full, empty]
    }
}

/// The page of an affiliate.
pub async fn show(
    app: &App,
    viewer: &Viewer,
    actor: Actor,
    affiliate: &Affiliate,
    uri: &Uri,
) -> Result<Reply<Dashboard>, Problem> {
    let url = ListUrl::of(uri);
    let days = days_of(&url);
    let own_postbacks = postbacks::list(app, actor, None, PageRequest::first(NAMED_AT_MOST)).await?.items;
    let details = payout_details::list(app, actor, Some(affiliate.id), PageRequest::first(1)).await?.items;
    let (link, offer) = link::load(app, actor, affiliate).await?;
    let balance = BalanceCard::load(app, actor, affiliate, &url).await?;
    let has_details = !details.is_empty();
    let attention = attention::load(app, actor, &own_postbacks, has_details, &balance).await?;
    let currency = balance.currency().or(offer.as_ref().map(|offer| offer.currency));
    let figures = if_computed(figures::load(app, viewer, actor, days, Headlines::OfAffiliate(currency)).await)?;
    let has_click = first_steps::has_click(app, actor).await?;
    let newest = conversions::list(app, actor, Default::default(), PageRequest::first(CONVERSIONS)).await?.items;
    let page = Dashboard {
        periods: periods(&url, days),
        conversions: rows::load(app, actor, newest, &PostbackNames::new(&own_postbacks)).await?,
        first_steps: FirstSteps::new([link.leads_somewhere(), has_click, !own_postbacks.is_empty(), has_details]),
        link,
        balance,
        attention,
        figures,
    };
    let reply = viewer.page(text("nav.dashboard"), page).heading(greeting(viewer));
    Ok(match offer {
        Some(offer) => reply.lead(link::terms(app, affiliate, &offer).await?),
        None => reply,
    })
}

/// The days of the chosen period.
pub fn days_of(url: &ListUrl) -> u32 {
    let days = url.get("days").and_then(|days| days.parse().ok()).filter(|days| PERIODS.contains(days));
    days.unwrap_or(DEFAULT_DAYS)
}

pub fn periods(url: &ListUrl, days: u32) -> Vec<Choice> {
    let choice = |it: u32| Choice {
        url: url.with("days", (it != DEFAULT_DAYS).then(|| it.to_string()).as_deref()),
        name: text("home.days").count("count", it.into()),
        current: it == days,
    };
    PERIODS.into_iter().map(choice).collect()
}

fn greeting(viewer: &Viewer) -> Text {
    let key = match viewer.formats.zone.from_utc(viewer.formats.now).hour() {
        5..12 => "home.good_morning",
        12..18 => "home.good_afternoon",
        _ => "home.good_evening",
    };
    let name = viewer.person.as_ref().map(Person::name).unwrap_or_default();
    text(key).with("name", name)
}
