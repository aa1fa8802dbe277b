//! Rules: which events a postback is fired for. The host evaluates them and explains each check.
//!
//! Rules are data. They are evaluated when an event is routed, and again each time one of its deliveries becomes due,
//! because a conversion may have been rejected in between.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, OfferId};
use crate::tracking::action::Action;
use crate::tracking::conversion::Status;
use crate::tracking::event::Event;

/// The status of conversions for which a postback is fired: one status, or `any`. Clicks and impressions have no status
/// and always pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FiringStatus {
    /// Conversions of every status.
    Any,
    /// Pending conversions.
    Pending,
    /// Approved conversions.
    Approved,
    /// Rejected conversions.
    Rejected,
}

text_enum!(FiringStatus { Any => "any", Pending => "pending", Approved => "approved", Rejected => "rejected" });

/// The events that a postback is fired for: all, one affiliate's, one offer's, or one affiliate's for one offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PostbackScope)]
pub struct Scope {
    /// Only events of this affiliate; of all affiliates if absent or null.
    #[serde(default)]
    pub affiliate_id: Option<AffiliateId>,
    /// Only events of this offer; of all offers if absent or null.
    #[serde(default)]
    pub offer_id: Option<OfferId>,
}

impl Scope {
    /// Whether the scope includes what this affiliate does, on this offer or on none.
    pub fn includes(&self, affiliate: AffiliateId, offer: Option<OfferId>) -> bool {
        self.affiliate_id.is_none_or(|id| id == affiliate) && self.offer_id.is_none_or(|id| Some(id) == offer)
    }
}

/// The unit of a delay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DelayUnit {
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}

text_enum!(DelayUnit { Seconds => "seconds", Minutes => "minutes", Hours => "hours" });

/// How long a delivery waits before it is sent, in the unit that was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// The number of units; 0 for no delay.
    pub value: u32,
    /// The unit.
    pub unit: DelayUnit,
}

impl Delay {
    /// The delay as a duration.
    pub fn span(self) -> Duration {
        let seconds = match self.unit {
            DelayUnit::Seconds => 1,
            DelayUnit::Minutes => 60,
            DelayUnit::Hours => 3_600,
        };
        Duration::from_secs(u64::from(self.value) * seconds)
    }
}

impl std::fmt::Display for Delay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.value, self.unit)
    }
}

/// When a postback is fired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Whose events.
    pub scope: Scope,
    /// Which kind of event.
    pub action: Action,
    /// Conversions of which status.
    pub firing_status: FiringStatus,
    /// For rejected conversions: only these reasons, in any case; all if empty.
    pub rejection_reasons: Vec<String>,
    /// How long a delivery waits before it is sent.
    pub delay: Option<Delay>,
}

/// One check of a rule and its result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct Check {
    /// The check: "action", "affiliate", "offer", "status" or "rejection_reason".
    pub name: &'static str,
    /// Whether the event passed.
    pub passed: bool,
    /// The result as a sentence.
    pub detail: String,
}

/// All checks of a rule for one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedRule {
    /// The checks, in order.
    pub checks: Vec<Check>,
}

impl CheckedRule {
    /// Whether every check passed.
    pub fn fires(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// The first check that failed.
    pub(crate) fn failed_check(&self) -> Option<&Check> {
        self.checks.iter().find(|check| !check.passed)
    }
}

impl Rule {
    /// Whether `event` passes while its conversion has `status`: the fast form of [`Self::check`], without texts.
    pub fn admits(&self, event: &Event, status: Option<&Status>) -> bool {
        self.action == event.action
            && self.scope.includes(event.affiliate_id, Some(event.offer_id))
            && status.is_none_or(|status| self.admits_status(status) && self.admits_reason(status))
    }

    /// Every check of `event` while its conversion has `status`, with the reason of each result.
    pub fn check(&self, event: &Event, status: Option<&Status>) -> CheckedRule {
        let mut checks = vec![Check {
            name: "action",
            passed: self.action == event.action,
            detail: format!("fires on {}, this is {}", self.action, event.action),
        }];
        if let Some(id) = self.scope.affiliate_id {
            checks.push(Check {
                name: "affiliate",
                passed: id == event.affiliate_id,
                detail: format!("only affiliate {id}, this is {}", event.affiliate_id),
            });
        }
        if let Some(id) = self.scope.offer_id {
            checks.push(Check {
                name: "offer",
                passed: id == event.offer_id,
                detail: format!("only offer {id}, this is {}", event.offer_id),
            });
        }
        if let Some(status) = status {
            checks.push(Check {
                name: "status",
                passed: self.admits_status(status),
                detail: format!("fires on {}, the conversion is {}", self.firing_status, status.word()),
            });
            if let (Some(reason), false) = (status.reason(), self.rejection_reasons.is_empty()) {
                checks.push(Check {
                    name: "rejection_reason",
                    passed: self.admits_reason(status),
                    detail: format!("fires on {}, the reason is {reason}", self.rejection_reasons.join(", ")),
                });
            }
        }
        CheckedRule { checks }
    }

    fn admits_status(&self, status: &Status) -> bool {
        matches!(
            (self.firing_status, status),
            (FiringStatus::Any, _)
                | (FiringStatus::Pending, Status::Pending)
                | (FiringStatus::Approved, Status::Approved)
                | (FiringStatus::Rejected, Status::Rejected { .. })
        )
    }

    fn admits_reason(&self, status: &Status) -> bool {
        let Status::Rejected { reason } = status else { return true };
        self.rejection_reasons.is_empty()
            || self.rejection_reasons.iter().any(|wanted| wanted.eq_ignore_ascii_case(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::Timestamp;
    use crate::tracking::conversion::samples::conversion;
    use crate::tracking::event::{Parties, PartyFacts};

    fn event() -> Event {
        let party = |name: &str| PartyFacts { id: name.into(), name: name.into(), referral_code: None };
        let parties = Parties { affiliate: party("affiliate"), offer: party("offer") };
        Event::conversion_changed(&conversion(), None, None, parties, Timestamp::from_millis(0))
    }

    fn rule(firing_status: FiringStatus, reasons: &[&str]) -> Rule {
        Rule {
            scope: Scope::default(),
            action: Action::Conversion,
            firing_status,
            rejection_reasons: reasons.iter().map(|r| (*r).to_owned()).collect(),
            delay: None,
        }
    }

    #[test]
    fn a_scope_includes_its_affiliate_on_its_offer() {
        let (ours, other) = (event().affiliate_id, AffiliateId::new(Timestamp::from_millis(9)));
        let (offer, another) = (event().offer_id, OfferId::new(Timestamp::from_millis(9)));
        // (affiliate of the scope, offer of the scope) -> includes ours on (offer, another, none)
        for (affiliate_id, offer_id, expected) in [
            (None, None, [true, true, true]),
            (Some(ours), None, [true, true, true]),
            (Some(other), None, [false, false, false]),
            (None, Some(offer), [true, false, false]),
            (Some(ours), Some(offer), [true, false, false]),
            (Some(other), Some(offer), [false, false, false]),
        ] {
            let scope = Scope { affiliate_id, offer_id };
            let included = [Some(offer), Some(another), None].map(|it| scope.includes(ours, it));
            assert_eq!(included, expected, "{scope:?}");
        }
    }

    #[test]
    fn status_and_reason_decide_together() {
        let rejected = |reason: &str| Status::Rejected { reason: reason.into() };
        let table: &[(FiringStatus, &[&str], Status, bool)] = &[
            (FiringStatus::Any, &[], Status::Pending, true),
            (FiringStatus::Any, &[], Status::Approved, true),
            (FiringStatus::Any, &[], rejected("fraud"), true),
            (FiringStatus::Any, &["fraud"], Status::Approved, true),
            (FiringStatus::Any, &["fraud"], rejected("Fraud"), true),
            (FiringStatus::Any, &["fraud"], rejected("refund"), false),
            (FiringStatus::Pending, &[], Status::Pending, true),
            (FiringStatus::Pending, &[], Status::Approved, false),
            (FiringStatus::Approved, &[], Status::Approved, true),
            (FiringStatus::Approved, &[], Status::Pending, false),
            (FiringStatus::Approved, &[], rejected("fraud"), false),
            (FiringStatus::Rejected, &[], rejected("fraud"), true),
            (FiringStatus::Rejected, &[], Status::Approved, false),
            (FiringStatus::Rejected, &["chargeback", "fraud"], rejected("fraud"), true),
            (FiringStatus::Rejected, &["chargeback"], rejected("fraud"), false),
        ];
        for (firing, reasons, status, fires) in table {
            let rule = rule(*firing, reasons);
            let checked = rule.check(&event(), Some(status));
            assert_eq!(checked.fires(), *fires, "{firing:?} {reasons:?} {status:?}");
            assert_eq!(rule.admits(&event(), Some(status)), *fires, "both forms agree");
        }
    }

    #[test]
    fn each_scope_admits_only_its_own_events() {
        let event = event();
        let other_affiliate = AffiliateId::new(Timestamp::from_millis(9));
        let other_offer = OfferId::new(Timestamp::from_millis(9));
        for affiliate in [None, Some(event.affiliate_id), Some(other_affiliate)] {
            for offer in [None, Some(event.offer_id), Some(other_offer)] {
                let scope = Scope { affiliate_id: affiliate, offer_id: offer };
                let rule = Rule { scope, ..rule(FiringStatus::Any, &[]) };
                let fits = affiliate != Some(other_affiliate) && offer != Some(other_offer);
                assert_eq!(rule.admits(&event, None), fits, "{scope:?}");
                assert_eq!(rule.check(&event, None).fires(), fits, "{scope:?}");
            }
        }
    }

    #[test]
    fn an_objection_names_the_check_that_failed() {
        let checked = rule(FiringStatus::Approved, &[]).check(&event(), Some(&Status::Pending));
        assert_eq!(checked.failed_check().unwrap().detail, "fires on approved, the conversion is pending");
    }
}
