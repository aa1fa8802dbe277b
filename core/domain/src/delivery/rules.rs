//! Rules: which events a postback is fired for, judged by the host and explained check by check.
//!
//! Rules are data. They are judged when an event is routed and again each time one of its deliveries
//! falls due, because a conversion may have been rejected in between.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, OfferId};
use crate::tracking::action::Action;
use crate::tracking::conversion::Status;
use crate::tracking::event::Event;

/// Which conversions a postback is fired for. Clicks and impressions have no status and always pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FiringStatus {
    Any,
    Pending,
    Approved,
    Rejected,
}

text_enum!(FiringStatus { Any => "any", Pending => "pending", Approved => "approved", Rejected => "rejected" });

/// Whose events: all, one affiliate's, one offer's, or one affiliate's on one offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    #[serde(default)]
    pub affiliate_id: Option<AffiliateId>,
    #[serde(default)]
    pub offer_id: Option<OfferId>,
}

impl Scope {
    /// Whether the scope includes what this affiliate does, on this offer or on none.
    pub fn includes(&self, affiliate: AffiliateId, offer: Option<OfferId>) -> bool {
        self.affiliate_id.is_none_or(|id| id == affiliate) && self.offer_id.is_none_or(|id| Some(id) == offer)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DelayUnit {
    Seconds,
    Minutes,
    Hours,
}

text_enum!(DelayUnit { Seconds => "seconds", Minutes => "minutes", Hours => "hours" });

/// How long to wait, in the words it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    pub value: u32,
    pub unit: DelayUnit,
}

impl Delay {
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

/// What decides whether a postback is fired, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    pub scope: Scope,
    pub action: Action,
    pub firing_status: FiringStatus,
    /// Only these reasons, for rejected conversions; all of them when empty.
    pub rejection_reasons: Vec<String>,
    pub delay: Option<Delay>,
}

/// One test and what it found, in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct Check {
    pub name: &'static str,
    pub passed: bool,
    pub detail: String,
}

/// Every test of a rule against one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    pub checks: Vec<Check>,
}

impl Judgement {
    pub fn fires(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// The first test that failed.
    pub fn objection(&self) -> Option<&Check> {
        self.checks.iter().find(|check| !check.passed)
    }
}

impl Rule {
    /// Cheap and without words: whether the rule lets `event` through while its conversion is `status`.
    pub fn admits(&self, event: &Event, status: Option<&Status>) -> bool {
        self.action == event.action
            && self.scope.includes(event.affiliate_id, Some(event.offer_id))
            && status.is_none_or(|status| self.admits_status(status) && self.admits_reason(status))
    }

    /// The same, telling every test and why it passed or failed.
    pub fn judge(&self, event: &Event, status: Option<&Status>) -> Judgement {
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
        Judgement { checks }
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
            let judgement = rule.judge(&event(), Some(status));
            assert_eq!(judgement.fires(), *fires, "{firing:?} {reasons:?} {status:?}");
            assert_eq!(rule.admits(&event(), Some(status)), *fires, "the short answer agrees with the long one");
        }
    }

    #[test]
    fn each_scope_lets_its_own_through_only() {
        let event = event();
        let other_affiliate = AffiliateId::new(Timestamp::from_millis(9));
        let other_offer = OfferId::new(Timestamp::from_millis(9));
        for affiliate in [None, Some(event.affiliate_id), Some(other_affiliate)] {
            for offer in [None, Some(event.offer_id), Some(other_offer)] {
                let scope = Scope { affiliate_id: affiliate, offer_id: offer };
                let rule = Rule { scope, ..rule(FiringStatus::Any, &[]) };
                let fits = affiliate != Some(other_affiliate) && offer != Some(other_offer);
                assert_eq!(rule.admits(&event, None), fits, "{scope:?}");
                assert_eq!(rule.judge(&event, None).fires(), fits, "{scope:?}");
            }
        }
    }

    #[test]
    fn an_objection_names_what_did_not_fit() {
        let judgement = rule(FiringStatus::Approved, &[]).judge(&event(), Some(&Status::Pending));
        assert_eq!(judgement.objection().unwrap().detail, "fires on approved, the conversion is pending");
    }
}
