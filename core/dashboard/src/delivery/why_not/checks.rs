//! The checks of an explanation, as `parts/checks` shows them.

use domain::delivery::rules::check::{Check, CheckResult};
use domain::delivery::rules::explanation::Explanation;
use serde::Serialize;

use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, text};

#[derive(Debug, Serialize)]
pub struct Checks {
    items: Vec<Item>,
    /// How many passed, and how many did not.
    summary: Text,
}

#[derive(Debug, Serialize)]
struct Item {
    kind: &'static str,
    icon: &'static str,
    name: Text,
    /// For those who cannot see the icon.
    result: Text,
    detail: String,
    change: Option<String>,
    /// The first check that failed decides.
    is_decisive: bool,
}

impl Checks {
    pub fn of(explanation: &Explanation) -> Self {
        Self::new(&explanation.checks)
    }

    fn new(checks: &[Check]) -> Self {
        let decisive = checks.iter().position(|it| it.result == CheckResult::Failed);
        let number = |result| checks.iter().filter(|it| it.result == result).count() as u64;
        Self {
            items: checks.iter().enumerate().map(|(at, it)| Item::new(it, decisive == Some(at))).collect(),
            summary: text("check.summary")
                .count("passed", number(CheckResult::Passed))
                .count("failed", number(CheckResult::Failed)),
        }
    }

    #[cfg(test)]
    pub fn sample() -> Self {
        use domain::delivery::rules::check::CheckName;

        let check = |name, result| Check::with_result(name, result, "it is <b>");
        let failed = check(CheckName::Status, CheckResult::Failed).or_change(|| "set <b>".into());
        Self::new(&[
            check(CheckName::Enabled, CheckResult::Passed),
            failed,
            check(CheckName::Adapter, CheckResult::Unknown),
            check(CheckName::Outcome, CheckResult::NotReached),
        ])
    }
}

impl Item {
    fn new(check: &Check, is_decisive: bool) -> Self {
        let (kind, icon) = match check.result {
            CheckResult::Passed => ("ok", "circle-check"),
            CheckResult::Failed => ("bad", "circle-x"),
            CheckResult::NotReached => ("off", "circle-dashed"),
            CheckResult::Unknown => ("warn", "circle-question-mark"),
        };
        Self {
            kind,
            icon,
            name: text(&format!("check.name.{}", check.name)),
            result: text(&format!("check.result.{}", check.result)),
            detail: as_sentence(&check.detail),
            change: check.change.as_deref().map(as_sentence),
            is_decisive,
        }
    }
}
