//! Checks: the conditions that an event must meet to be sent, with what each of them compared.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

/// The condition of a check, in the order of the pipeline. `enabled`: the postback existed and was enabled. `approval`,
/// only if it was needed: the program had approved the postback. `test`, only
/// for test conversions: those of an affiliate are sent only to its own postbacks. `affiliate`
/// and `offer`: its scope. `action`, `status` and `rejection_reason`: its rule. `delay`: how long the delivery waits.
/// `adapter`: the adapter's own decision. `required_value`: the event has the values that the destination requires.
/// `breaker`: the destination is not paused. `outcome`: the result of the delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// The postback existed and was enabled.
    Enabled,
    /// Whether the program had approved it.
    Approval,
    /// Whether a test conversion may be sent to it.
    Test,
    /// The affiliate of the scope.
    Affiliate,
    /// The offer of the scope.
    Offer,
    /// The kind of event.
    Action,
    /// The status of the conversion.
    Status,
    /// The reason of a rejected conversion.
    RejectionReason,
    /// How long the delivery waits.
    Delay,
    /// The adapter's own decision.
    Adapter,
    /// A value that the destination requires.
    RequiredValue,
    /// Whether the destination is paused.
    Breaker,
    /// The result of the delivery.
    Outcome,
}

text_enum!(CheckName {
    Enabled => "enabled",
    Approval => "approval",
    Test => "test",
    Affiliate => "affiliate",
    Offer => "offer",
    Action => "action",
    Status => "status",
    RejectionReason => "rejection_reason",
    Delay => "delay",
    Adapter => "adapter",
    RequiredValue => "required_value",
    Breaker => "breaker",
    Outcome => "outcome",
});

/// The result of a check. `passed`; `failed`; `not_reached`: an earlier check failed, or it is too early; `unknown`: it
/// cannot be recomputed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// The event meets the condition.
    Passed,
    /// The event does not meet the condition.
    Failed,
    /// An earlier check failed, or it is too early.
    NotReached,
    /// It cannot be recomputed.
    Unknown,
}

text_enum!(CheckResult {
    Passed => "passed",
    Failed => "failed",
    NotReached => "not_reached",
    Unknown => "unknown",
});

/// One condition and its result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// The condition.
    pub name: CheckName,
    /// The result.
    pub result: CheckResult,
    /// The value that the postback wants; `None` if the condition compares nothing.
    pub expected: Option<String>,
    /// The value that the event has; `None` if the condition compares nothing.
    pub actual: Option<String>,
    /// The result as a sentence.
    pub detail: String,
    /// If it failed: what would have to change.
    pub change: Option<String>,
}

impl Check {
    /// A check that passed or failed.
    pub fn new(name: CheckName, passed: bool, detail: impl Into<String>) -> Self {
        let result = if passed { CheckResult::Passed } else { CheckResult::Failed };
        Self::with_result(name, result, detail)
    }

    /// A check with any result.
    pub fn with_result(name: CheckName, result: CheckResult, detail: impl Into<String>) -> Self {
        Self { name, result, expected: None, actual: None, detail: detail.into(), change: None }
    }

    /// With the two values that were compared.
    #[must_use]
    pub fn comparing(self, expected: impl ToString, actual: impl ToString) -> Self {
        Self { expected: Some(expected.to_string()), actual: Some(actual.to_string()), ..self }
    }

    /// With what would have to change, if it failed.
    #[must_use]
    pub fn or_change(self, change: impl FnOnce() -> String) -> Self {
        let change = (self.result == CheckResult::Failed).then(change);
        Self { change, ..self }
    }
}

/// Takes the results of conditions while they are evaluated. The text of a check is made only for an observer that
/// wants it.
pub(super) trait Observer {
    /// Takes the result of one condition. `Break` ends the evaluation.
    fn note(&mut self, passed: bool, check: impl FnOnce(bool) -> Check) -> ControlFlow<()>;
}

/// Stops at the first condition that fails, without a text: for routing.
pub(super) struct Quick;

impl Observer for Quick {
    fn note(&mut self, passed: bool, _: impl FnOnce(bool) -> Check) -> ControlFlow<()> {
        if passed { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// Stops at the first condition that fails, and keeps it.
#[derive(Default)]
pub(super) struct FirstFailure(Option<Check>);

impl FirstFailure {
    /// The failed condition.
    pub(super) fn into_check(self) -> Option<Check> {
        self.0
    }
}

impl Observer for FirstFailure {
    fn note(&mut self, passed: bool, check: impl FnOnce(bool) -> Check) -> ControlFlow<()> {
        if passed {
            return ControlFlow::Continue(());
        }
        self.0 = Some(check(false));
        ControlFlow::Break(())
    }
}

/// Keeps every condition.
#[derive(Default)]
pub(super) struct AllChecks(Vec<Check>);

impl AllChecks {
    /// The conditions, in order.
    pub(super) fn into_checks(self) -> Vec<Check> {
        self.0
    }
}

impl Observer for AllChecks {
    fn note(&mut self, passed: bool, check: impl FnOnce(bool) -> Check) -> ControlFlow<()> {
        self.0.push(check(passed));
        ControlFlow::Continue(())
    }
}
