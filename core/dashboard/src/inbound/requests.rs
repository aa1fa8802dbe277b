//! `/inbound-requests`: everything that networks sent to the sources, and what became of it.

use axum::extract::State;
use axum::http::Uri;
use domain::ids::SourceId;
use domain::inbound::inbound_request::InboundRequest;
use domain::inbound::notification::Outcome;
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::inbound::{requests, sources};
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::inbound::inbound_requests::Filter;
use web::auth::Caller;
use web::errors::Problem;

use super::may_manage;
use crate::parts::field::Field;
use crate::parts::list::{Filters, LastDays, ListUrl, Pager, choice_filter, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;
use crate::tracking::filter_of;

const ROWS: u64 = 50;
/// The most sources whose names the page needs.
const SOURCES_AT_MOST: u64 = 200;

const OUTCOMES: [Outcome; 6] =
    [Outcome::Accepted, Outcome::Duplicate, Outcome::Waiting, Outcome::Ignored, Outcome::Refused, Outcome::Failed];

#[derive(Debug, Serialize)]
pub struct Requests {
    filters: Filters,
    is_filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
    /// The page that replays all requests with these filters.
    replay_url: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    at: Timestamp,
    source: String,
    source_id: String,
    status: ShownStatus,
    code: Option<String>,
    reason: Option<String>,
    transaction_id: Option<String>,
    conversion_id: Option<String>,
}

impl Row {
    fn new(request: InboundRequest, source: String) -> Self {
        let first = request.items.iter().find(|it| it.transaction_id.is_some());
        Self {
            id: request.id.to_string(),
            at: request.received_at,
            source,
            source_id: request.source_id.to_string(),
            status: request.result.outcome.into(),
            transaction_id: first.and_then(|it| it.transaction_id.clone()),
            conversion_id: request.conversion_ids().first().map(ToString::to_string),
            code: request.result.code,
            reason: request.result.sentence.as_deref().map(as_sentence),
        }
    }
}

/// What the URL asks for.
pub(super) struct RequestFilter {
    pub source_id: Option<SourceId>,
    pub outcome: Option<Outcome>,
    pub code: Option<String>,
    pub transaction_id: Option<String>,
}

impl RequestFilter {
    pub fn of(url: &ListUrl) -> Result<Self, Problem> {
        let given = |name| url.get(name).map(|text: &str| text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(Self {
            source_id: filter_of::<SourceId>(url, "source_id")?,
            outcome: url.get("outcome").and_then(Outcome::from_word),
            code: given("reason_code"),
            transaction_id: given("transaction_id"),
        })
    }
}

/// The sources that the caller may see, as choices after the choice of all.
async fn source_choices(app: &App, actor: Actor) -> Result<Vec<(String, Text)>, Error> {
    let page = sources::list(app, actor, None, None, PageRequest::first(SOURCES_AT_MOST)).await?;
    Ok(page.items.into_iter().map(|it| (it.source.id.to_string(), plain(it.source.name))).collect())
}

fn filter_fields(url: &ListUrl, sources: Vec<(String, Text)>) -> Filters {
    let filters = LastDays::of(url).add_to(Filters::new(url), url);
    let filters = choice_filter(filters, url, "source_id", "requests.source", sources);
    let outcomes = OUTCOMES.map(|it| (it.to_string(), text(&format!("inbound_outcome.{it}"))));
    let mut filters = choice_filter(filters, url, "outcome", "requests.outcome", outcomes);
    for (name, label) in [("reason_code", "requests.code"), ("transaction_id", "requests.transaction")] {
        let value = url.get(name);
        let field = Field::text(name, label).value(value.unwrap_or_default());
        filters = filters.add(url, field, name, label, value.map(plain));
    }
    filters
}

/// The page that replays the listed requests: not offered for those that are done.
fn replay_url(url: &ListUrl) -> Option<String> {
    let is_done = matches!(url.get("outcome"), Some("accepted" | "duplicate"));
    let query = url.without(&["cursor"]).with("cursor", None);
    let query = query.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    (!is_done).then(|| format!("/inbound-requests/replay{query}"))
}

impl Requests {
    fn new(url: &ListUrl, filters: Filters, rows: Vec<Row>, next: Option<uuid::Uuid>, may_replay: bool) -> Self {
        Self {
            is_filtered: filters.any_set(),
            filters,
            rows,
            pager: Pager::new(url, next),
            replay_url: replay_url(url).filter(|_| may_replay),
        }
    }
}

impl Page for Requests {
    const TEMPLATE: &'static str = "inbound/requests";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let row = |outcome: Outcome, is_full: bool| Row {
            id: "inr_06a5xk2m7q8r9stvwxyz012345".into(),
            at: Timestamp::from_millis(0),
            source: "My <b>".into(),
            source_id: "src_06a5xk2m7q8r9stvwxyz012345".into(),
            status: outcome.into(),
            code: is_full.then(|| "unknown_status".into()),
            reason: is_full.then(|| "Unknown <b>.".into()),
            transaction_id: is_full.then(|| "T-<b>".into()),
            conversion_id: is_full.then(|| "cnv_06a5xk2m7q8r9stvwxyz012345".into()),
        };
        let rows = || OUTCOMES.into_iter().flat_map(|it| [row(it, true), row(it, false)]).collect();
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let sources = || vec![("src_1".to_owned(), plain("My <b>"))];
        let query = "days=7&source_id=src_1&outcome=refused&reason_code=x&transaction_id=T-1&cursor=x";
        let (all, filtered) = (url("/inbound-requests"), url(&format!("/inbound-requests?{query}")));
        let sample = |url: &ListUrl, rows, next, may_replay| {
            Self::new(url, filter_fields(url, sources()), rows, next, may_replay)
        };
        vec![
            sample(&all, rows(), Some(uuid::Uuid::nil()), true),
            sample(&all, rows(), None, false),
            sample(&all, Vec::new(), None, true),
            sample(&filtered, Vec::new(), None, true),
            sample(&filtered, rows(), None, true),
        ]
    }
}

/// `GET /inbound-requests`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Requests>, Problem> {
    let url = ListUrl::of(&uri);
    let RequestFilter { source_id, outcome, code, transaction_id } = RequestFilter::of(&url)?;
    let filter = Filter { source_id, outcome, code, transaction_id, ..Filter::default() };
    let from = LastDays::of(&url).begin(&viewer.formats);
    let request = PageRequest::first(ROWS).after(cursor(&url)).within(from, None);
    let page = requests::list(&app, actor, filter, request).await?;
    let sources = source_choices(&app, actor).await?;
    let name_of = |id: SourceId| {
        let id = id.to_string();
        let known = sources.iter().find(|(known, _)| *known == id).map(|(_, name)| name.say(&viewer.formats));
        known.unwrap_or(id)
    };
    let hides = actor.buyers().hides();
    let rows = page.items.into_iter().map(|it| {
        let name = name_of(it.request.source_id);
        Row::new(it.request.shown(&it.secrets, hides), name)
    });
    let rows: Vec<_> = rows.collect();
    let list = Requests::new(&url, filter_fields(&url, sources), rows, page.next, may_manage(actor));
    let page = viewer.page(text("requests.title"), list).lead(text("requests.lead"));
    let page = page.below("/sources", text("nav.sources")).wide();
    Ok(match url.get("done") {
        Some("replayed") => page.notice(text("replay.done")),
        _ => page,
    })
}
