//! `/sources`: where networks report to, and whether anything arrives there.

use axum::extract::State;
use axum::http::Uri;
use domain::ids::AffiliateId;
use domain::inbound::notification::Outcome;
use domain::inbound::source::Source;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::inbound::{activity, sources};
use serde::Serialize;
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;
use web::filters;

use super::{Arrival, may_manage, network_of};
use crate::parts::field::Field;
use crate::parts::list::{Filters, ListUrl, Pager, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{plain, text};
use crate::shell::viewer::Viewer;
use crate::tracking::filter_of;

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct Sources {
    filters: Filters,
    is_filtered: bool,
    is_staff: bool,
    may_create: bool,
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    name: String,
    network: String,
    /// The affiliate, for staff; the program has no name here.
    owner: Option<String>,
    status: ShownStatus,
    last_at: Option<Timestamp>,
}

impl Row {
    fn new(source: &Source, owner: Option<String>, last: Option<(Timestamp, Outcome)>, now: Timestamp) -> Self {
        Self {
            id: source.id.to_string(),
            name: source.name.clone(),
            network: network_of(source),
            owner,
            status: Arrival::of(source, last, now).shown(),
            last_at: last.map(|it| it.0),
        }
    }
}

fn filter_fields(url: &ListUrl, is_staff: bool) -> Filters {
    let search = url.get("search");
    let field = Field::text("search", "sources.search").value(search.unwrap_or_default());
    let filters = Filters::new(url).add(url, field, "search", "sources.search", search.map(plain));
    let owner = url.get("affiliate_id");
    if !is_staff {
        return filters;
    }
    let field = Field::text("affiliate_id", "sources.affiliate_id").value(owner.unwrap_or_default());
    filters.add(url, field, "affiliate_id", "sources.affiliate_id", owner.map(plain))
}

impl Page for Sources {
    const TEMPLATE: &'static str = "inbound/sources";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::inbound::source::SourceKey;

        let at = Timestamp::from_millis;
        let first = Source::first(AffiliateId::new(at(0)), SourceKey::default(), at(0));
        let other = Source { name: "My <b>".into(), template: None, ..first.clone() };
        let owner = || Some("Ada <b>".to_owned());
        let rows = || {
            vec![
                Row::new(&first, None, None, at(0)),
                Row::new(&other, owner(), Some((at(0), Outcome::Accepted)), at(0)),
                Row::new(&other, owner(), Some((at(0), Outcome::Refused)), at(0)),
                Row::new(&other, owner(), Some((at(0), Outcome::Accepted)), at(1_000_000_000)),
                Row::new(&Source { enabled: false, ..first.clone() }, None, None, at(0)),
            ]
        };
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let sample = |url: &ListUrl, rows, is_staff, next| {
            let filters = filter_fields(url, is_staff);
            let pager = Pager::new(url, next);
            Self { is_filtered: filters.any_set(), filters, is_staff, may_create: is_staff, rows, pager }
        };
        let (all, filtered) = (url("/sources"), url("/sources?search=x&affiliate_id=aff_1&cursor=x"));
        vec![
            sample(&all, rows(), true, Some(uuid::Uuid::nil())),
            sample(&all, rows(), false, None),
            sample(&all, Vec::new(), true, None),
            sample(&all, Vec::new(), false, None),
            sample(&filtered, Vec::new(), true, None),
        ]
    }
}

/// `GET /sources`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Sources>, Problem> {
    let url = ListUrl::of(&uri);
    let affiliate = filter_of::<AffiliateId>(&url, "affiliate_id")?;
    let search = filters::search(url.get("search"))?;
    let page = sources::list(&app, actor, affiliate, search, PageRequest::first(ROWS).after(cursor(&url))).await?;
    let last = activity::list_last(&app, actor, &page.items).await?;
    let is_staff = actor.is_staff();
    let mut rows = Vec::with_capacity(page.items.len());
    for it in &page.items {
        let owner = match it.source.affiliate_id.filter(|_| is_staff) {
            Some(id) => app.catalog.affiliate(id).await.map_err(Error::from)?.map(|it| it.name.clone()),
            None => None,
        };
        rows.push(Row::new(&it.source, owner, last.get(&it.source.id).copied(), viewer.formats.now));
    }
    let filters = filter_fields(&url, is_staff);
    let list = Sources {
        is_filtered: filters.any_set(),
        filters,
        is_staff,
        may_create: may_manage(actor),
        rows,
        pager: Pager::new(&url, page.next),
    };
    Ok(viewer.page(text("nav.sources"), list).lead(text("sources.lead")).wide())
}
