//! What an answer, or the lack of one, means for a delivery.

use std::time::Duration;

use crate::delivery::adapters::{Call, Faults};
use crate::delivery::plan::Plan;
use crate::delivery::wire;
use domain::delivery::delivery::{Attempt, AttemptOutcome, DeliveryState, Reason};
use domain::delivery::retry::{self, Next};
use domain::timestamp::Timestamp;
use egress::Answer;
use host::{AdapterError, Session, wire as contract};
use storage::delivery::deliveries::Finish;

use super::{BODY_LOG_BYTES, Logged, Sent, Trouble, kept_headers, number_of, text};

/// What an attempt came to.
pub enum Verdict {
    Accepted,
    Retry { code: String, sentence: String, after: Option<Duration> },
    Refused { code: String, sentence: String },
}

impl Verdict {
    /// What needs no adapter: that no answer came.
    pub(super) fn without_adapter(sent: &Sent) -> Option<Self> {
        sent.result.as_ref().err().map(|trouble| Self::of_trouble(trouble).hiding(&sent.plan))
    }

    /// What its adapter makes of the answer.
    pub(super) fn of(session: &mut Session, faults: &Faults, sent: &mut Sent, now: Timestamp) -> Self {
        let plan = &sent.plan;
        let (answer, request) = match (&mut sent.result, &sent.request) {
            (Ok(answer), Some(request)) => (answer, request),
            (Err(trouble), _) => return Self::of_trouble(trouble).hiding(plan),
            (Ok(_), None) => unreachable!("an answer has a request"),
        };
        plan.secrets.mask_answer(answer);
        let context =
            wire::context(now, number_of(&sent.delivery).cast_unsigned(), false, sent.delivery.id.to_string());
        let classified = session.classify(&context, &plan.binding, request, &wire::response(answer));
        faults.count(Call::Classify, &plan.postback, &classified);
        sent.log.extend(wire::log_lines(session.log(), &plan.secrets));
        Self::of_outcome(classified, answer, now).hiding(plan)
    }

    /// Adapters quote what they know.
    fn hiding(self, plan: &Plan) -> Self {
        let hide = |sentence: String| plan.secrets.mask(&sentence).into_owned();
        match self {
            Self::Accepted => Self::Accepted,
            Self::Retry { code, sentence, after } => Self::Retry { code, sentence: hide(sentence), after },
            Self::Refused { code, sentence } => Self::Refused { code: hide(code), sentence: hide(sentence) },
        }
    }

    /// What the adapter makes of the answer to a test request.
    pub fn of_answer(
        plan: &Plan,
        context: &contract::Context,
        request: &contract::Request,
        answer: &Answer,
        now: Timestamp,
    ) -> Self {
        let classified = plan.adapter.session().classify(context, &plan.binding, request, &wire::response(answer));
        Self::of_outcome(classified, answer, now).hiding(plan)
    }

    fn of_outcome(outcome: Result<contract::Outcome, AdapterError>, answer: &Answer, now: Timestamp) -> Self {
        let status = answer.status;
        match outcome {
            Ok(contract::Outcome::Accepted(_)) => Self::Accepted,
            Ok(contract::Outcome::Retry(after)) => Self::Retry {
                code: format!("http_{status}"),
                sentence: format!("the destination answered {status}"),
                after: after.map(Duration::from_millis).or_else(|| retry_after(answer, now)),
            },
            Ok(contract::Outcome::Refused(refusal)) => Self::Refused { code: refusal.code, sentence: refusal.message },
            Err(error) => Self::of_trouble(&Trouble::Adapter(error)),
        }
    }

    fn of_trouble(trouble: &Trouble) -> Self {
        let (code, sentence, may_pass) = match trouble {
            Trouble::Egress(error) => (error.code().to_owned(), error.to_string(), error.retryable()),
            Trouble::Adapter(error) => (error.code().to_owned(), error.to_string(), error.is_transient()),
            Trouble::Secret(error) => (error.code().to_owned(), error.to_string(), false),
        };
        if may_pass { Self::Retry { code, sentence, after: None } } else { Self::Refused { code, sentence } }
    }

    /// The delivery's next state: only [`retry`] knows when.
    pub(super) fn finish(&self, sent: &Sent, now: Timestamp) -> Finish {
        let delivery = &sent.delivery;
        let attempts = number_of(delivery);
        let settled = |state, reason| Finish {
            id: delivery.id,
            state,
            reason,
            due_at: delivery.due_at,
            attempts,
            settled_at: Some(now),
            claim: sent.claim,
        };
        match self {
            Self::Accepted => settled(DeliveryState::Success, None),
            Self::Refused { code, sentence } => {
                tracing::warn!(delivery.id = %delivery.id, attempt = attempts, code, "Delivery failed");
                settled(DeliveryState::Failed, Some(Reason::new(code.clone(), sentence.clone())))
            }
            Self::Retry { code, sentence, after } => {
                let made = (attempts - delivery.attempts_before_retry).max(1).cast_unsigned();
                match retry::after_attempt(made, *after, rand::random()) {
                    Next::After(wait) => {
                        tracing::info!(delivery.id = %delivery.id, attempt = attempts, code, wait_ms = wait.as_millis() as u64, "Delivery will retry");
                        Finish {
                            state: DeliveryState::Pending,
                            reason: Some(Reason::new(code.clone(), format!("{sentence}; it will be tried again"))),
                            due_at: now.plus(wait),
                            settled_at: None,
                            ..settled(DeliveryState::Pending, None)
                        }
                    }
                    Next::GiveUp => {
                        tracing::warn!(delivery.id = %delivery.id, attempt = attempts, code, "Delivery failed after its last attempt");
                        let sentence = format!("{sentence}; given up after {made} attempts");
                        settled(DeliveryState::Failed, Some(Reason::new(code.clone(), sentence)))
                    }
                }
            }
        }
    }

    pub(super) fn attempt(self, sent: Sent) -> Attempt {
        let (outcome, error) = match self {
            Self::Accepted => (AttemptOutcome::Accepted, None),
            Self::Retry { code, sentence, .. } => (AttemptOutcome::Retry, Some((code, sentence))),
            Self::Refused { code, sentence } => (AttemptOutcome::Refused, Some((code, sentence))),
        };
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
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let value = &answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?.1;
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some(Timestamp::from_millis(date.timestamp_millis()).since(now))
}
