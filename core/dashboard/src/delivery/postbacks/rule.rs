//! Rules of postbacks in words: short for lists, and as one sentence.

use domain::delivery::rules::{Delay, DelayUnit, FiringStatus, Rule, Scope};
use domain::tracking::action::Action;
use engine::Error;
use engine::app::App;
use serde::Serialize;

use crate::shell::texts::{Text, plain, text};
use crate::tracking::offer_name;

/// The names of a scope's affiliate and offer.
#[derive(Clone, Debug, Default)]
pub struct ScopeNames {
    affiliate: Option<String>,
    offer: Option<String>,
}

impl ScopeNames {
    pub async fn load(app: &App, scope: Scope) -> Result<Self, Error> {
        let affiliate = match scope.affiliate_id {
            Some(id) => Some(affiliate_name(app, id).await?),
            None => None,
        };
        let offer = match scope.offer_id {
            Some(id) => Some(offer_name(app, id).await?),
            None => None,
        };
        Ok(Self { affiliate, offer })
    }
}

/// The name of an affiliate, or its id if it was deleted.
pub async fn affiliate_name(app: &App, id: domain::ids::AffiliateId) -> Result<String, Error> {
    Ok(app.catalog.affiliate(id).await?.map_or_else(|| id.to_string(), |it| it.name.clone()))
}

/// A rule in words.
#[derive(Clone, Debug, Serialize)]
pub struct RuleText {
    /// "Approved conversions, after 2 minutes".
    short: Text,
    /// "Ada Lovelace, Harbor Pro".
    scope: Text,
    /// The whole rule.
    sentence: Text,
}

impl RuleText {
    pub fn new(rule: &Rule, names: &ScopeNames) -> Self {
        Self { short: short(rule), scope: scope(names), sentence: sentence(rule, names) }
    }
}

/// `_some` if the rule has reasons for rejected conversions.
fn with_reasons(rule: &Rule) -> &'static str {
    let rejected = matches!(rule.firing_status, FiringStatus::Any | FiringStatus::Rejected);
    if rejected && !rule.rejection_reasons.is_empty() { "_some" } else { "" }
}

fn short(rule: &Rule) -> Text {
    let what = match rule.action {
        Action::Conversion | Action::Event => {
            let key = format!("rule_short.{}_{}{}", rule.action, rule.firing_status, with_reasons(rule));
            text(&key).with("reasons", rule.rejection_reasons.join(", "))
        }
        Action::Click | Action::Impression => text(&format!("rule_short.{}", rule.action)),
    };
    match rule.delay {
        Some(delay) => text("rule.short_after").inner("what", what).inner("delay", delay_text(delay)),
        None => what,
    }
}

fn scope(names: &ScopeNames) -> Text {
    match (&names.affiliate, &names.offer) {
        (None, None) => text("rule.everything"),
        (Some(one), None) | (None, Some(one)) => plain(one),
        (Some(affiliate), Some(offer)) => plain(format!("{affiliate}, {offer}")),
    }
}

/// "2 minutes".
fn delay_text(delay: Delay) -> Text {
    let unit = match delay.unit {
        DelayUnit::Seconds => "rule.seconds",
        DelayUnit::Minutes => "rule.minutes",
        DelayUnit::Hours => "rule.hours",
    };
    text(unit).count("count", delay.value.into())
}

/// "A request is sent **2 minutes** after a conversion of **Ada** for **Harbor Pro** is **approved**." in the language of
/// the reader.
fn sentence(rule: &Rule, names: &ScopeNames) -> Text {
    let of = match (&names.affiliate, &names.offer) {
        (None, None) => text("rule_of.any"),
        (Some(affiliate), None) => text("rule_of.affiliate").with("affiliate", affiliate),
        (None, Some(offer)) => text("rule_of.offer").with("offer", offer),
        (Some(affiliate), Some(offer)) => text("rule_of.both").with("affiliate", affiliate).with("offer", offer),
    };
    let what = match rule.action {
        Action::Click | Action::Impression => text(&format!("rule_what.{}", rule.action)),
        Action::Conversion | Action::Event => {
            let key = format!("rule_what.{}_{}{}", rule.action, rule.firing_status, with_reasons(rule));
            text(&key).inner("reasons", any_of(&rule.rejection_reasons))
        }
    };
    let what = what.inner("of", of);
    match rule.delay {
        Some(delay) => text("rule.sent_after").inner("delay", delay_text(delay)).inner("what", what),
        None => text("rule.sent_at_once").inner("what", what),
    }
}

/// "fraud, refund or duplicate", each bold.
fn any_of(reasons: &[String]) -> Text {
    let bold = |reason: &String| format!("**{reason}**");
    match reasons.split_last() {
        None => plain(""),
        Some((last, [])) => plain(bold(last)),
        Some((last, others)) => {
            let others = others.iter().map(bold).collect::<Vec<_>>().join(", ");
            text("rule.or").with("others", others).with("last", bold(last))
        }
    }
}

#[cfg(test)]
pub mod samples {
    use domain::ids::{AffiliateId, OfferId};
    use domain::timestamp::Timestamp;

    use super::*;

    /// A rule of each action and status, with and without reasons.
    pub fn rules() -> Vec<RuleText> {
        let at = Timestamp::from_millis(0);
        let mut rules = Vec::new();
        for action in [Action::Click, Action::Impression, Action::Conversion, Action::Event] {
            for status in [FiringStatus::Any, FiringStatus::Pending, FiringStatus::Approved, FiringStatus::Rejected] {
                for reasons in [vec![], vec!["fraud <b>".to_owned(), "refund".to_owned()]] {
                    let no_reasons = matches!(status, FiringStatus::Pending | FiringStatus::Approved);
                    if no_reasons && !reasons.is_empty() {
                        continue;
                    }
                    let number = rules.len();
                    let names = ScopeNames {
                        affiliate: (number % 2 == 0).then(|| "Ada <b>".into()),
                        offer: (number % 3 == 0).then(|| "Harbor <b> Pro".into()),
                    };
                    let units = [DelayUnit::Seconds, DelayUnit::Minutes, DelayUnit::Hours];
                    let rule = Rule {
                        scope: Scope { affiliate_id: Some(AffiliateId::new(at)), offer_id: Some(OfferId::new(at)) },
                        action,
                        firing_status: status,
                        rejection_reasons: reasons,
                        delay: (number % 2 == 0)
                            .then(|| Delay { value: 1 + u32::from(number > 5), unit: units[number % 3] }),
                    };
                    rules.push(RuleText::new(&rule, &names));
                }
            }
        }
        rules
    }
}
