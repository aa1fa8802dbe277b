//! `/audit`: who changed or exported what.

use axum::extract::State;
use axum::http::Uri;
use domain::people::audit::{Outcome, Record};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::audit;
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::people::audit::Filter;
use web::errors::Problem;

use crate::parts::field::Field;
use crate::parts::list::{Filters, ListUrl, Pager, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{plain, text};
use crate::shell::viewer::Viewer;

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct AuditLog {
    filters: Filters,
    is_filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Debug, Serialize)]
struct Row {
    at: Timestamp,
    actor: String,
    role: String,
    operation: String,
    object: Option<String>,
    address: Option<String>,
    outcome: ShownStatus,
    /// The changed fields with their former and new values.
    changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Change {
    field: String,
    from: String,
    to: String,
}

impl AuditLog {
    fn new(url: &ListUrl, rows: Vec<Row>, pager: Pager) -> Self {
        let mut filters = Filters::new(url);
        for (name, label) in [("operation", "audit.operation"), ("actor", "audit.actor"), ("object", "audit.object")] {
            let value = url.get(name);
            let field = Field::text(name, label).value(value.unwrap_or_default());
            filters = filters.add(url, field, name, label, value.map(plain));
        }
        Self { is_filtered: filters.any_set(), filters, rows, pager }
    }
}

impl From<Record> for Row {
    fn from(record: Record) -> Self {
        let Record { at, actor, role, operation, object, address, ending, .. } = record;
        let outcome = ending.as_ref().map(|ending| ending.outcome);
        let (created, changes) = ending.map(|ending| (ending.object, ending.changes)).unwrap_or_default();
        let shown = |value: serde_json::Value| match value {
            serde_json::Value::Null => "–".to_owned(),
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let changes =
            changes.into_iter().map(|it| Change { field: it.field, from: shown(it.from), to: shown(it.to) }).collect();
        Self {
            at,
            actor,
            role,
            operation,
            object: object.or(created),
            address,
            outcome: shown_outcome(outcome),
            changes,
        }
    }
}

/// Without an outcome the operation is still running, or the server stopped before its end.
fn shown_outcome(outcome: Option<Outcome>) -> ShownStatus {
    match outcome {
        Some(Outcome::Done) => ShownStatus::of("ok", "circle-check", "outcome.done"),
        Some(Outcome::Repeated) => ShownStatus::of("off", "rotate-cw", "outcome.repeated"),
        Some(Outcome::Refused) => ShownStatus::of("warn", "circle-slash", "outcome.refused"),
        Some(Outcome::Failed) => ShownStatus::of("bad", "circle-x", "outcome.failed"),
        None => ShownStatus::of("info", "circle-question-mark", "outcome.unknown"),
    }
}

impl Page for AuditLog {
    const TEMPLATE: &'static str = "people/audit";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let row = |outcome, changes| Row {
            at: Timestamp::from_millis(0),
            actor: "usr_06a5xk2m7q8r9stvwxyz012345".into(),
            role: "owner".into(),
            operation: "change_offer".into(),
            object: Some("off_06a5xk2m7q8r9stvwxyz012345".into()),
            address: None,
            outcome: shown_outcome(outcome),
            changes,
        };
        let changed = vec![Change { field: "payout".into(), from: "<b>".into(), to: "12.50".into() }];
        let rows = [Outcome::Done, Outcome::Repeated, Outcome::Refused, Outcome::Failed].map(Some);
        let mut rows: Vec<_> = rows.into_iter().chain([None]).map(|outcome| row(outcome, Vec::new())).collect();
        rows.push(row(Some(Outcome::Done), changed));
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let (all, filtered) = (url("/audit"), url("/audit?operation=login&cursor=x"));
        let next = Some(uuid::Uuid::nil());
        vec![
            Self::new(&all, rows, Pager::new(&all, next)),
            Self::new(&all, Vec::new(), Pager::new(&all, None)),
            Self::new(&filtered, Vec::new(), Pager::new(&filtered, next)),
        ]
    }
}

/// `GET /audit`
pub async fn show(State(app): State<App>, viewer: Viewer, uri: Uri) -> Result<Reply<AuditLog>, Problem> {
    let url = ListUrl::of(&uri);
    let value = |name| url.get(name).map(str::to_owned);
    let filter =
        Filter { actor: value("actor"), user_id: None, operation: value("operation"), object: value("object") };
    let page = audit::list(&app, filter, PageRequest::first(ROWS).after(cursor(&url))).await?;
    let rows = page.items.into_iter().map(Row::from).collect();
    let log = AuditLog::new(&url, rows, Pager::new(&url, page.next));
    Ok(viewer.page(text("nav.audit"), log).lead(text("audit.lead")).wide())
}
