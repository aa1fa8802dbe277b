//! Checks rules and configurations against the limits of the adapter.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::app::App;
use crate::delivery::adapters::config_issues;
use crate::{Error, FieldIssue};
use domain::delivery::postback::Postback;
use domain::delivery::rules::{FiringStatus, Rule};
use domain::tracking::action::Action;
use host::{Adapter, wire as contract};

/// Maximum number of rejection reasons of one postback.
const REASONS_MAX: usize = 50;

/// Checks the rule and the opened configuration.
pub(super) async fn check(app: &App, adapter: &Arc<Adapter>, postback: &Postback, config: &Value) -> Result<(), Error> {
    let issues = issues(app, adapter, postback, config).await?;
    if issues.is_empty() { Ok(()) } else { Err(Error::Invalid(issues)) }
}

/// The issues of the rule, or, if there are none, those of the configuration.
pub async fn issues(
    app: &App,
    adapter: &Arc<Adapter>,
    postback: &Postback,
    config: &Value,
) -> Result<Vec<FieldIssue>, Error> {
    let issues = rule_issues(&postback.rule, &adapter.descriptor().rules);
    if !issues.is_empty() {
        return Ok(issues);
    }
    Ok(config_issues(app.adapters.pool(), postback.owner, adapter, config).await?)
}

fn invalid_rule(path: &str, message: impl Into<String>) -> FieldIssue {
    FieldIssue::new(path, "invalid_rule", message)
}

/// The issue of a rule with too many rejection reasons.
pub(crate) fn too_many_reasons(rule: &Rule) -> Option<FieldIssue> {
    let message = format!("at most {REASONS_MAX} reasons are allowed");
    (rule.rejection_reasons.len() > REASONS_MAX).then(|| invalid_rule("/rejection_reasons", message))
}

fn rule_issues(rule: &Rule, policy: &contract::RulePolicy) -> Vec<FieldIssue> {
    let mut issues = Vec::new();
    let action = match rule.action {
        Action::Impression => contract::Action::Impression,
        Action::Click => contract::Action::Click,
        Action::Conversion => contract::Action::Conversion,
        Action::Event => contract::Action::CustomEvent,
    };
    if !policy.actions.contains(&action) {
        issues.push(invalid_rule("/action", format!("this adapter does not fire on {}", rule.action)));
    }
    if rule.firing_status != FiringStatus::Any && !policy.statuses {
        issues.push(invalid_rule("/firing_status", "this adapter decides by itself; leave it \"any\""));
    }
    if !rule.rejection_reasons.is_empty() {
        if !policy.rejection_reasons {
            issues.push(invalid_rule("/rejection_reasons", "this adapter does not filter by reason; leave it empty"));
        } else if matches!(rule.firing_status, FiringStatus::Approved | FiringStatus::Pending) {
            let message =
                "reasons belong to rejected conversions; set firing_status to rejected or any, or leave it empty";
            issues.push(invalid_rule("/rejection_reasons", message));
        }
    }
    issues.extend(too_many_reasons(rule));
    if let Some(delay) = rule.delay {
        let (least, most) = (Duration::from_millis(policy.min_delay), Duration::from_millis(policy.max_delay));
        if most.is_zero() {
            issues.push(invalid_rule("/delay", "this adapter takes no delay; leave it out"));
        } else if delay.span() < least {
            let least = in_words(least);
            let message = format!("this adapter waits at least {least}; send a delay of {least} or more");
            issues.push(invalid_rule("/delay", message));
        } else if delay.span() > most {
            let most = in_words(most);
            let message = format!("this adapter waits at most {most}; send a delay of {most} or less");
            issues.push(invalid_rule("/delay", message));
        }
    }
    issues
}

/// A duration such as "2 minutes", in the largest whole unit.
fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        _ if seconds > 0 && seconds.is_multiple_of(3_600) => (seconds / 3_600, "hour"),
        _ if seconds > 0 && seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
