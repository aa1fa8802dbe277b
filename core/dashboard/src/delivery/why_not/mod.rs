//! `/why-not`: why an event was sent to a postback, or why not: every check, and what would have to change.

pub mod checks;
pub mod names;

use std::str::FromStr;

use axum::extract::State;
use axum::http::Uri;
use domain::delivery::delivery::DeliveryState;
use domain::delivery::rules::explanation::Outcome;
use domain::ids::{ClickId, ConversionId, EventId, PostbackId};
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use engine::Error;
use engine::app::App;
use engine::delivery::deliveries;
use engine::delivery::explanations::{ExplainedEvent, Subject};
use engine::tracking::conversions;
use serde::Serialize;
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;

use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;
use crate::tracking::rows::PostbackNames;
use checks::Checks;

/// The parameters that name a subject, as those of the API.
const SUBJECTS: [&str; 3] = ["conversion_id", "click_id", "event_id"];

#[derive(Debug, Serialize)]
pub struct WhyNot {
    form: Form,
    /// The other events of the conversion.
    events: Vec<EventTab>,
    explained: Option<Explained>,
    /// A postback and a subject were chosen, and there is nothing to explain.
    is_empty: bool,
    /// The other postbacks, with the state of the conversion there.
    others: Vec<Other>,
}

#[derive(Debug, Serialize)]
struct EventTab {
    name: Text,
    at: Timestamp,
    url: String,
    current: bool,
}

/// The answer for one event.
#[derive(Debug, Serialize)]
struct Explained {
    status: ShownStatus,
    summary: String,
    checks: Checks,
    changes: Vec<String>,
    configured_at: Timestamp,
    /// What is known about the configuration of that time.
    configuration: Text,
    delivery_id: Option<String>,
    postback_id: String,
}

#[derive(Debug, Serialize)]
struct Other {
    name: String,
    url: String,
    status: Option<ShownStatus>,
}

impl Explained {
    fn of(explained: &ExplainedEvent, postback_id: PostbackId) -> Self {
        let explanation = &explained.explanation;
        Self {
            status: shown_outcome(explanation.outcome),
            summary: as_sentence(&explanation.summary),
            checks: Checks::of(explanation),
            changes: explanation.changes.iter().map(|it| as_sentence(it)).collect(),
            configured_at: explained.configured_at,
            configuration: text(&format!("why_not.configuration.{}", explanation.configuration)),
            delivery_id: explained.delivery_id.map(|id| id.to_string()),
            postback_id: postback_id.to_string(),
        }
    }
}

fn shown_outcome(outcome: Outcome) -> ShownStatus {
    match outcome {
        Outcome::NotFired => ShownStatus::of("off", "circle-slash", "why_not.not_fired"),
        Outcome::Unrouted => ShownStatus::of("info", "clock", "why_not.unrouted"),
        Outcome::Pending => DeliveryState::Pending.into(),
        Outcome::Success => DeliveryState::Success.into(),
        Outcome::Failed => DeliveryState::Failed.into(),
        Outcome::Cancelled => DeliveryState::Cancelled.into(),
        Outcome::Superseded => DeliveryState::Superseded.into(),
    }
}

/// What an event says, as the name of its tab.
fn event_name(event: &Event) -> Text {
    match (&event.facts.name, event.status()) {
        (Some(name), _) => plain(name),
        (None, Some(status)) => text(&format!("status.{}", status.word())),
        (None, None) => text(&format!("why_not.action.{}", event.action)),
    }
}

/// The subject of the URL: an id under its name, or what a person typed: an id or a transaction id.
async fn subject(app: &App, actor: Actor, url: &ListUrl) -> Result<Option<Subject>, Problem> {
    if let Some(id) = crate::tracking::filter_of::<ConversionId>(url, "conversion_id")? {
        return Ok(Some(Subject::Conversion(id)));
    }
    if let Some(id) = crate::tracking::filter_of::<ClickId>(url, "click_id")? {
        return Ok(Some(Subject::Click(id)));
    }
    if let Some(id) = crate::tracking::filter_of::<EventId>(url, "event_id")? {
        return Ok(Some(Subject::Event(id)));
    }
    let Some(typed) = url.get("subject").map(str::trim) else { return Ok(None) };
    let begins = |prefix: &str| typed.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix));
    if begins(ConversionId::PREFIX)
        && let Ok(id) = typed.parse()
    {
        return Ok(Some(Subject::Conversion(id)));
    }
    if begins(EventId::PREFIX)
        && let Ok(id) = typed.parse()
    {
        return Ok(Some(Subject::Event(id)));
    }
    let filter = storage::tracking::conversions::Filter {
        transaction_id: Some(typed.to_owned()),
        ..storage::tracking::conversions::Filter::default()
    };
    let found = conversions::list(app, actor, filter, PageRequest::first(1)).await?.items.pop();
    match found {
        Some(conversion) => Ok(Some(Subject::Conversion(conversion.id))),
        None => match ClickId::from_str(typed) {
            Ok(id) => Ok(Some(Subject::Click(id))),
            Err(_) => {
                Err(Error::not_found("conversion, click or event", typed.chars().take(64).collect::<String>()).into())
            }
        },
    }
}

fn written(subject: Option<Subject>) -> (&'static str, String) {
    match subject {
        None => ("subject", String::new()),
        Some(Subject::Conversion(id)) => ("conversion_id", id.to_string()),
        Some(Subject::Click(id)) => ("click_id", id.to_string()),
        Some(Subject::Event(id)) => ("event_id", id.to_string()),
    }
}

impl WhyNot {
    fn form(typed: &str, chosen: &str, postbacks: Vec<(String, Text)>) -> Form {
        let choose = (String::new(), text("why_not.choose"));
        let choices = std::iter::once(choose).chain(postbacks);
        Form::new([
            Field::text("subject", "why_not.subject").value(typed).length(None, 200).required(),
            Field::select("postback_id", "why_not.postback", chosen, choices),
        ])
    }

    async fn load(app: &App, actor: Actor, url: &ListUrl) -> Result<Self, Problem> {
        let names = PostbackNames::load(app, actor).await?;
        let postback_id = crate::tracking::filter_of::<PostbackId>(url, "postback_id")?;
        let subject = subject(app, actor, url).await?;
        let explained = match (postback_id, subject) {
            (Some(postback), Some(subject)) => Some(names::explain(app, actor, postback, subject).await?),
            _ => None,
        };
        let (name, id) = written(subject);
        let typed = url.get("subject").map_or_else(|| id.clone(), str::to_owned);
        let chosen = postback_id.map(|id| id.to_string()).unwrap_or_default();
        let shown = url.get("shown");
        let items = explained.as_deref().unwrap_or_default();
        let current = items.iter().position(|it| shown == Some(&*it.event.id.to_string())).unwrap_or_default();
        let without = url.without(&["subject", "shown"]).without(&SUBJECTS);
        let with_subject = ListUrl::of(&without.with(name, Some(&id)).parse().expect("a path with a query"));
        let tab = |(at, it): (usize, &ExplainedEvent)| EventTab {
            name: event_name(&it.event),
            at: it.event.occurred_at,
            url: with_subject.with("shown", Some(&it.event.id.to_string())),
            current: at == current,
        };
        let tabs: Vec<_> = items.iter().enumerate().map(tab).collect();
        let answer = items.get(current).zip(postback_id);
        let others = match subject {
            Some(subject) => others(app, actor, subject, &names, &with_subject, &chosen).await?,
            None => Vec::new(),
        };
        Ok(Self {
            form: Self::form(&typed, &chosen, names.choices()),
            events: if tabs.len() > 1 { tabs } else { Vec::new() },
            explained: answer.map(|(it, postback)| Explained::of(it, postback)),
            is_empty: explained.as_ref().is_some_and(Vec::is_empty),
            others,
        })
    }
}

/// The other postbacks of the caller. Those of a conversion are shown with the state of its newest delivery.
async fn others(
    app: &App,
    actor: Actor,
    subject: Subject,
    names: &PostbackNames,
    url: &ListUrl,
    chosen: &str,
) -> Result<Vec<Other>, Error> {
    let newest = match subject {
        Subject::Conversion(id) => deliveries::newest_of(app, actor, [id]).await?,
        Subject::Click(_) | Subject::Event(_) => Vec::new(),
    };
    let other = |(id, name): (String, Text)| Other {
        status: newest.iter().find(|it| it.postback_id.to_string() == id).map(|it| it.state.into()),
        name: match name {
            Text::Plain { plain } => plain,
            Text::Key { key, .. } => key,
        },
        url: url.with("postback_id", Some(&id)),
    };
    Ok(names.choices().into_iter().filter(|(id, _)| id != chosen).map(other).collect())
}

impl Page for WhyNot {
    const TEMPLATE: &'static str = "delivery/why_not";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::delivery::rules::explanation::Configuration;

        let at = Timestamp::from_millis(0);
        let form = || Self::form("HM-<b>", "pbk_1", vec![("pbk_1".to_owned(), plain("Voluum <b>"))]);
        let tab = |current| EventTab { name: text("status.approved"), at, url: "/why-not?shown=evt_1".into(), current };
        let other = |status| Other { name: "Keitaro <b>".into(), url: "/why-not?postback_id=pbk_2".into(), status };
        let explained = |configuration: Configuration, is_full: bool| Explained {
            status: shown_outcome(Outcome::NotFired),
            summary: "It did not fire: <b>.".into(),
            checks: Checks::sample(),
            changes: is_full.then(|| "Set <b>.".into()).into_iter().collect(),
            configured_at: at,
            configuration: text(&format!("why_not.configuration.{configuration}")),
            delivery_id: is_full.then(|| "dlv_1".into()),
            postback_id: "pbk_1".into(),
        };
        vec![
            Self {
                form: form(),
                events: vec![tab(true), tab(false)],
                explained: Some(explained(Configuration::Known, true)),
                is_empty: false,
                others: vec![other(None), other(Some(DeliveryState::Success.into()))],
            },
            Self {
                form: form(),
                events: Vec::new(),
                explained: Some(explained(Configuration::ChangedSince, false)),
                is_empty: false,
                others: Vec::new(),
            },
            Self { form: form(), events: Vec::new(), explained: None, is_empty: true, others: Vec::new() },
            Self { form: form(), events: Vec::new(), explained: None, is_empty: false, others: Vec::new() },
        ]
    }
}

/// `GET /why-not`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<WhyNot>, Problem> {
    let url = ListUrl::of(&uri);
    let reply = |page| viewer.page(text("why_not.title"), page).lead(text("why_not.lead"));
    match WhyNot::load(&app, actor, &url).await {
        Ok(page) => Ok(reply(page)),
        // What was typed stays in the form.
        Err(problem) if url.get("subject").is_some() => {
            let names = PostbackNames::load(&app, actor).await?;
            let typed = url.get("subject").unwrap_or_default();
            let mut form = WhyNot::form(typed, url.get("postback_id").unwrap_or_default(), names.choices());
            form.refuse_at("subject", text("why_not.unknown"));
            let page = WhyNot { form, events: Vec::new(), explained: None, is_empty: false, others: Vec::new() };
            Ok(reply(page).status_of(&problem))
        }
        Err(problem) => Err(problem),
    }
}
