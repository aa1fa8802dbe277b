//! Explanations: why an event was sent to a postback, or why not. Everything is recomputed; nothing is stored.
//!
//! The rule is evaluated by the same function as in the pipeline, and the adapter's decision is the answer to the same
//! call. The rest is what the delivery, if there is one, went through.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::delivery::approval::Approval;
use crate::delivery::delivery::{Delivery, DeliveryState};
use crate::delivery::lane::breaker::Breaker;
use crate::delivery::postback::Postback;
use crate::timestamp::Timestamp;
use crate::tracking::event::Event;

use super::check::{Check, CheckName, CheckResult};

/// What is known about the configuration that a postback had when the event was routed. `known`: it is the explained
/// one. `changed_since`: it was changed since, and the former one is not stored, so the present one is explained.
/// `not_created`: the postback was created after the event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExplainedConfiguration)]
pub enum Configuration {
    /// It is the explained one.
    Known,
    /// It was changed since, and the former one is not stored.
    ChangedSince,
    /// The postback was created after the event.
    NotCreated,
}

text_enum!(Configuration {
    Known => "known",
    ChangedSince => "changed_since",
    NotCreated => "not_created",
});

/// What happened to an event at a postback: the status of its delivery, or `not_fired` or `unrouted` without one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExplainedOutcome)]
pub enum Outcome {
    /// There is no delivery.
    NotFired,
    /// The event is not routed yet.
    Unrouted,
    /// The delivery waits or is being sent.
    Pending,
    /// The destination accepted it.
    Success,
    /// It was refused, or given up.
    Failed,
    /// It was cancelled before it was sent.
    Cancelled,
    /// A newer state of the conversion replaced it.
    Superseded,
}

text_enum!(Outcome {
    NotFired => "not_fired",
    Unrouted => "unrouted",
    Pending => "pending",
    Success => "success",
    Failed => "failed",
    Cancelled => "cancelled",
    Superseded => "superseded",
});

/// One check of an adapter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdapterCheck {
    /// Whether it is about a value that the destination requires.
    pub is_required_value: bool,
    /// Whether it passed.
    pub passed: bool,
    /// The result as a sentence.
    pub detail: String,
}

/// The adapter's decision about an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdapterDecision {
    /// It decided.
    Decided {
        /// The delay between the event and its delivery; `None` if it skips the event.
        delay: Option<Duration>,
        /// Why.
        checks: Vec<AdapterCheck>,
    },
    /// It failed, for this reason. The delivery is created all the same, and shows the error.
    Failed(String),
    /// It cannot be asked, for this reason.
    Unavailable(String),
}

/// How far the event came.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// No event was recorded for the click, because no enabled postback was fired for clicks.
    NoEvent,
    /// The event waits to be routed.
    Unrouted,
    /// The event was routed, with this delivery as the result.
    Routed(Option<&'a Delivery>),
}

/// All that an explanation is computed from.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The event.
    pub event: &'a Event,
    /// The postback as it was when the event was routed, or as it is if that is not known.
    pub postback: &'a Postback,
    /// Which of both.
    pub configuration: Configuration,
    /// The adapter's decision.
    pub adapter: AdapterDecision,
    /// How far the event came.
    pub stage: Stage<'a>,
    /// The breaker of the postback's destination now, if it is not closed.
    pub breaker: Option<&'a Breaker>,
    /// The time now.
    pub now: Timestamp,
}

/// Why an event was sent to a postback, or why not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// What is known about the configuration.
    pub configuration: Configuration,
    /// Whether the postback is fired for the event: all checks up to the required values pass. `None` if the adapter
    /// cannot be asked.
    pub fires: Option<bool>,
    /// What happened.
    pub outcome: Outcome,
    /// The answer as one sentence.
    pub summary: String,
    /// Every check, in the order of the pipeline.
    pub checks: Vec<Check>,
    /// What would have to change, so that the request is sent. Empty if it was sent.
    pub changes: Vec<String>,
}

impl Explanation {
    /// Explains the event at the postback.
    pub fn of(it: &Circumstances<'_>) -> Self {
        let (mut checks, mut fires) = decision_checks(it.postback, it.event, &it.adapter);
        if it.configuration == Configuration::NotCreated {
            (checks[0], fires) = (it.not_created(), Some(false));
        }
        let summary = it.summary(&checks, fires);
        if let Some(delay) = checks.iter_mut().find(|check| check.name == CheckName::Delay) {
            it.update_delay(delay);
        }
        checks.extend([it.breaker(), it.outcome_check()]);
        let changes = checks.iter().filter_map(|check| check.change.clone()).collect();
        let changes = if it.outcome() == Outcome::Success { Vec::new() } else { changes };
        Self { configuration: it.configuration, fires, outcome: it.outcome(), summary, checks, changes }
    }
}

/// The checks that decide whether a postback is fired for an event, and their result; `None` if the adapter cannot be
/// asked.
pub fn decision_checks(postback: &Postback, event: &Event, adapter: &AdapterDecision) -> (Vec<Check>, Option<bool>) {
    let mut checks = vec![enabled(postback)];
    checks.extend(approval(postback));
    checks.extend(test(postback, event));
    checks.extend(postback.rule.checks(event, event.status()));
    let matches = checks.iter().all(|check| check.result == CheckResult::Passed);
    let delay = postback.rule.delay.map_or_else(|| "none".to_owned(), |delay| delay.to_string());
    let detail = format!("the delay of the rule: {delay}");
    checks.push(Check { expected: Some(delay), ..Check::new(CheckName::Delay, true, detail) });
    checks.extend(adapter_checks(adapter));
    let fires = match adapter {
        _ if !matches => Some(false),
        AdapterDecision::Decided { delay, .. } => Some(delay.is_some()),
        AdapterDecision::Failed(_) => Some(true),
        AdapterDecision::Unavailable(_) => None,
    };
    (checks, fires)
}

fn enabled(postback: &Postback) -> Check {
    if postback.archived_at.is_some() {
        return Check::new(CheckName::Enabled, false, "the postback was deleted")
            .or_change(|| "create the postback again".into());
    }
    let word = if postback.enabled { "enabled" } else { "disabled" };
    Check::new(CheckName::Enabled, postback.enabled, format!("the postback was {word}"))
        .comparing("enabled", word)
        .or_change(|| "enable the postback".into())
}

/// A check of postbacks that needed approval only.
fn approval(postback: &Postback) -> Option<Check> {
    let detail = match postback.approval {
        Approval::NotRequired => return None,
        Approval::Approved => "the program had approved the postback",
        Approval::AwaitingApproval => "the postback awaited approval by the program",
        Approval::Refused => "the program had refused the postback",
    };
    let check = Check::new(CheckName::Approval, postback.approval.permits(), detail)
        .comparing(Approval::Approved, postback.approval)
        .or_change(|| match postback.approval {
            Approval::Refused => "correct what the program refused, so that it can be approved".into(),
            _ => "wait until the program approves the postback".into(),
        });
    Some(check)
}

/// A check of test conversions only.
fn test(postback: &Postback, event: &Event) -> Option<Check> {
    let detail = match event.reaches(postback.owner) {
        true => "the test conversion may be sent to this postback",
        false => "an affiliate recorded this test conversion, and the postback belongs to somebody else",
    };
    let check = Check::new(CheckName::Test, event.reaches(postback.owner), detail)
        .or_change(|| "record a test conversion as the program (`\"test\": true`)".into());
    event.is_test().then_some(check)
}

fn adapter_checks(decision: &AdapterDecision) -> Vec<Check> {
    let adapter = |result, detail: &str| Check::with_result(CheckName::Adapter, result, detail);
    let value = |result, detail: &str| Check::with_result(CheckName::RequiredValue, result, detail);
    let (delay, checks) = match decision {
        AdapterDecision::Decided { delay, checks } => (delay, checks),
        AdapterDecision::Failed(error) => {
            let detail = format!("the adapter could not decide, so the delivery shows its error: {error}");
            let not_asked = value(CheckResult::NotReached, "the adapter could not decide");
            return vec![adapter(CheckResult::Unknown, &detail), not_asked];
        }
        AdapterDecision::Unavailable(reason) => {
            let detail = format!("the decision cannot be recomputed: {reason}");
            return vec![adapter(CheckResult::Unknown, &detail), value(CheckResult::Unknown, &detail)];
        }
    };
    let as_check = |it: &AdapterCheck| {
        let name = if it.is_required_value { CheckName::RequiredValue } else { CheckName::Adapter };
        Check::new(name, it.passed, &*it.detail).or_change(|| match it.is_required_value {
            true => format!("the event needs the value: {}", it.detail),
            false => format!("the adapter must accept the event: {}", it.detail),
        })
    };
    let (mut values, mut own): (Vec<_>, Vec<_>) =
        checks.iter().map(as_check).partition(|it| it.name == CheckName::RequiredValue);
    let has_failed = |checks: &[Check]| checks.iter().any(|it| it.result == CheckResult::Failed);
    let explains_skip = has_failed(&own) || has_failed(&values);
    if delay.is_none() && !explains_skip {
        let skipped = Check::new(CheckName::Adapter, false, "the adapter does not accept this event");
        own.push(skipped.or_change(|| "use an adapter that accepts this event".into()));
    }
    if own.is_empty() {
        own.push(adapter(CheckResult::Passed, "the adapter accepts the event"));
    }
    if values.is_empty() {
        values.push(match has_failed(&own) {
            true => value(CheckResult::NotReached, "the adapter does not accept the event"),
            false => value(CheckResult::Passed, "no required value is missing"),
        });
    }
    own.extend(values);
    own
}

impl Circumstances<'_> {
    fn delivery(&self) -> Option<&Delivery> {
        match self.stage {
            Stage::Routed(delivery) => delivery,
            Stage::NoEvent | Stage::Unrouted => None,
        }
    }

    fn outcome(&self) -> Outcome {
        match (self.stage, self.delivery().map(|it| it.state)) {
            (Stage::Unrouted, _) => Outcome::Unrouted,
            (_, None) => Outcome::NotFired,
            (_, Some(DeliveryState::Pending)) => Outcome::Pending,
            (_, Some(DeliveryState::Success)) => Outcome::Success,
            (_, Some(DeliveryState::Failed)) => Outcome::Failed,
            (_, Some(DeliveryState::Cancelled)) => Outcome::Cancelled,
            (_, Some(DeliveryState::Superseded)) => Outcome::Superseded,
        }
    }

    fn not_created(&self) -> Check {
        let detail = format!("the postback was created later, at {}", self.postback.created_at);
        Check::new(CheckName::Enabled, false, detail)
            .or_change(|| "wait for the next event: a postback is fired only for events after its creation".into())
    }

    /// The delay has not passed as long as its delivery waits for it.
    fn update_delay(&self, check: &mut Check) {
        let waits = self.delivery().filter(|it| it.attempts == 0 && it.state == DeliveryState::Pending);
        if let Some(it) = waits.filter(|it| it.due_at > self.now) {
            check.result = CheckResult::NotReached;
            check.detail = format!("the delivery waits until {}", it.due_at);
        }
    }

    fn breaker(&self) -> Check {
        let with = |result, detail: String| Check::with_result(CheckName::Breaker, result, detail);
        match (self.delivery(), self.breaker) {
            (Some(it), _) if it.state != DeliveryState::Pending && it.attempts > 0 => {
                with(CheckResult::Passed, format!("{} requests were sent", it.attempts))
            }
            (Some(it), Some(breaker)) if it.state == DeliveryState::Pending => {
                let check = with(CheckResult::Failed, breaker.waiting_reason().sentence);
                check.or_change(|| "correct the destination; the delivery is sent when a probe succeeds".into())
            }
            (Some(it), None) if it.state == DeliveryState::Pending => {
                with(CheckResult::Passed, "the destination is not paused".into())
            }
            _ => with(CheckResult::NotReached, "nothing was sent".into()),
        }
    }

    fn outcome_check(&self) -> Check {
        let with = |result, detail: String| Check::with_result(CheckName::Outcome, result, detail);
        let Some(delivery) = self.delivery() else {
            return with(CheckResult::NotReached, "there is no delivery".into());
        };
        let reason = reason_of(delivery);
        match delivery.state {
            DeliveryState::Success => with(CheckResult::Passed, "the destination accepted the request".into()),
            DeliveryState::Pending => with(CheckResult::NotReached, waits_until(delivery)),
            DeliveryState::Superseded => with(CheckResult::Failed, reason),
            DeliveryState::Failed | DeliveryState::Cancelled => with(CheckResult::Failed, reason)
                .or_change(|| format!("correct the cause, then retry the delivery {}", delivery.id)),
        }
    }

    /// `checks` ends with those of the adapter.
    fn summary(&self, checks: &[Check], fires: Option<bool>) -> String {
        if let Some(delivery) = self.delivery() {
            let reason = reason_of(delivery);
            return match delivery.state {
                DeliveryState::Success => "It fired, and the destination accepted the request.".to_owned(),
                DeliveryState::Pending => format!("It fired; {}.", waits_until(delivery)),
                DeliveryState::Failed => format!("It fired, but the delivery failed: {reason}."),
                DeliveryState::Cancelled => format!("The delivery was cancelled before it was sent: {reason}."),
                DeliveryState::Superseded => format!("The delivery was replaced: {reason}."),
            };
        }
        let failed = checks.iter().find(|it| it.result == CheckResult::Failed).map(|it| it.detail.as_str());
        let stage = match self.stage {
            Stage::Unrouted => "The event is not routed yet",
            Stage::NoEvent | Stage::Routed(_) => "It did not fire",
        };
        match (failed.filter(|_| fires == Some(false)), self.stage) {
            (Some(why), Stage::Unrouted) => format!("{stage}; it will not fire: {why}."),
            (Some(why), _) => format!("{stage}: {why}."),
            (None, Stage::Unrouted) => format!("{stage}."),
            _ if fires.is_none() => format!("{stage}; the decision of its adapter cannot be recomputed."),
            _ if self.configuration == Configuration::ChangedSince => {
                format!(
                    "{stage}; the postback was changed since, and its former configuration is not stored. With the present one it would fire."
                )
            }
            (None, Stage::NoEvent) => format!("{stage}: no enabled postback for clicks was known when it happened."),
            (None, Stage::Routed(_)) => {
                format!("{stage}, although every check passes: the postback was changed while the event was routed.")
            }
        }
    }
}

fn reason_of(delivery: &Delivery) -> String {
    let reason = delivery.reason.as_ref().map(|it| it.sentence.trim_end_matches('.').to_owned());
    reason.unwrap_or_else(|| "no reason is stored".to_owned())
}

fn waits_until(delivery: &Delivery) -> String {
    let reason = delivery.reason.as_ref().map(|it| format!(" ({})", it.sentence)).unwrap_or_default();
    format!("the delivery is sent at {}{reason}", delivery.due_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::delivery::Reason;
    use crate::delivery::postback::Ordering;
    use crate::delivery::rules::FiringStatus;
    use crate::delivery::sending::decision::samples;
    use crate::tracking::conversion::Status;

    const NOW: Timestamp = Timestamp::from_millis(10_000);

    fn accepted() -> AdapterDecision {
        AdapterDecision::Decided { delay: Some(Duration::ZERO), checks: Vec::new() }
    }

    fn refused(is_required_value: bool) -> AdapterDecision {
        let check = AdapterCheck { is_required_value, passed: false, detail: "the event has no click".to_owned() };
        AdapterDecision::Decided { delay: None, checks: vec![check] }
    }

    /// The explanation of an approved conversion.
    fn explained(
        firing_status: FiringStatus,
        configuration: Configuration,
        adapter: AdapterDecision,
        stage: Stage<'_>,
    ) -> Explanation {
        let event = samples::event(1, Status::Approved);
        let postback = samples::postback(Ordering::Latest, firing_status);
        let (event, postback) = (&event, &postback);
        Explanation::of(&Circumstances { event, postback, configuration, adapter, stage, breaker: None, now: NOW })
    }

    #[test]
    fn an_explanation_answers_in_one_sentence() {
        use Configuration::{ChangedSince, Known, NotCreated};
        use FiringStatus::{Any, Rejected};
        let in_state = |state, reason: Option<&str>| Delivery {
            state,
            reason: reason.map(|it| Reason::new("code", it)),
            ..samples::delivery(1)
        };
        let accepted_delivery = in_state(DeliveryState::Success, None);
        let failed = in_state(DeliveryState::Failed, Some("the destination answered 404"));
        let none = Stage::Routed(None);
        let table = [
            (
                Any,
                Known,
                accepted(),
                Stage::Routed(Some(&accepted_delivery)),
                Some(true),
                "It fired, and the destination accepted the request.",
            ),
            (
                Any,
                Known,
                accepted(),
                Stage::Routed(Some(&failed)),
                Some(true),
                "It fired, but the delivery failed: the destination answered 404.",
            ),
            (
                Rejected,
                Known,
                accepted(),
                none,
                Some(false),
                "It did not fire: fires on rejected, the conversion is approved.",
            ),
            (
                Any,
                NotCreated,
                accepted(),
                none,
                Some(false),
                "It did not fire: the postback was created later, at 1970-01-01T00:00:00.000Z.",
            ),
            (Any, Known, refused(false), none, Some(false), "It did not fire: the event has no click."),
            (
                Any,
                Known,
                AdapterDecision::Failed("trap".into()),
                none,
                Some(true),
                "It did not fire, although every check passes: the postback was changed while the event was routed.",
            ),
            (
                Any,
                Known,
                AdapterDecision::Unavailable("gone".into()),
                none,
                None,
                "It did not fire; the decision of its adapter cannot be recomputed.",
            ),
            (
                Any,
                ChangedSince,
                accepted(),
                none,
                Some(true),
                "It did not fire; the postback was changed since, and its former configuration is not stored. With the present one it would fire.",
            ),
            (Any, Known, accepted(), Stage::Unrouted, Some(true), "The event is not routed yet."),
            (
                Rejected,
                Known,
                accepted(),
                Stage::Unrouted,
                Some(false),
                "The event is not routed yet; it will not fire: fires on rejected, the conversion is approved.",
            ),
        ];
        for (firing_status, configuration, adapter, stage, fires, summary) in table {
            let explanation = explained(firing_status, configuration, adapter, stage);
            assert_eq!(explanation.summary, summary);
            assert_eq!(explanation.fires, fires, "{summary}");
        }
    }

    #[test]
    fn every_check_is_listed_in_the_order_of_the_pipeline() {
        let explanation = explained(FiringStatus::Rejected, Configuration::Known, accepted(), Stage::Routed(None));
        let results: Vec<_> = explanation.checks.iter().map(|it| format!("{} {}", it.name, it.result)).collect();
        assert_eq!(
            results,
            [
                "enabled passed",
                "affiliate passed",
                "offer passed",
                "action passed",
                "status failed",
                "delay passed",
                "adapter passed",
                "required_value passed",
                "breaker not_reached",
                "outcome not_reached",
            ]
        );
        assert_eq!(
            explanation.changes,
            ["set firing_status to approved or any, or wait until the conversion is rejected"]
        );
    }

    #[test]
    fn a_missing_value_is_distinguished_from_other_refusals() {
        for (is_required_value, results) in [
            (false, ["adapter failed", "required_value not_reached"]),
            (true, ["adapter passed", "required_value failed"]),
        ] {
            let adapter = refused(is_required_value);
            let explanation = explained(FiringStatus::Any, Configuration::Known, adapter, Stage::Routed(None));
            let of_adapter = explanation.checks.iter().skip(6).take(2);
            assert_eq!(of_adapter.map(|it| format!("{} {}", it.name, it.result)).collect::<Vec<_>>(), results);
            assert_eq!(explanation.changes.len(), 1, "{:?}", explanation.changes);
        }
    }
}
