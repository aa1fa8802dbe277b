//! What the postback would send: a preview beside the form, and a test with the real answer.

use domain::delivery::rules::check::CheckResult;
use domain::delivery::verification::Verification;
use domain::people::actor::Actor;
use domain::tracking::event::Event;
use engine::Error;
use engine::app::App;
use engine::delivery::estimates::Estimate;
use engine::delivery::postbacks::Preview;
use engine::delivery::sending::Logged;
use engine::tracking::events;
use serde::Serialize;
use serde_json::Value;
use storage::base::page::PageRequest;
use storage::tracking::events::Filter;
use web::errors::Problem;

use super::draft::Draft;
use super::url::ShownUrl;
use crate::parts::field::Field;
use crate::parts::status::ShownStatus;
use crate::shell::page::Page;
use crate::shell::sentence::{as_sentence, sentence};
use crate::shell::texts::{Text, plain, text};

/// The latest events from which a person can choose one.
const EVENTS: u64 = 20;

/// The preview as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewCard {
    status: ShownStatus,
    events: Field,
    request: Option<ShownRequest>,
    /// What is missing or wrong.
    issues: Vec<Text>,
    /// Why it would not fire.
    refusals: Vec<Text>,
    /// The adapter and its version.
    adapter: String,
}

/// A request with its answer, or without.
#[derive(Clone, Debug, Serialize)]
pub struct ShownRequest {
    url: ShownUrl,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl ShownRequest {
    fn new(request: Logged, config: &Value) -> Self {
        Self {
            url: ShownUrl::new(&request.method, &request.url, config),
            headers: request.headers,
            body: request.body.map(indented),
        }
    }
}

/// JSON on several lines; other text as it is.
fn indented(body: String) -> String {
    let json = serde_json::from_str::<Value>(&body).ok().filter(|it| it.is_object() || it.is_array());
    json.and_then(|it| serde_json::to_string_pretty(&it).ok()).unwrap_or(body)
}

/// A test as the page shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TestCard {
    answer: Option<Answer>,
    /// Why the test was not sent.
    problem: Option<Text>,
    request: Option<ShownRequest>,
}

#[derive(Clone, Debug, Serialize)]
struct Answer {
    status: ShownStatus,
    is_accepted: bool,
    /// The HTTP status.
    code: Option<u16>,
    duration_ms: u64,
    /// What the answer means.
    sentence: Text,
    method: String,
    url: String,
    body: Option<String>,
}

impl From<Verification> for Answer {
    fn from(verification: Verification) -> Self {
        let Verification { accepted, method, url, status, body, error, duration, .. } = verification;
        Self {
            status: match accepted {
                true => ShownStatus::of("ok", "circle-check", "editor.accepted"),
                false => ShownStatus::of("bad", "circle-x", "editor.not_accepted"),
            },
            is_accepted: accepted,
            code: status,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            sentence: match error {
                _ if accepted => text("editor.accepted_text"),
                Some(error) => plain(as_sentence(&error)),
                None => text("editor.not_accepted_text"),
            },
            method,
            url,
            body: body.map(indented).filter(|it| !it.is_empty()),
        }
    }
}

impl TestCard {
    /// The answer to the test request before saving.
    pub fn answered(verification: Verification) -> Self {
        Self { answer: Some(verification.into()), ..Self::default() }
    }

    pub fn of_preview(preview: Preview, config: &Value) -> Self {
        let problem = preview.request.as_ref().err().map(|error| plain(as_sentence(&error.to_string())));
        let request = preview.request.ok().map(|it| ShownRequest::new(it, config));
        Self { answer: preview.answer.map(Answer::from), problem, request }
    }

    pub fn refused(error: Error) -> Self {
        let problem = Problem::from(error);
        let problem = match problem.errors() {
            [] => sentence(&problem),
            _ => text("editor.incomplete_text"),
        };
        Self { problem: Some(problem), ..Self::default() }
    }

    /// The destination did not accept the test.
    pub fn is_refused(&self) -> bool {
        self.answer.as_ref().is_some_and(|it| !it.is_accepted)
    }
}

/// The name of an event in the list of events.
fn name_of(event: &Event) -> Text {
    let (what, status) = match &event.facts.conversion {
        Some(conversion) => (conversion.transaction_id.clone(), text(&format!("status.{}", conversion.status.word()))),
        None => (event.id.to_string(), text(&format!("action.{}", event.action))),
    };
    let named = text("editor.event_named").with("what", what).with("offer", &event.facts.offer.name);
    named.inner("status", status).time("at", event.occurred_at)
}

/// The latest events of the caller, as choices after the sample.
pub async fn events_of(app: &App, actor: Actor, draft: &Draft) -> Result<Vec<Event>, Error> {
    let affiliate_id = draft.saved.as_ref().and_then(|it| it.owner);
    let filter = Filter { affiliate_id, ..Filter::default() };
    Ok(events::list(app, actor, filter, PageRequest::first(EVENTS)).await?.items)
}

impl PreviewCard {
    pub fn new(draft: &Draft, events: &[Event], shown: Result<Preview, Error>) -> Self {
        let sample = (String::new(), text("editor.sample"));
        let chosen = draft.event.map(|it| it.to_string()).unwrap_or_default();
        let events = events.iter().map(|it| (it.id.to_string(), name_of(it)));
        let descriptor = draft.adapter.descriptor();
        let card = Self {
            status: ShownStatus::of("off", "circle-dashed", "editor.incomplete"),
            events: Field::select("event", "editor.event", &chosen, std::iter::once(sample).chain(events)),
            request: None,
            issues: Vec::new(),
            refusals: Vec::new(),
            adapter: format!("{} {}", descriptor.title, descriptor.version),
        };
        match shown {
            Ok(preview) => card.filled(preview, draft.shown_config()),
            Err(error) => {
                let problem = Problem::from(error);
                let of_fields = problem.errors().iter().map(|it| plain(as_sentence(&it.message)));
                let issues: Vec<_> = of_fields.collect();
                Self { issues: if issues.is_empty() { vec![sentence(&problem)] } else { issues }, ..card }
            }
        }
    }

    fn filled(self, preview: Preview, config: &Value) -> Self {
        let status = match preview.fires {
            Some(true) => ShownStatus::of("ok", "circle-check", "editor.would_fire"),
            Some(false) => ShownStatus::of("off", "circle-slash", "editor.would_not_fire"),
            None => ShownStatus::of("warn", "circle-question-mark", "editor.cannot_tell"),
        };
        let failed = preview.checks.into_iter().filter(|it| it.result == CheckResult::Failed);
        let refusals = failed.map(|it| plain(as_sentence(&it.detail))).collect();
        let (request, issues) = match preview.request {
            Ok(request) => (Some(ShownRequest::new(request, config)), Vec::new()),
            Err(error) => (None, vec![plain(as_sentence(&error.to_string()))]),
        };
        Self { status, request, issues, refusals, ..self }
    }
}

/// How often the rule would have been fired.
#[derive(Clone, Debug, Serialize)]
pub struct EstimateCard {
    sentence: Option<Text>,
    is_capped: bool,
    examined: u64,
}

impl EstimateCard {
    /// Not counted yet.
    pub fn open() -> Self {
        Self { sentence: None, is_capped: false, examined: 0 }
    }

    pub fn new(counted: Result<Estimate, Error>) -> Self {
        match counted {
            Ok(it) => Self {
                sentence: Some(text("editor.would_have_fired").count("count", it.fired)),
                is_capped: it.is_capped,
                examined: it.examined,
            },
            Err(error) => Self { sentence: Some(sentence(&Problem::from(error))), ..Self::open() },
        }
    }
}

/// The part of the page that follows what a person types.
#[derive(Debug, Serialize)]
pub struct PreviewPart {
    pub preview: PreviewCard,
    pub sentence: Option<Text>,
}

/// The part of the page with the test.
#[derive(Debug, Serialize)]
pub struct TestPart {
    pub test: TestCard,
}

/// The part of the page with the estimate.
#[derive(Debug, Serialize)]
pub struct EstimatePart {
    pub estimate: EstimateCard,
    pub path: String,
}

impl Page for PreviewPart {
    const TEMPLATE: &'static str = "parts/editor/preview_part";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        Vec::new()
    }
}

impl Page for TestPart {
    const TEMPLATE: &'static str = "parts/editor/test_part";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        Vec::new()
    }
}

impl Page for EstimatePart {
    const TEMPLATE: &'static str = "parts/editor/estimate_part";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        Vec::new()
    }
}

/// Contexts for samples of the page.
#[cfg(test)]
pub mod samples {
    use super::*;

    pub fn preview(is_complete: bool) -> PreviewCard {
        let config = serde_json::json!({"parameters": [{"name": "cid", "macro": "external_click_id"}]});
        let url = ShownUrl::new("POST", "https://t.example/p?cid=x&empty=&<b>=1", &config);
        let request = ShownRequest { url, headers: vec![("accept".into(), "<b>".into())], body: Some("{}".into()) };
        let sentences = if is_complete { Vec::new() } else { vec![plain("Tracking <b> domain is missing.")] };
        PreviewCard {
            status: ShownStatus::of("ok", "circle-check", "editor.would_fire"),
            events: Field::select("event", "editor.event", "", [(String::new(), text("editor.sample"))]),
            request: is_complete.then_some(request),
            issues: sentences.clone(),
            refusals: sentences,
            adapter: "Macro URL 1.0.0".into(),
        }
    }

    pub fn test(accepted: bool) -> TestCard {
        let verification = Verification {
            accepted,
            method: "GET".into(),
            url: "https://t.example/<b>".into(),
            status: Some(if accepted { 200 } else { 403 }),
            body: Some("<b>Forbidden".into()),
            error_code: None,
            error: None,
            duration: std::time::Duration::from_millis(96),
        };
        let request = preview(true).request;
        TestCard { request, problem: Some(plain("<b>busy")), ..TestCard::answered(verification) }
    }

    pub fn estimate() -> EstimateCard {
        let estimate = Estimate {
            fired: 23,
            examined: 10_000,
            is_capped: true,
            from: domain::timestamp::Timestamp::from_millis(0),
            until: domain::timestamp::Timestamp::from_millis(1),
        };
        EstimateCard::new(Ok(estimate))
    }
}
