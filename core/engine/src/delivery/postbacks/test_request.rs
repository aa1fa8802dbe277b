//! The test request: a real request of a postback with sample values.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::Error;
use crate::app::App;
use crate::delivery::adapters::CallLine;
use crate::delivery::plan::Plan;
use crate::delivery::secrets::SecretError;
use crate::delivery::sending::{BODY_LOG_BYTES, Logged, classify_test, text};
use crate::delivery::{samples, wire};
use crate::program::quota;
use crate::tracking::clicks;
use domain::delivery::postback::Postback;
use domain::delivery::sending::verdict::Verdict;
use domain::delivery::verification::Verification;
use domain::people::actor::Actor;
use domain::tracking::event::Event;
use host::{Adapter, wire as contract};
use storage::base::page::PageRequest;
use storage::tracking::clicks::{Filter, VisitFilter};

/// A rendered test request.
pub(super) struct TestRequest {
    plan: Plan,
    context: contract::Context,
    request: contract::Request,
}

/// The sample event of test requests.
pub(super) fn sample(app: &App, postback: &Postback) -> Event {
    samples::event_for(&postback.rule, app.clock.now())
}

/// Renders the test request with the sample.
pub(super) async fn render_test_request(
    app: &App,
    adapter: &Arc<Adapter>,
    postback: &Postback,
) -> Result<TestRequest, Error> {
    render(app, adapter, postback, &sample(app, postback)).await
}

/// Renders the test request with an event.
pub(super) async fn render(
    app: &App,
    adapter: &Arc<Adapter>,
    postback: &Postback,
    event: &Event,
) -> Result<TestRequest, Error> {
    let context = wire::context(app.clock.now(), 1, true, format!("test-{}", postback.id));
    let buyers = app.catalog.buyer_visibility().await?;
    let plan = Plan::new(&app.vault, buyers, Arc::new(postback.clone()), adapter.clone())?;
    let event = plan.event(event);
    let (line, binding, callee, ctx) =
        (CallLine::of(postback.owner, adapter), plan.binding.clone(), adapter.clone(), context.clone());
    let rendered =
        app.adapters.pool().ask(line, move || callee.session().render(&ctx, &binding, &event)).await.flatten();
    let request = rendered.map_err(|error| plan.redact(error))?;
    Ok(TestRequest { plan, context, request })
}

impl TestRequest {
    /// The request as the log shows it.
    pub(super) fn logged(&self) -> Logged {
        Logged::of(&self.request, &self.plan)
    }

    /// The origin to which the secrets of the request go, if the configuration chooses the host.
    fn chosen_origin(&self) -> Option<String> {
        let chosen = self.plan.adapter.descriptor().hosts.iter().any(|host| host == "*");
        let url =
            Url::parse(&self.request.url).ok().filter(|_| chosen && self.plan.secrets.uses_secrets(&self.request))?;
        Some(url.origin().ascii_serialization())
    }

    /// Refuses secrets that would go to another origin than those they are bound to.
    pub(super) fn check_destination(&self, postback: &Postback) -> Result<(), Error> {
        match self.chosen_origin() {
            Some(origin) if !postback.secret_origins.contains(&origin) => {
                Err(SecretError::OriginRefused { origin, allowed: postback.secret_origins.join(", ") }.into())
            }
            _ => Ok(()),
        }
    }
}

/// Refuses secrets that were not bound to an origin before the configuration changed.
pub(super) fn refuse_unbound(test_request: TestRequest) -> Result<(), Error> {
    match test_request.chosen_origin() {
        Some(origin) => Err(SecretError::OriginRefused { origin, allowed: "nowhere yet".to_owned() }.into()),
        None => Ok(()),
    }
}

/// Binds secrets to the origin of the configuration with which they were entered. Later they are sent to no other
/// origin.
pub(crate) async fn bind_secrets(
    app: &App,
    adapter: &Arc<Adapter>,
    postback: &mut Postback,
    must_render: bool,
) -> Result<(), Error> {
    match render_test_request(app, adapter, postback).await {
        Ok(test_request) => postback.secret_origins.extend(test_request.chosen_origin()),
        // A disabled postback may be unfinished; its secrets are bound when it is enabled.
        Err(error) if must_render => return Err(error),
        Err(_) => {}
    }
    Ok(())
}

/// The tracker's click id in a test request. Many trackers refuse a click id that they did not give out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum TestClick {
    /// The sample, which no tracker knows.
    #[default]
    Sample,
    /// That of the newest click that the postback may send.
    Newest,
    /// This one.
    Given(String),
}

/// The most characters of a click id that a person enters.
const CLICK_ID_MAX_CHARS: usize = 2_048;

impl TestClick {
    /// The word for [`TestClick::Newest`].
    pub const NEWEST: &str = "newest";

    /// What a person entered: nothing, an id, or `newest`.
    pub fn of(entered: Option<&str>) -> Self {
        match entered.map(str::trim).unwrap_or_default() {
            "" => Self::Sample,
            Self::NEWEST => Self::Newest,
            id => Self::Given(id.chars().take(CLICK_ID_MAX_CHARS + 1).collect()),
        }
    }
}

/// The event of a test request: the sample, with a click id that the tracker knows, if one is wanted.
///
/// # Errors
///
/// The id is too long, or no click has one.
pub(super) async fn event_of_test(
    app: &App,
    actor: Actor,
    postback: &Postback,
    click: &TestClick,
) -> Result<Event, Error> {
    let mut event = sample(app, postback);
    let id = match click {
        TestClick::Sample => return Ok(event),
        TestClick::Given(id) if id.chars().count() > CLICK_ID_MAX_CHARS => {
            let message = format!("has more than {CLICK_ID_MAX_CHARS} characters; enter a click id of the tracker");
            return Err(Error::invalid("/test_click_id", message));
        }
        TestClick::Given(id) => id.clone(),
        TestClick::Newest => newest_click_id(app, actor, postback).await?,
    };
    if let Some(click) = &mut event.facts.click {
        click.external_id = Some(id);
    }
    Ok(event)
}

/// The number of clicks among which the newest with a tracker's click id is searched.
const EXAMINED_CLICKS: u64 = 200;

async fn newest_click_id(app: &App, actor: Actor, postback: &Postback) -> Result<String, Error> {
    let filter = Filter {
        affiliate_id: postback.owner.or(postback.rule.scope.affiliate_id),
        offer_id: postback.rule.scope.offer_id,
        ..Filter::default()
    };
    let page = PageRequest::first(EXAMINED_CLICKS);
    let clicks = clicks::list(app, actor, filter, VisitFilter::default(), page).await?.items;
    clicks.iter().find_map(|click| click.known_external_id().map(str::to_owned)).ok_or_else(|| {
        let message = "none of the newest clicks has a tracker's click id; open a link with click_id=…, or enter a click id that the tracker knows";
        Error::invalid("/test_click_id", message)
    })
}

/// How a postback is tested before it is saved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestTerms {
    /// Whether the destination must accept the test request.
    pub acceptance: Acceptance,
    /// The click id in the test request.
    pub click: TestClick,
}

impl From<Acceptance> for TestTerms {
    fn from(acceptance: Acceptance) -> Self {
        Self { acceptance, click: TestClick::Sample }
    }
}

/// Whether the destination must accept the test request before a postback is saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acceptance {
    /// A postback that is not accepted is not saved.
    Required,
    /// It is saved without a verification. Its first successful delivery verifies it.
    Optional,
}

/// Sends the test request, and marks the postback as verified if the destination accepted it.
///
/// # Errors
///
/// The quota of tests is used up, or acceptance is required and the destination or the adapter refused the request.
pub(super) async fn test_before_saving(
    app: &App,
    actor: Actor,
    adapter: &Arc<Adapter>,
    postback: &mut Postback,
    terms: &TestTerms,
) -> Result<(), Error> {
    let event = event_of_test(app, actor, postback, &terms.click).await?;
    quota::test(app, actor)?;
    let verification = verify(app, adapter, postback, &event).await?;
    if verification.accepted {
        postback.verified_at = Some(app.clock.now());
    } else if terms.acceptance == Acceptance::Required {
        return Err(Error::VerificationFailed(Box::new(verification.shown_to(actor))));
    }
    Ok(())
}

/// Renders a request with an event, sends it and has the adapter classify the answer.
pub(super) async fn verify(
    app: &App,
    adapter: &Arc<Adapter>,
    postback: &Postback,
    event: &Event,
) -> Result<Verification, Error> {
    let now = app.clock.now();
    let rendered = render(app, adapter, postback, event).await?;
    let logged = rendered.logged();
    let TestRequest { plan, context, request } = rendered;
    let mut verification = Verification {
        accepted: false,
        method: logged.method,
        url: logged.url,
        status: None,
        body: None,
        error_code: None,
        error: None,
        duration: Duration::ZERO,
    };
    let outgoing = plan.reveal(&request, &context.idempotency_key, now)?;
    let started = tokio::time::Instant::now();
    let answer = app.egress.send(outgoing, app.settings.request_timeout()).await;
    verification.duration = started.elapsed();
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            verification.error_code = Some(error.code().to_owned());
            verification.error = Some(plan.secrets.mask(&error.to_string()).into_owned());
            return Ok(verification);
        }
    };
    plan.secrets.mask_answer(&mut answer);
    verification.status = Some(answer.status);
    verification.body = Some(text(&answer.body[..answer.body.len().min(BODY_LOG_BYTES)]));
    let line = CallLine::of(postback.owner, adapter);
    let classify = move || classify_test(&plan, &context, &request, &answer, now);
    let verdict = app.adapters.pool().ask(line, classify).await?;
    match verdict {
        Verdict::Accepted => verification.accepted = true,
        Verdict::Retry { code, sentence, .. } | Verdict::Refused { code, sentence } => {
            verification.error_code = Some(code);
            verification.error = Some(sentence);
        }
    }
    Ok(verification)
}
