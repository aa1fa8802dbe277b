//! Verdicts: the adapter classifies the answer, and the verdict determines the new state of the delivery and the
//! attempt for the log.

use std::time::Duration;

use crate::delivery::adapters::{Call, Faults};
use crate::delivery::plan::Plan;
use crate::delivery::wire;
use domain::delivery::delivery::{Attempt, DeliveryState};
use domain::delivery::retry;
use domain::delivery::sending::verdict::Verdict;
use domain::timestamp::Timestamp;
use egress::Answer;
use host::{AdapterError, Session, wire as contract};
use storage::delivery::deliveries::Finish;

use super::{BODY_LOG_BYTES, Logged, SendError, Sent, kept_headers, number_of, text};

/// The verdict on a request without an answer, which needs no adapter. `None` if there is an answer.
pub(super) fn without_adapter(sent: &Sent) -> Option<Verdict> {
    sent.result.as_ref().err().map(|error| masked(of_error(error), &sent.plan))
}

/// Has the adapter classify the answer.
pub(super) fn classify(session: &mut Session, faults: &Faults, sent: &mut Sent, now: Timestamp) -> Verdict {
    let plan = &sent.plan;
    let (answer, request) = match (&mut sent.result, &sent.request) {
        (Ok(answer), Some(request)) => (answer, request),
        (Err(error), _) => return masked(of_error(error), plan),
        (Ok(_), None) => unreachable!("an answer has a request"),
    };
    plan.secrets.mask_answer(answer);
    let context = wire::context(now, number_of(&sent.delivery).cast_unsigned(), false, sent.delivery.id.to_string());
    let classified = session.classify(&context, &plan.binding, request, &wire::response(answer));
    faults.count(Call::Classify, &plan.postback, &classified);
    sent.log.extend(wire::log_lines(session.log(), &plan.secrets));
    masked(of_outcome(classified, answer, now), plan)
}

/// Has the adapter classify the answer to a test request.
pub(crate) fn classify_test(
    plan: &Plan,
    context: &contract::Context,
    request: &contract::Request,
    answer: &Answer,
    now: Timestamp,
) -> Verdict {
    let classified = plan.adapter.session().classify(context, &plan.binding, request, &wire::response(answer));
    masked(of_outcome(classified, answer, now), plan)
}

/// The verdict without secrets and placeholders, which adapters may quote.
fn masked(verdict: Verdict, plan: &Plan) -> Verdict {
    verdict.masked(|text| plan.secrets.mask(&text).into_owned())
}

/// The status of an answer decides, also if its body did not arrive whole: a repetition would count a sale twice. If the
/// configuration judges by the body, and what arrived of it is no success, the request is repeated.
fn of_outcome(outcome: Result<contract::Outcome, AdapterError>, answer: &Answer, now: Timestamp) -> Verdict {
    if let (Ok(contract::Outcome::Refused(_)), Some(error), 200..=299) = (&outcome, &answer.incomplete, answer.status) {
        return Verdict::of_error(error.code().to_owned(), error.to_string(), error.retryable());
    }
    match outcome {
        Ok(contract::Outcome::Accepted(_)) => Verdict::Accepted,
        Ok(contract::Outcome::Retry(after)) => {
            let after = after.map(Duration::from_millis).or_else(|| retry_after(answer, now));
            Verdict::retry_after_answer(answer.status, after)
        }
        Ok(contract::Outcome::Refused(refusal)) => {
            let sentence = with_new_address(refusal.message, answer);
            Verdict::Refused { code: refusal.code, sentence }
        }
        Err(error) => of_error(&SendError::Adapter(error)),
    }
}

fn of_error(error: &SendError) -> Verdict {
    let (code, sentence, is_transient) = match error {
        SendError::Egress(error) => (error.code(), error.to_string(), error.retryable()),
        SendError::Adapter(error) => (error.code(), error.to_string(), error.is_transient()),
        SendError::Secret(error) => (error.code(), error.to_string(), false),
    };
    Verdict::of_error(code.to_owned(), sentence, is_transient)
}

/// The new state of the delivery. It is also logged.
pub(super) fn finish(sent: &Sent, verdict: &Verdict, now: Timestamp) -> Finish {
    let delivery = &sent.delivery;
    let change = verdict.apply(delivery, rand::random(), now);
    let attempt = change.attempts;
    match (verdict, change.state) {
        (Verdict::Refused { code, .. }, _) => {
            tracing::warn!(delivery.id = %delivery.id, attempt, code, "Delivery failed");
        }
        (Verdict::Retry { code, .. }, DeliveryState::Pending) => {
            let wait_ms = change.due_at.since(now).as_millis() as u64;
            tracing::info!(delivery.id = %delivery.id, attempt, code, wait_ms, "Delivery will retry");
        }
        (Verdict::Retry { code, .. }, _) => {
            tracing::warn!(delivery.id = %delivery.id, attempt, code, "Delivery failed after its last attempt");
        }
        (Verdict::Accepted, _) => {}
    }
    Finish { id: delivery.id, claim: sent.claim, change }
}

/// The attempt for the log.
pub(super) fn attempt(sent: Sent, verdict: Verdict) -> Attempt {
    let (outcome, error) = verdict.into_outcome();
    let (error_code, error) = error.unzip();
    let request = sent.request.as_ref().map(|request| Logged::of(request, &sent.plan)).unwrap_or_default();
    let answer = sent.result.ok();
    let is_cut = |answer: &Answer| answer.truncated || answer.body.len() > BODY_LOG_BYTES;
    let truncated = answer.as_ref().is_some_and(is_cut);
    let body = answer.as_ref().map(|answer| text(&answer.body[..answer.body.len().min(BODY_LOG_BYTES)]));
    let status = answer.as_ref().map(|answer| i32::from(answer.status));
    let (response_headers, headers_cut) = kept_headers(answer.map(|it| it.headers).unwrap_or_default());
    Attempt {
        number: number_of(&sent.delivery),
        delivery_id: sent.delivery.id,
        at: sent.at,
        duration_ms: i32::try_from(sent.duration.as_millis()).unwrap_or(i32::MAX),
        method: request.method,
        url: request.url,
        request_headers: request.headers,
        request_body: request.body,
        status,
        response_body: body,
        truncated: truncated || request.cut || headers_cut,
        response_headers,
        outcome,
        error_code,
        error,
        adapter_log: sent.log,
    }
}

/// The sentence about a redirect, with the address to which it leads: the configuration needs that address.
fn with_new_address(sentence: String, answer: &Answer) -> String {
    let location = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
    match location {
        Some((_, address)) if (300..400).contains(&answer.status) => {
            let shown: String = address.chars().take(500).collect();
            format!("{sentence}; it says that the address is now {shown}: enter that address in the postback")
        }
        _ => sentence,
    }
}

/// The wait that the destination requested with `Retry-After`.
pub(super) fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let (_, value) = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
    retry::parse_retry_after(value, now)
}
