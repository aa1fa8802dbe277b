//! The meaning of an answer, or of a missing answer, for a delivery.

use std::time::Duration;

use crate::delivery::delivery::{AttemptOutcome, Delivery, DeliveryState, Reason};
use crate::delivery::retry::{self, Next};
use crate::timestamp::Timestamp;

use super::state_change::StateChange;

/// The result of one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The destination accepted the request.
    Accepted,
    /// A later attempt may succeed.
    Retry {
        /// The stable code of the reason, such as `http_503`.
        code: String,
        /// The reason as a sentence.
        sentence: String,
        /// The delay that the destination requested (`Retry-After`).
        after: Option<Duration>,
    },
    /// No attempt can succeed.
    Refused {
        /// The stable code of the reason, such as `http_404`.
        code: String,
        /// The reason as a sentence.
        sentence: String,
    },
}

impl Verdict {
    /// No usable answer: a retry if the error is transient, else a refusal.
    pub fn of_error(code: String, sentence: String, is_transient: bool) -> Self {
        if is_transient { Self::Retry { code, sentence, after: None } } else { Self::Refused { code, sentence } }
    }

    /// A retry because of the answer's status. `after` is its `Retry-After`.
    pub fn retry_after_answer(status: u16, after: Option<Duration>) -> Self {
        Self::Retry { code: format!("http_{status}"), sentence: format!("the destination answered {status}"), after }
    }

    /// Masks the texts that the adapter wrote. The code of a retry is always ours.
    pub fn masked(self, mask: impl Fn(String) -> String) -> Self {
        match self {
            Self::Accepted => Self::Accepted,
            Self::Retry { code, sentence, after } => Self::Retry { code, sentence: mask(sentence), after },
            Self::Refused { code, sentence } => Self::Refused { code: mask(code), sentence: mask(sentence) },
        }
    }

    /// The state of `delivery` after this attempt. [`retry`] decides when a retry is due; `chance` is its random number
    /// from 0 to 1.
    pub fn apply(&self, delivery: &Delivery, chance: f64, now: Timestamp) -> StateChange {
        let settled = |state, reason| StateChange {
            state,
            reason,
            due_at: delivery.due_at,
            attempts: delivery.attempts + 1,
            settled_at: Some(now),
        };
        match self {
            Self::Accepted => settled(DeliveryState::Success, None),
            Self::Refused { code, sentence } => {
                settled(DeliveryState::Failed, Some(Reason::new(code.clone(), sentence.clone())))
            }
            Self::Retry { code, sentence, after } => {
                // The schedule counts from the last manual retry.
                let made = (delivery.attempts + 1 - delivery.attempts_before_retry).max(1).cast_unsigned();
                match retry::after_attempt(made, *after, chance) {
                    Next::After(wait) => StateChange {
                        due_at: now.plus(wait),
                        settled_at: None,
                        ..settled(
                            DeliveryState::Pending,
                            Some(Reason::new(code.clone(), format!("{sentence}; it will be tried again"))),
                        )
                    },
                    Next::GiveUp => {
                        let sentence = format!("{sentence}; given up after {made} attempts");
                        settled(DeliveryState::Failed, Some(Reason::new(code.clone(), sentence)))
                    }
                }
            }
        }
    }

    /// The outcome for the attempt log, with the code and the sentence of an error.
    pub fn into_outcome(self) -> (AttemptOutcome, Option<(String, String)>) {
        match self {
            Self::Accepted => (AttemptOutcome::Accepted, None),
            Self::Retry { code, sentence, .. } => (AttemptOutcome::Retry, Some((code, sentence))),
            Self::Refused { code, sentence } => (AttemptOutcome::Refused, Some((code, sentence))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decision::samples;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(10_000_000);

    fn delivery(attempts: i32, attempts_before_retry: i32) -> Delivery {
        Delivery { attempts, attempts_before_retry, ..samples::delivery(1) }
    }

    #[test]
    fn a_verdict_decides_the_next_state() {
        use DeliveryState::{Failed, Pending, Success};
        let retry = || Verdict::retry_after_answer(503, None);
        let refused = || Verdict::of_error("blocked".into(), "it is blocked".into(), false);
        // (verdict, attempts, of them before a manual retry) -> (state, reason, due in)
        let table = [
            (Verdict::Accepted, (0, 0), Success, None, None),
            (refused(), (3, 0), Failed, Some("it is blocked"), None),
            (retry(), (0, 0), Pending, Some("the destination answered 503; it will be tried again"), Some(5)),
            (retry(), (1, 0), Pending, Some("the destination answered 503; it will be tried again"), Some(30)),
            (retry(), (8, 0), Failed, Some("the destination answered 503; given up after 9 attempts"), None),
            (retry(), (9, 9), Pending, Some("the destination answered 503; it will be tried again"), Some(5)),
            (retry(), (17, 9), Failed, Some("the destination answered 503; given up after 9 attempts"), None),
        ];
        for (verdict, (attempts, before), state, reason, due_in) in table {
            let delivery = delivery(attempts, before);
            let change = verdict.apply(&delivery, 0.0, NOW);
            let case = format!("{verdict:?} after {attempts} attempts");
            assert_eq!(change.state, state, "{case}");
            assert_eq!(change.reason.as_ref().map(|it| it.sentence.as_str()), reason, "{case}");
            assert_eq!(change.attempts, attempts + 1, "{case}");
            let expected = due_in.map_or(delivery.due_at, |secs| NOW.plus(Duration::from_secs(secs)));
            assert_eq!(change.due_at, expected, "{case}");
            assert_eq!(change.settled_at, (state != Pending).then_some(NOW), "{case}");
        }
    }

    #[test]
    fn a_destination_can_ask_for_a_longer_wait() {
        let verdict = Verdict::retry_after_answer(429, Some(Duration::from_secs(600)));
        assert_eq!(verdict.apply(&delivery(0, 0), 0.0, NOW).due_at, NOW.plus(Duration::from_secs(600)));
    }

    #[test]
    fn errors_are_retried_only_if_they_are_transient() {
        let verdict = |is_transient| Verdict::of_error("timeout".into(), "no answer".into(), is_transient);
        assert_eq!(verdict(true).into_outcome().0, AttemptOutcome::Retry);
        assert_eq!(verdict(false).into_outcome().0, AttemptOutcome::Refused);
    }
}
