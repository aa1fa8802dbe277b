//! `/links`: the links of an affiliate, or of the program.

mod builder;
pub mod create;
pub mod link;

pub use builder::{SUB_ID_LABELS, SUB_IDS};

use axum::extract::State;
use axum::http::Uri;
use domain::archive::ArchivedFilter;
use domain::ids::OfferId;
use domain::people::permission::Permission::ManageLinks;
use domain::timestamp::Timestamp;
use domain::tracking::link::{Link, LinkStatus};
use engine::app::App;
use engine::tracking::links::{self, LinkWithCoupons};
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::tracking::links::Filter;
use web::auth::Caller;
use web::errors::Problem;
use web::filters;

use super::{filter_of, offer_choices, offer_name};
use crate::parts::field::Field;
use crate::parts::list::{Filters, ListUrl, Pager, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct Links {
    filters: Filters,
    is_filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
    /// The reader may create links.
    may_create: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    url: String,
    offer: String,
    target: Target,
    coupons: Vec<String>,
    status: ShownStatus,
    created_at: Timestamp,
}

/// Where a link leads.
#[derive(Debug, Serialize)]
struct Target {
    /// The page of the shop; if absent, one of the offer's landing pages.
    deep_url: Option<String>,
    landing_page: Option<String>,
}

impl Target {
    fn of(link: &Link) -> Self {
        Self { deep_url: link.deep_url.clone(), landing_page: link.landing_page.clone() }
    }
}

/// The URL that an affiliate publishes.
fn published_url(app: &App, link: &Link) -> String {
    format!("{}/c/{}", app.public_url, link.id.bare())
}

fn shown_status(link: &Link) -> ShownStatus {
    match link.status {
        _ if link.archived_at.is_some() => ShownStatus::of("off", "circle-slash", "link_status.archived"),
        LinkStatus::Active => ShownStatus::of("ok", "circle-check", "link_status.active"),
        LinkStatus::Paused => ShownStatus::of("warn", "pause", "link_status.paused"),
    }
}

impl Row {
    fn new(app: &App, linked: LinkWithCoupons, offer: String) -> Self {
        let LinkWithCoupons { link, coupons } = linked;
        Self {
            id: link.id.to_string(),
            url: published_url(app, &link),
            offer,
            target: Target::of(&link),
            coupons: coupons.into_iter().map(|it| it.code).collect(),
            status: shown_status(&link),
            created_at: link.created_at,
        }
    }
}

fn filter_fields(url: &ListUrl, offers: Vec<(String, Text)>) -> Filters {
    let offer = url.get("offer_id").unwrap_or_default();
    let offer_name = offers.iter().find(|(id, _)| id == offer && !id.is_empty()).map(|(_, name)| name.clone());
    let offer_field = Field::select("offer_id", "links.offer", offer, offers);
    let archived = url.get("archived").unwrap_or_default();
    let states = [("", "links.in_use"), ("true", "links.archived"), ("any", "links.all")];
    let shown = states.iter().find(|(word, _)| *word == archived && !word.is_empty()).map(|(_, key)| text(key));
    let states = states.map(|(word, key)| (word.to_owned(), text(key)));
    let search = url.get("search");
    let search_field = Field::text("search", "links.search").value(search.unwrap_or_default());
    Filters::new(url)
        .add(url, search_field, "search", "links.search", search.map(plain))
        .add(url, offer_field, "offer_id", "links.offer", offer_name)
        .add(url, Field::select("archived", "links.state", archived, states), "archived", "links.state", shown)
}

impl Page for Links {
    const TEMPLATE: &'static str = "tracking/links";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let row = |status: ShownStatus, deep_url: Option<&str>, landing_page: Option<&str>, coupons: &[&str]| Row {
            id: "lnk_06a5xk2m7q8r9stvwxyz012345".into(),
            url: "https://go.example/c/06a5xk2m7q8r9stvwxyz012345".into(),
            offer: "Harbor <b> Pro".into(),
            target: Target { deep_url: deep_url.map(str::to_owned), landing_page: landing_page.map(str::to_owned) },
            coupons: coupons.iter().map(|code| (*code).to_owned()).collect(),
            status,
            created_at: Timestamp::from_millis(0),
        };
        let rows = vec![
            row(
                ShownStatus::of("ok", "circle-check", "link_status.active"),
                Some("https://shop.example/<b>"),
                None,
                &[],
            ),
            row(ShownStatus::of("warn", "pause", "link_status.paused"), None, Some("spring"), &["SAVE10", "ADA"]),
            row(ShownStatus::of("off", "circle-slash", "link_status.archived"), None, None, &[]),
        ];
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let offers = || vec![(String::new(), text("links.all_offers")), ("off_1".to_owned(), plain("Harbor <b> Pro"))];
        let sample = |url: &ListUrl, rows, may_create, next| {
            let filters = filter_fields(url, offers());
            Self { is_filtered: filters.any_set(), filters, rows, pager: Pager::new(url, next), may_create }
        };
        let (all, filtered) = (url("/links"), url("/links?search=x&offer_id=off_1&archived=true&cursor=x"));
        vec![
            sample(&all, rows, true, Some(uuid::Uuid::nil())),
            sample(&all, Vec::new(), true, None),
            sample(&all, Vec::new(), false, None),
            sample(&filtered, Vec::new(), true, Some(uuid::Uuid::nil())),
        ]
    }
}

/// `GET /links`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Links>, Problem> {
    let url = ListUrl::of(&uri);
    let archived = match url.get("archived") {
        Some("true") => ArchivedFilter::Archived,
        Some("any") => ArchivedFilter::Any,
        _ => ArchivedFilter::InUse,
    };
    let filter = Filter {
        affiliate_id: None,
        offer_id: filter_of::<OfferId>(&url, "offer_id")?,
        search: filters::search(url.get("search"))?,
        archived,
    };
    let page = links::list(&app, actor, filter, PageRequest::first(ROWS).after(cursor(&url))).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for linked in page.items {
        let offer = offer_name(&app, linked.link.offer_id).await?;
        rows.push(Row::new(&app, linked, offer));
    }
    let filters = filter_fields(&url, offer_choices(&app, actor).await?);
    let list = Links {
        is_filtered: filters.any_set(),
        filters,
        rows,
        pager: Pager::new(&url, page.next),
        may_create: actor.may(ManageLinks) && actor.may_change().is_ok(),
    };
    Ok(viewer.page(text("nav.links"), list).lead(text("links.lead")).wide())
}
