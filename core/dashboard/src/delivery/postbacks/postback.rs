//! `/postbacks/{id}`: whether a postback is live, its rule and configuration, and its last deliveries.

use axum::extract::State;
use axum::http::Uri;
use domain::delivery::approval::Approval;
use domain::delivery::lane::breaker::Breaker;
use domain::delivery::postback::{Postback, Status};
use domain::delivery::verification::Verification;
use domain::ids::PostbackId;
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::delivery::deliveries::{self, LoggedDelivery};
use engine::delivery::postbacks::{self, ListedPostback};
use serde::Serialize;
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::config::{ColouredUrl, ConfigValue, ExampleRequest, values};
use super::rule::{RuleText, ScopeNames, affiliate_name};
use super::{may_approve, may_change, shown_status};
use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

/// The number of deliveries that the page shows.
const DELIVERIES: u64 = 8;

#[derive(Debug, Serialize)]
pub struct PostbackPage {
    id: String,
    name: String,
    version: i32,
    status: ShownStatus,
    answer: Answer,
    rule: RuleText,
    facts: Vec<Fact>,
    example: ExampleRequest,
    values: Vec<ConfigValue>,
    deliveries: Vec<DeliveryRow>,
    health: Option<Health>,
    test: Option<TestResult>,
    is_enabled: bool,
    may_change: bool,
    can_approve: bool,
    /// The form of staff for a postback that needs approval.
    refusal: Option<Form>,
}

/// The answer to the question whether the postback works.
#[derive(Debug, Serialize)]
struct Answer {
    kind: &'static str,
    icon: &'static str,
    title: Text,
    detail: Text,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: Text,
    value: Text,
    url: Option<String>,
    at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct DeliveryRow {
    id: String,
    at: Timestamp,
    status: ShownStatus,
    reason: Option<String>,
    conversion_id: Option<String>,
    /// The HTTP status or the error of the last attempt.
    code: Option<String>,
    code_kind: &'static str,
}

/// The state of a paused destination.
#[derive(Debug, Serialize)]
struct Health {
    destination: String,
    since: Timestamp,
    reason: String,
    failures: u64,
    probe_at: Timestamp,
}

/// The answer to a test request.
#[derive(Debug, Serialize)]
struct TestResult {
    kind: &'static str,
    icon: &'static str,
    title: Text,
    detail: Option<String>,
    url: ColouredUrl,
    method: String,
    http_status: Option<u16>,
    body: Option<String>,
}

/// The form that refuses a postback.
fn refusal(reason: &str) -> Form {
    let reason = Field::text("reason", "postback_page.reason").value(reason).length(None, 500).required();
    Form::new([reason.help("postback_page.reason_help")])
}

impl From<LoggedDelivery> for DeliveryRow {
    fn from(logged: LoggedDelivery) -> Self {
        let delivery = logged.delivery;
        let last = logged.attempts.last();
        let code = last.and_then(|it| it.status.map(|status| status.to_string()).or_else(|| it.error_code.clone()));
        let is_good = last.is_some_and(|it| it.status.is_some_and(|status| status < 300));
        Self {
            id: delivery.id.to_string(),
            at: delivery.created_at,
            status: delivery.state.into(),
            reason: delivery.reason.map(|reason| reason.sentence),
            conversion_id: delivery.conversion_id.map(|id| id.to_string()),
            code,
            code_kind: if is_good { "ok" } else { "bad" },
        }
    }
}

impl Health {
    fn of(breaker: &Breaker) -> Self {
        Self {
            destination: breaker.lane.destination.to_string(),
            since: breaker.opened_at,
            reason: breaker.reason.sentence.clone(),
            failures: breaker.failures.into(),
            probe_at: breaker.probe_at,
        }
    }
}

impl TestResult {
    fn of(verification: Verification) -> Self {
        let millis = u64::try_from(verification.duration.as_millis()).unwrap_or(u64::MAX);
        let (kind, icon, key) = match verification.accepted {
            true => ("ok", "circle-check", "postback_page.test_accepted"),
            false => ("bad", "circle-x", "postback_page.test_refused"),
        };
        Self {
            kind,
            icon,
            title: text(key).count("count", millis),
            detail: verification.error,
            url: ColouredUrl::of(&verification.url),
            method: verification.method,
            http_status: verification.status,
            body: verification.body.filter(|body| !body.is_empty()),
        }
    }
}

fn answer(actor: Actor, listed: &ListedPostback, breaker: Option<&Breaker>) -> Answer {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    let (success, failed) = (count(listed.activity.success), count(listed.activity.failed));
    let (kind, icon, title, detail) = match listed.status() {
        Status::AwaitingApproval if actor.is_staff() => {
            ("warn", "hourglass", text("postback_page.awaits_you"), text("postback_page.awaits_you_detail"))
        }
        Status::AwaitingApproval => {
            ("warn", "hourglass", text("postback_page.awaits"), text("postback_page.awaits_detail"))
        }
        Status::Refused => {
            let reason = listed.postback.refusal_reason.clone().unwrap_or_default();
            let detail = if actor.is_staff() { "postback_page.refused_staff" } else { "postback_page.refused_detail" };
            ("bad", "circle-x", text("postback_page.refused").with("reason", reason), text(detail))
        }
        Status::Off => ("off", "circle-slash", text("postback_page.off"), text("postback_page.off_detail")),
        Status::Failing => {
            let title = match breaker {
                Some(it) => text("postback_page.failing_since").time("since", it.opened_at),
                None => text("postback_page.failing"),
            };
            ("bad", "circle-x", title, text("postback_page.failing_detail"))
        }
        Status::Live if failed > 0 => {
            let detail =
                text("postback_page.some_failed").inner("success", plain(success.to_string())).count("count", failed);
            ("warn", "triangle-alert", text("postback_page.live"), detail)
        }
        Status::Live if success > 0 => (
            "ok",
            "circle-check",
            text("postback_page.live"),
            text("postback_page.all_accepted").count("count", success),
        ),
        Status::Live => ("ok", "circle-check", text("postback_page.live"), text("postback_page.nothing_due")),
    };
    Answer { kind, icon, title, detail }
}

async fn facts(app: &App, actor: Actor, postback: &Postback) -> Result<Vec<Fact>, Error> {
    let fact = |key: &str, value: Text| Fact { name: text(key), value, url: None, at: None };
    let mut facts = Vec::new();
    if actor.is_staff() {
        let owner = match postback.owner {
            Some(id) => plain(affiliate_name(app, id).await?),
            None => text("postbacks.program"),
        };
        let url = postback.owner.map(|id| format!("/postbacks?owner_affiliate_id={id}"));
        facts.push(Fact { url, ..fact("postbacks.owner", owner) });
    }
    let made_from = postback.template.as_ref().unwrap_or(&postback.adapter);
    facts.push(fact("postback_page.made_from", plain(made_from)));
    facts.push(fact("postbacks.adapter", plain(format!("{} {}", postback.adapter, postback.adapter_version))));
    let url = Some(format!("/postbacks/{}/versions", postback.id));
    let version = text("postback_page.version_number").with("number", postback.version.to_string());
    facts.push(Fact { url, ..fact("postback_page.version", version) });
    facts.push(Fact { at: Some(postback.created_at), ..fact("postback_page.created", plain("")) });
    facts.push(match postback.verified_at {
        Some(at) => Fact { at: Some(at), ..fact("postback_page.tested", plain("")) },
        None => fact("postback_page.tested", text("postback_page.never")),
    });
    Ok(facts)
}

impl PostbackPage {
    pub async fn load(app: &App, actor: Actor, id: PostbackId) -> Result<Self, Error> {
        let listed = postbacks::get_listed(app, actor, id).await?;
        let breaker = match listed.activity.is_paused {
            true => postbacks::breaker(app, actor, id).await?,
            false => None,
        };
        let postback = &listed.postback;
        let names = ScopeNames::load(app, postback.rule.scope).await?;
        let filter = storage::delivery::deliveries::Filter { postback_id: Some(id), ..Default::default() };
        let last = deliveries::list(app, actor, filter, PageRequest::first(DELIVERIES)).await?.items;
        let needs_approval = postback.approval != Approval::NotRequired && may_approve(actor);
        Ok(Self {
            id: id.to_string(),
            name: postback.name.clone(),
            version: postback.version,
            status: shown_status(listed.status()),
            answer: answer(actor, &listed, breaker.as_ref()),
            rule: RuleText::new(&postback.rule, &names),
            facts: facts(app, actor, postback).await?,
            example: ExampleRequest::load(app, actor, id).await?,
            values: values(&postback.config),
            deliveries: last.into_iter().map(DeliveryRow::from).collect(),
            health: breaker.as_ref().map(Health::of),
            test: None,
            is_enabled: postback.enabled,
            may_change: may_change(actor),
            can_approve: needs_approval && postback.approval != Approval::Approved,
            refusal: needs_approval.then(|| refusal("")),
        })
    }

    /// Shows the answer to a test request.
    pub fn with_test(mut self, verification: Verification) -> Self {
        self.test = Some(TestResult::of(verification));
        self
    }

    /// Shows the errors of a refusal in its form. Returns whether all of them are shown there.
    pub fn refuse(&mut self, reason: &str, problem: &Problem) -> bool {
        let Some(form) = &mut self.refusal else { return false };
        *form = refusal(reason);
        form.refuse(problem)
    }

    pub fn reply(self, viewer: &Viewer) -> Reply<Self> {
        let title = plain(&self.name);
        viewer.page(title, self).below("/postbacks", text("nav.postbacks"))
    }
}

/// `GET /postbacks/{id}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    uri: Uri,
) -> Result<Reply<PostbackPage>, Problem> {
    let page = PostbackPage::load(&app, actor, id).await?.reply(&viewer);
    Ok(match ListUrl::of(&uri).get("done") {
        Some(done @ ("created" | "saved" | "duplicated" | "on" | "off" | "approved" | "refused" | "restored")) => {
            page.notice(text(&format!("postback_done.{done}")))
        }
        _ => page,
    })
}

impl Page for PostbackPage {
    const TEMPLATE: &'static str = "delivery/postback";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use std::time::Duration;

        let at = Timestamp::from_millis(1_763_647_000_000);
        let verification = |accepted: bool| Verification {
            accepted,
            method: "GET".into(),
            url: "https://tracker.example/p?cid=<b>&key=***".into(),
            status: accepted.then_some(200),
            body: Some("OK <b>".into()),
            error_code: None,
            error: (!accepted).then(|| "it <b> failed".into()),
            duration: Duration::from_millis(84),
        };
        let states = [Status::Live, Status::Failing, Status::Off, Status::AwaitingApproval, Status::Refused];
        let rules = super::rule::samples::rules();
        let [get, post, none] = super::config::samples::examples();
        let mut examples = [Some(get), Some(post), Some(none), None, None];
        let samples = states.into_iter().enumerate().map(|(number, status)| {
            let fact = |url: bool, at| Fact {
                name: text("postbacks.owner"),
                value: plain("Ada <b>"),
                url: url.then(|| "/postbacks?owner=program".into()),
                at,
            };
            let mut page = Self {
                id: "pbk_06a5xk2m7q8r9stvwxyz012345".into(),
                name: "Voluum <b>".into(),
                version: 3,
                status: shown_status(status),
                answer: Answer {
                    kind: "warn",
                    icon: "hourglass",
                    title: text("postback_page.refused").with("reason", "not <b> yours"),
                    detail: text("postback_page.off_detail"),
                },
                rule: rules[number].clone(),
                facts: vec![fact(true, None), fact(false, Some(at)), fact(false, None)],
                example: examples[number].take().unwrap_or_default(),
                values: values(&serde_json::json!({"base_url": "https://a.example/<b>", "key": "••••ab"})),
                deliveries: Vec::new(),
                health: (status == Status::Failing).then(|| Health {
                    destination: "https://a.example".into(),
                    since: at,
                    reason: "it <b> failed".into(),
                    failures: 20,
                    probe_at: at,
                }),
                test: None,
                is_enabled: number % 2 == 0,
                may_change: number != 4,
                can_approve: number == 3,
                refusal: (number > 2).then(|| refusal("not <b>")),
            };
            if number < 2 {
                page = page.with_test(verification(number == 0));
            }
            let delivery = |full: bool| DeliveryRow {
                id: "dlv_06a5xk2m7q8r9stvwxyz012345".into(),
                at,
                status: domain::delivery::delivery::DeliveryState::Failed.into(),
                reason: full.then(|| "it <b> failed".into()),
                conversion_id: full.then(|| "cnv_06a5xk2m7q8r9stvwxyz012345".into()),
                code: full.then(|| "503".into()),
                code_kind: "bad",
            };
            if number % 2 == 0 {
                page.deliveries = vec![delivery(true), delivery(false)];
            }
            page
        });
        samples.collect()
    }
}
