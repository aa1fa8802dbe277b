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
use domain::delivery::postback::Postback;
use domain::delivery::sending::verdict::Verdict;
use domain::delivery::verification::Verification;
use domain::people::actor::Actor;
use host::{Adapter, wire as contract};

/// A rendered test request.
pub(super) struct TestRequest {
    plan: Plan,
    context: contract::Context,
    request: contract::Request,
}

/// Renders the test request.
pub(super) async fn render_test_request(
    app: &App,
    adapter: &Arc<Adapter>,
    postback: &Postback,
) -> Result<TestRequest, Error> {
    let now = app.clock.now();
    let event = wire::event(&samples::event_for(&postback.rule, now), postback);
    let context = wire::context(now, 1, true, format!("test-{}", postback.id));
    let plan = Plan::new(&app.vault, Arc::new(postback.clone()), adapter.clone())?;
    let (line, binding, callee, ctx) =
        (CallLine::of(postback.owner, adapter), plan.binding.clone(), adapter.clone(), context.clone());
    let rendered =
        app.adapters.pool().ask(line, move || callee.session().render(&ctx, &binding, &event)).await.flatten();
    let request = rendered.map_err(|error| plan.redact(error))?;
    Ok(TestRequest { plan, context, request })
}

impl TestRequest {
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

/// Sends the test request, and marks the postback as verified.
///
/// # Errors
///
/// The destination or the adapter refused the request, or the quota of tests is used up.
pub(super) async fn require_accepted(
    app: &App,
    actor: Actor,
    adapter: &Arc<Adapter>,
    postback: &mut Postback,
) -> Result<(), Error> {
    quota::test(app, actor)?;
    let verification = verify(app, adapter, postback).await?;
    if !verification.accepted {
        return Err(Error::VerificationFailed(Box::new(verification.shown_to(actor))));
    }
    postback.verified_at = Some(app.clock.now());
    Ok(())
}

/// Renders a request with sample values, sends it and has the adapter classify the answer.
pub(super) async fn verify(app: &App, adapter: &Arc<Adapter>, postback: &Postback) -> Result<Verification, Error> {
    let now = app.clock.now();
    let TestRequest { plan, context, request } = render_test_request(app, adapter, postback).await?;
    let logged = Logged::of(&request, &plan);
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
