//! `/inbound-requests/{id}`: what a network sent, what was read from it, and what became of it.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::ids::InboundRequestId;
use domain::inbound::inbound_request::{Item, OutcomeDetails, RawRequest};
use domain::inbound::notification::{Note, Notification, Outcome};
use domain::inbound::source::SourceSettings;
use domain::people::actor::Actor;
use domain::people::changes::of_word;
use domain::people::masking;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::inbound::requests::{self, RequestWithSecrets};
use engine::inbound::sources;
use serde::Serialize;
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::may_manage;
use super::read_fields::{ReadField, fields};
use crate::parts::list::ListUrl;
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct RequestPage {
    id: String,
    status: ShownStatus,
    /// The colour, the icon and the sentence of the verdict.
    kind: &'static str,
    icon: &'static str,
    verdict: Text,
    next_step: Option<Text>,
    conversion_id: Option<String>,
    source_id: String,
    source: String,
    is_unknown_status: bool,
    items: Vec<ShownItem>,
    raw: Raw,
    adapter_log: Vec<String>,
    received_at: Timestamp,
    tries: u64,
    due_at: Option<Timestamp>,
    repeats: u64,
    may_replay: bool,
}

/// A notification: what was read, field by field, and its result.
#[derive(Debug, Serialize)]
struct ShownItem {
    status: ShownStatus,
    reason: Option<String>,
    is_truncated: bool,
    notes: Vec<String>,
    fields: Vec<ReadField>,
    click_id: Option<String>,
    conversion_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Raw {
    line: String,
    headers: Vec<(String, String)>,
    body: String,
    is_truncated: bool,
    remote_ip: Option<String>,
}

impl From<RawRequest> for Raw {
    fn from(raw: RawRequest) -> Self {
        let query = if raw.query.is_empty() { String::new() } else { format!("?{}", raw.query) };
        Self {
            line: format!("{} {}{query}", raw.method, raw.path),
            headers: raw.headers,
            body: String::from_utf8_lossy(&raw.body).into_owned(),
            is_truncated: raw.truncated,
            remote_ip: raw.remote_ip.map(|ip| ip.to_string()),
        }
    }
}

impl ShownItem {
    fn new(item: Option<Item>, fields: Vec<ReadField>) -> Self {
        let result = item.as_ref().map(|it| it.result.clone()).unwrap_or_else(OutcomeDetails::accepted);
        // The page says this in the language of the reader.
        let truncated = Note::TruncatedId.to_string();
        Self {
            status: result.outcome.into(),
            reason: result.sentence.as_deref().map(as_sentence),
            is_truncated: item.as_ref().is_some_and(|it| it.flags.iter().any(|flag| flag == "truncated_id")),
            notes: item
                .iter()
                .flat_map(|it| &it.notes)
                .filter(|note| **note != truncated)
                .map(|it| as_sentence(it))
                .collect(),
            fields,
            click_id: item.as_ref().and_then(|it| it.click_id).map(|id| id.to_string()),
            conversion_id: item.and_then(|it| it.conversion_id).map(|id| id.to_string()),
        }
    }
}

/// What the page is made of.
struct Loaded {
    request: RequestWithSecrets,
    source: String,
    settings: SourceSettings,
    read: Vec<Notification>,
}

async fn load(app: &App, actor: Actor, id: InboundRequestId) -> Result<Loaded, Error> {
    let request = requests::get(app, actor, id).await?;
    let read = requests::read_again(app, actor, id).await?;
    let (source, settings) = match sources::get(app, actor, request.request.source_id).await {
        Ok(found) => (found.source.name, found.source.settings),
        // It was deleted, and its log is kept.
        Err(Error::NotFound { .. }) => (request.request.source_id.to_string(), SourceSettings::default()),
        Err(error) => return Err(error),
    };
    Ok(Loaded { request, source, settings, read })
}

impl RequestPage {
    fn new(loaded: Loaded, hides_people: bool, may_replay: bool) -> Self {
        let Loaded { request: RequestWithSecrets { request, secrets }, source, settings, read } = loaded;
        let masked: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let hide = |text: &str| {
            let text = masking::mask(text, &masked);
            if hides_people { masking::hide_people(&text) } else { text }
        };
        let request = request.shown(&secrets, hides_people);
        let result = request.result.clone();
        let count = request.items.len().max(read.len());
        let (mut read, mut items) = (read.into_iter(), request.items.clone().into_iter());
        let shown = (0..count).map(|_| {
            let mut fields = read.next().map(|it| fields(&it, &settings, hides_people)).unwrap_or_default();
            for field in &mut fields {
                field.value = hide(&field.value);
            }
            ShownItem::new(items.next(), fields)
        });
        let shown = shown.collect();
        let (kind, icon) = match result.outcome {
            Outcome::Accepted => ("ok", "circle-check"),
            Outcome::Duplicate => ("off", "copy-check"),
            Outcome::Waiting => ("warn", "clock"),
            Outcome::Ignored => ("off", "circle-slash"),
            Outcome::Refused | Outcome::Failed => ("bad", "circle-x"),
        };
        Self {
            id: request.id.to_string(),
            status: result.outcome.into(),
            kind,
            icon,
            verdict: text(&format!("verdict.{}", result.outcome)),
            next_step: result.sentence.as_deref().map(|it| plain(as_sentence(it))),
            conversion_id: request.conversion_ids().first().map(ToString::to_string),
            source_id: request.source_id.to_string(),
            source,
            is_unknown_status: result.is("unknown_status"),
            items: shown,
            adapter_log: request.adapter_log.iter().map(|line| line.message.clone()).collect(),
            received_at: request.received_at,
            tries: request.tries.into(),
            due_at: request.due_at,
            repeats: request.repeats.max(0).cast_unsigned(),
            may_replay: may_replay && !matches!(result.outcome, Outcome::Accepted | Outcome::Duplicate),
            raw: request.raw.into(),
        }
    }

    fn reply(self, viewer: &Viewer) -> Reply<Self> {
        let title = text("request.title").time("at", self.received_at);
        viewer.page(title, self).below("/inbound-requests", text("requests.title"))
    }
}

impl Page for RequestPage {
    const TEMPLATE: &'static str = "inbound/request";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::delivery::delivery::AdapterLine;
        use domain::ids::{ClickId, ConversionId, SourceId};
        use domain::inbound::inbound_request::InboundRequest;
        use domain::inbound::notification::NotificationAmount;

        let at = Timestamp::from_millis(0);
        let word = |text: &str| Some(text.to_owned());
        let amount =
            || Some(NotificationAmount { text: "4.75".into(), currency: word("USD"), notation: Default::default() });
        let read = |status: &str| Notification {
            click_id: word("06a5 <b>"),
            transaction_id: word("T-1"),
            goal: word("lead"),
            status: word(status),
            rejection_reason: word("fraud"),
            payout: amount(),
            revenue: amount(),
            sale: amount(),
            occurred_at: word("2026-11-20"),
            attributes: vec![("country <b>".to_owned(), "DE".to_owned())],
        };
        let sample = |outcome: Outcome, code: Option<&str>, is_full: bool| {
            let raw = RawRequest {
                method: "GET".into(),
                path: "/in/****7777".into(),
                query: if is_full { "sessionId=1&amount=<b>".into() } else { String::new() },
                headers: vec![("user-agent".into(), "Net <b>".into())],
                body: if is_full { b"a=<b>".to_vec() } else { Vec::new() },
                truncated: is_full,
                remote_ip: is_full.then(|| "203.0.113.7".parse().expect("an address")),
            };
            let mut request = InboundRequest::arrived(InboundRequestId::new(at), SourceId::new(at), None, raw, at);
            let result = OutcomeDetails { outcome, code: code.map(str::to_owned), sentence: code.map(str::to_owned) };
            request.items = vec![Item {
                result: result.clone(),
                flags: if is_full { vec!["truncated_id".to_owned(), "left_out".to_owned()] } else { Vec::new() },
                notes: if is_full {
                    vec!["occurred_at was left out: \"<b>\" is not a time".to_owned()]
                } else {
                    Vec::new()
                },
                transaction_id: word("T-1"),
                status: word("approved"),
                click_id: is_full.then(|| ClickId::new(at)),
                conversion_id: is_full.then(|| ConversionId::new(at)),
            }];
            request.result = result;
            request.due_at = is_full.then_some(at);
            request.repeats = i64::from(is_full);
            if is_full {
                request.adapter_log = vec![AdapterLine::new("info", "read <b>")];
            }
            let settings = serde_json::json!({"statuses": {"hold": "ignored"}});
            let loaded = Loaded {
                request: RequestWithSecrets { request, secrets: Vec::new() },
                source: "My <b>".into(),
                settings: serde_json::from_value(settings).expect("settings"),
                read: if is_full { vec![read("approved"), read("hold"), read("gold")] } else { Vec::new() },
            };
            Self::new(loaded, is_full, true)
        };
        vec![
            sample(Outcome::Accepted, None, true),
            sample(Outcome::Waiting, Some("unknown_status"), true),
            sample(Outcome::Refused, Some("no_click_id"), false),
            sample(Outcome::Failed, Some("given_up"), true),
            sample(Outcome::Ignored, Some("test_ping"), false),
            sample(Outcome::Duplicate, Some("duplicate"), false),
        ]
    }
}

/// `GET /inbound-requests/{id}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<InboundRequestId>,
    uri: Uri,
) -> Result<Reply<RequestPage>, Problem> {
    let loaded = load(&app, actor, id).await?;
    let page = RequestPage::new(loaded, actor.buyers().hides(), may_manage(actor)).reply(&viewer);
    Ok(match ListUrl::of(&uri).get("done") {
        Some("replayed") => page.notice(text("request.replayed")),
        _ => page,
    })
}

/// `POST /inbound-requests/{id}/replay`
pub async fn replay(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<InboundRequestId>,
) -> Result<Response, Problem> {
    match requests::replay(&app, actor, id).await {
        Ok(changed) => {
            let before = changed.before.map_or_else(String::new, |it| it.request.result.outcome.to_string());
            let changes = of_word("outcome", &before, changed.now.request.result.outcome.as_str());
            let to = Redirect::to(&format!("/inbound-requests/{id}?done=replayed"));
            Ok((AuditedChanges::many(changes), to).into_response())
        }
        Err(error) => {
            let loaded = load(&app, actor, id).await?;
            let page = RequestPage::new(loaded, actor.buyers().hides(), may_manage(actor)).reply(&viewer);
            Ok(page.alert(&Problem::from(error)).into_response())
        }
    }
}
