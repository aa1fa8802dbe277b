//! Rules: which events a postback is fired for.
//!
//! Rules are data. They are evaluated when an event is routed, and again each time one of its deliveries becomes due,
//! because a conversion may have been rejected in between. `Rule::evaluate` is the only evaluation: routing, sending and
//! explanations differ only in what they note of it (`check::Observer`).

pub mod check;
pub mod explanation;
mod sentence;

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use check::{AllChecks, Check, CheckName, FirstFailure, Observer, Quick};

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

/// Which parts of a scope are set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PostbackScopeKind)]
pub enum ScopeKind {
    /// Neither: all events.
    Any,
    /// The affiliate.
    Affiliate,
    /// The offer.
    Offer,
    /// The affiliate and the offer.
    Both,
}

text_enum!(ScopeKind { Any => "any", Affiliate => "affiliate", Offer => "offer", Both => "both" });

impl Scope {
    /// Whether the scope includes what this affiliate does, on this offer or on none.
    pub fn includes(&self, affiliate: AffiliateId, offer: Option<OfferId>) -> bool {
        self.includes_affiliate(affiliate) && self.includes_offer(offer)
    }

    fn includes_affiliate(&self, affiliate: AffiliateId) -> bool {
        self.affiliate_id.is_none_or(|id| id == affiliate)
    }

    fn includes_offer(&self, offer: Option<OfferId>) -> bool {
        self.offer_id.is_none_or(|id| Some(id) == offer)
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

impl Rule {
    /// Whether `event` passes while its conversion has `status`.
    pub fn admits(&self, event: &Event, status: Option<&Status>) -> bool {
        self.evaluate(event, status, &mut Quick).is_continue()
    }

    /// The first condition that `event` does not meet while its conversion has `status`.
    pub fn refusal(&self, event: &Event, status: Option<&Status>) -> Option<Check> {
        let mut first = FirstFailure::default();
        let _ = self.evaluate(event, status, &mut first);
        first.into_check()
    }

    /// Every condition of the rule for `event` while its conversion has `status`.
    pub fn checks(&self, event: &Event, status: Option<&Status>) -> Vec<Check> {
        let mut all = AllChecks::default();
        let _ = self.evaluate(event, status, &mut all);
        all.into_checks()
    }

    /// Evaluates the conditions in their order, until the observer has seen enough. Clicks and impressions have no
    /// status.
    fn evaluate(&self, event: &Event, status: Option<&Status>, observer: &mut impl Observer) -> ControlFlow<()> {
        let Scope { affiliate_id, offer_id } = self.scope;
        observer.note(self.scope.includes_affiliate(event.affiliate_id), |passed| {
            compared_ids(passed, CheckName::Affiliate, affiliate_id, event.affiliate_id)
        })?;
        observer.note(self.scope.includes_offer(Some(event.offer_id)), |passed| {
            compared_ids(passed, CheckName::Offer, offer_id, event.offer_id)
        })?;
        observer.note(self.action == event.action, |passed| {
            let detail = format!("fires on {}, this is {}", self.action, event.action);
            Check::new(CheckName::Action, passed, detail)
                .comparing(self.action, event.action)
                .or_change(|| format!("set action to {}", event.action))
        })?;
        let Some(status) = status else { return ControlFlow::Continue(()) };
        observer.note(self.admits_status(status), |passed| {
            let word = status.word();
            let detail = format!("fires on {}, the conversion is {word}", self.firing_status);
            Check::new(CheckName::Status, passed, detail).comparing(self.firing_status, word).or_change(|| {
                format!("set firing_status to {word} or any, or wait until the conversion is {}", self.firing_status)
            })
        })?;
        let Some(reason) = status.reason() else { return ControlFlow::Continue(()) };
        observer.note(self.admits_reason(status), |passed| {
            let wanted = match self.rejection_reasons.as_slice() {
                [] => "any reason".to_owned(),
                wanted => wanted.join(", "),
            };
            let detail = format!("fires on {wanted}, the reason is {reason}");
            Check::new(CheckName::RejectionReason, passed, detail)
                .comparing(wanted, reason)
                .or_change(|| format!("add \"{reason}\" to rejection_reasons, or remove all reasons"))
        })
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

/// The check of a scope: `wanted` is the scope's affiliate or offer, if it has one.
fn compared_ids<I: std::fmt::Display>(passed: bool, name: CheckName, wanted: Option<I>, given: I) -> Check {
    let wanted = wanted.map_or_else(|| "any".to_owned(), |id| id.to_string());
    let detail = match wanted.as_str() {
        "any" => format!("any {name}, this is {given}"),
        _ => format!("only {name} {wanted}, this is {given}"),
    };
    Check::new(name, passed, detail)
        .comparing(wanted, &given)
        .or_change(|| format!("set scope.{name}_id to {given}, or to null for all"))
}

#[cfg(test)]
mod tests {
    use super::check::CheckResult;
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
            assert_eq!(rule.admits(&event(), Some(status)), *fires, "{firing:?} {reasons:?} {status:?}");
            let checks = rule.checks(&event(), Some(status));
            assert_eq!(checks.iter().all(|it| it.result == CheckResult::Passed), *fires, "{checks:?}");
            assert_eq!(rule.refusal(&event(), Some(status)).is_none(), *fires, "{checks:?}");
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
                assert_eq!(rule.refusal(&event, None).is_none(), fits, "{scope:?}");
            }
        }
    }

    #[test]
    fn each_condition_says_what_it_compared_and_what_would_change_it() {
        let rejected = Status::Rejected { reason: "refund".into() };
        let rule = Rule { action: Action::Click, ..rule(FiringStatus::Approved, &["fraud"]) };
        let checks = rule.checks(&event(), Some(&rejected));
        let shown = |it: &Check| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{} {:?}: {} / {} / {}", it.name, it.result, text(&it.expected), text(&it.actual), text(&it.change))
        };
        let shown: Vec<_> = checks.iter().skip(2).map(shown).collect();
        assert_eq!(
            shown,
            [
                "action Failed: click / conversion / set action to conversion",
                "status Failed: approved / rejected / set firing_status to rejected or any, or wait until the conversion is approved",
                "rejection_reason Failed: fraud / refund / add \"refund\" to rejection_reasons, or remove all reasons",
            ]
        );
        let first = rule.refusal(&event(), Some(&rejected)).unwrap();
        assert_eq!(first.detail, "fires on click, this is conversion");
    }
}
