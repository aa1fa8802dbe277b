//! `/clicks`: the click log. Macros that nothing replaced are marked, because they are the first cause of lost conversions.

pub mod click;
pub mod export;
mod filter;

use axum::extract::State;
use axum::http::Uri;
use domain::people::permission::Permission::ReadReports;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::Click;
use engine::app::App;
use engine::tracking::clicks;
use postrider_sdk::marks::is_unreplaced;
use serde::Serialize;
use storage::base::page::PageRequest;
use uuid::Uuid;
use web::auth::Caller;
use web::errors::Problem;

use super::{offer_choices, offer_name};
use crate::parts::list::{Filters, ListUrl, Pager, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;
use filter::ClickFilter;

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct Clicks {
    filters: Filters,
    is_filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
    /// The rows whose tracker did not replace a macro.
    unreplaced: usize,
    may_export: bool,
    /// The parameters with which the export has the same rows.
    parameters: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    at: Timestamp,
    is_impression: bool,
    offer: String,
    link_id: Option<String>,
    external_id: Option<Given>,
    sub_ids: Vec<Given>,
    country: Option<String>,
    device: Option<String>,
    visitor: ShownStatus,
}

/// A parameter of a click's link.
#[derive(Debug, Serialize)]
pub(super) struct Given {
    name: String,
    value: String,
    /// The value is a macro that nothing replaced.
    is_unreplaced: bool,
}

impl Given {
    fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), is_unreplaced: is_unreplaced(value) }
    }
}

/// Whether a visitor is new, comes again, or is probably a bot.
fn shown_visitor(click: &Click) -> ShownStatus {
    if click.agent.likely_bot {
        ShownStatus::of("warn", "triangle-alert", "visitor.bot")
    } else if click.unique {
        ShownStatus::of("ok", "circle-check", "visitor.unique")
    } else {
        ShownStatus::of("off", "rotate-cw", "visitor.repeated")
    }
}

impl Row {
    fn new(click: Click, offer: String) -> Self {
        Self {
            id: click.id.to_string(),
            at: click.occurred_at,
            is_impression: click.action == Action::Impression,
            offer,
            link_id: click.link_id.map(|id| id.to_string()),
            visitor: shown_visitor(&click),
            external_id: click.external_id.as_deref().map(|value| Given::new("click_id", value)),
            sub_ids: click.sub_ids.iter().map(|(name, value)| Given::new(name, value)).collect(),
            country: click.country,
            device: click.agent.device,
        }
    }

    fn has_unreplaced(&self) -> bool {
        self.external_id.iter().chain(&self.sub_ids).any(|given| given.is_unreplaced)
    }
}

impl Clicks {
    fn new(url: &ListUrl, filters: Filters, rows: Vec<Row>, next: Option<Uuid>, may_export: bool) -> Self {
        let unreplaced = rows.iter().filter(|row| row.has_unreplaced()).count();
        let (pager, parameters) = (Pager::new(url, next), filter::parameters(url));
        Self { is_filtered: filters.any_set(), filters, rows, pager, unreplaced, may_export, parameters }
    }
}

#[cfg(test)]
pub(super) fn sample_click(value: &str, likely_bot: bool, unique: bool) -> Click {
    use domain::ids::{AffiliateId, ClickId, LinkId, OfferId};
    use domain::tracking::click::Agent;

    let at = Timestamp::from_millis(0);
    let is_full = !value.is_empty();
    let given = |text: &str| is_full.then(|| text.to_owned());
    Click {
        id: ClickId::new(at),
        action: if is_full { Action::Click } else { Action::Impression },
        link_id: is_full.then(|| LinkId::new(at)),
        affiliate_id: AffiliateId::new(at),
        offer_id: OfferId::new(at),
        occurred_at: at,
        external_id: given(value),
        sub_ids: given(value).map(|value| ("sub1".to_owned(), value)).into_iter().collect(),
        params: given(value).map(|value| ("keyword".to_owned(), value)).into_iter().collect(),
        session: None,
        landing_url: "https://shop.example/?cid=1&s=<b>".into(),
        referrer: given("https://blog.example/<b>"),
        ip: given("203.0.113.0"),
        user_agent: given("Firefox <b>"),
        country: given("DE"),
        agent: Agent { device: given("mobile"), browser: given("Firefox"), os: given("Android"), likely_bot },
        visitor: 0,
        unique,
        person: None,
    }
}

impl Page for Clicks {
    const TEMPLATE: &'static str = "tracking/clicks";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let samples = [("news <b>", false, true), ("{clickid}", true, false), ("", false, false)];
        let rows = || samples.map(|(value, bot, unique)| Row::new(sample_click(value, bot, unique), "Pro <b>".into()));
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let filters = |url: &ListUrl| filter::fields(url, vec![(String::new(), text("links.all_offers"))]);
        let query = "from=2026-11-01&until=2026-11-02&action=click&link_id=lnk_1&sub1=x&sub9=y&country=de&device=mobile\
            &bot=no&unique=yes&converted=no&external_click_id=T-1&keyword=%3Cb%3E&page=p&source=s&browser=b&os=o&cursor=x";
        let (all, filtered) = (url("/clicks"), url(&format!("/clicks?{query}")));
        let sample = |url: &ListUrl, rows, next, may_export| Self::new(url, filters(url), rows, next, may_export);
        let next = Some(Uuid::nil());
        vec![
            sample(&all, rows().into(), next, true),
            sample(&all, rows().into_iter().take(1).collect(), None, false),
            sample(&all, Vec::new(), None, true),
            sample(&filtered, Vec::new(), next, true),
            sample(&filtered, rows().into(), None, true),
        ]
    }
}

/// `GET /clicks`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Clicks>, Problem> {
    let url = ListUrl::of(&uri);
    let ClickFilter { filter, visit, from, until } = ClickFilter::of(&url, viewer.formats.zone)?;
    let request = PageRequest::first(ROWS).after(cursor(&url)).within(from, until);
    let page = clicks::list(&app, actor, filter, visit, request).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for click in page.items {
        let offer = offer_name(&app, click.offer_id).await?;
        rows.push(Row::new(click, offer));
    }
    let filters = filter::fields(&url, offer_choices(&app, actor).await?);
    let may_export = actor.may(ReadReports) && actor.may_change().is_ok();
    let log = Clicks::new(&url, filters, rows, page.next, may_export);
    Ok(viewer.page(text("nav.clicks"), log).lead(text("clicks.lead")).wide())
}
