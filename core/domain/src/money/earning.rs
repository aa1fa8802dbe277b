//! Earnings: the amounts that the program owes to an affiliate for one conversion or adjustment. An earning is pending during its
//! hold, then available; or reversed.
//!
//! A conversion earns its payout, and commissions for the parent affiliates of its affiliate.
//! [`super::settlement::settle`] adjusts them to the current state of the conversion: it implements approval, reversal
//! and correction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::{Currency, Money};
use crate::ids::{AffiliateId, ConversionId, EarningId};
use crate::program::sub_affiliate::Commission;
use crate::timestamp::Timestamp;
use crate::tracking::attribution::Trace;
use crate::tracking::conversion::{Conversion, Status};

/// The event that notifies postbacks of a payout that can now be withdrawn.
pub const AVAILABLE_TO_PAY: &str = "available_to_pay";

/// The kind of an earning. `payout`: the payout of a conversion. `commission`: a second-tier commission, which is a
/// share of a sub-affiliate's payout. `adjustment`: a manual credit or debit by finance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EarningKind {
    /// The payout of a conversion.
    Payout,
    /// A second-tier commission: a share of a sub-affiliate's payout.
    Commission,
    /// Added by finance: a bonus, or a correction by hand.
    Adjustment,
}

text_enum!(EarningKind { Payout => "payout", Commission => "commission", Adjustment => "adjustment" });

/// The state of an earning. `pending`: it is in its hold. `available`: its hold has ended, and it can be withdrawn.
/// `reversed`: it was taken back completely.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EarningStatus)]
pub enum EarningState {
    /// In its hold.
    Pending,
    /// Past its hold.
    Available,
    /// Taken back completely.
    Reversed,
}

text_enum!(EarningState { Pending => "pending", Available => "available", Reversed => "reversed" });

/// An earning as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Earning {
    /// Id of the earning.
    pub id: EarningId,
    /// The affiliate to which the program owes the money.
    pub affiliate_id: AffiliateId,
    /// The kind of the earning.
    pub kind: EarningKind,
    /// The conversion that earned it; `None` for an adjustment.
    pub conversion_id: Option<ConversionId>,
    /// Of a commission: the sub-affiliate whose conversion it is for.
    pub sub_affiliate_id: Option<AffiliateId>,
    /// Of a commission: its share, and the number of levels between its receiver and the conversion's affiliate.
    pub commission: Option<Commission>,
    /// The original amount.
    pub earned: Money,
    /// What is left of it after corrections and reversals, in micros of the currency of `earned`.
    pub left: i64,
    /// The current state.
    pub state: EarningState,
    /// The end of its hold.
    pub release_at: Timestamp,
    /// When it became available.
    pub released_at: Option<Timestamp>,
    /// When a postponed release is tried again.
    pub retry_at: Option<Timestamp>,
    /// Of an adjustment: its reason.
    pub reason: Option<String>,
    /// Of an adjustment: the name of the caller who made it.
    pub created_by: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Earning {
    /// A pending earning, created at `at`.
    pub fn new(
        affiliate_id: AffiliateId,
        kind: EarningKind,
        earned: Money,
        release_at: Timestamp,
        at: Timestamp,
    ) -> Self {
        Self {
            id: EarningId::new(at),
            affiliate_id,
            kind,
            conversion_id: None,
            sub_affiliate_id: None,
            commission: None,
            earned,
            left: earned.micros,
            state: EarningState::Pending,
            release_at,
            released_at: None,
            retry_at: None,
            reason: None,
            created_by: None,
            created_at: at,
            updated_at: at,
        }
    }

    /// Whether its hold is over and its release is still to be done.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state == EarningState::Pending && self.release_at <= now
    }

    /// Makes a pending earning available.
    pub fn release(&mut self, at: Timestamp) {
        debug_assert_eq!(self.state, EarningState::Pending);
        self.state = EarningState::Available;
        self.released_at = Some(at);
        self.retry_at = None;
        self.updated_at = at;
    }

    /// Takes up to `micros` back and returns how many micros were taken. If nothing is left, the earning is reversed.
    pub(super) fn reduce(&mut self, micros: i64, at: Timestamp) -> i64 {
        let taken = micros.min(self.left);
        if taken > 0 {
            self.left -= taken;
            self.updated_at = at;
            if self.left == 0 {
                self.state = EarningState::Reversed;
            }
        }
        taken
    }
}

/// A part of what a conversion owes: `money` for one affiliate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Due {
    pub affiliate_id: AffiliateId,
    pub money: Money,
    pub commission: Option<Commission>,
}

/// The amounts that a conversion owes, and to whom.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TargetEarnings(pub(super) Vec<Due>);

impl TargetEarnings {
    /// The affiliate and currency of each amount.
    pub fn balances(&self) -> impl Iterator<Item = (AffiliateId, Currency)> {
        self.0.iter().map(|due| (due.affiliate_id, due.money.currency))
    }
}

/// The amounts that a conversion owes in its current state: none unless it is approved. The network pays a
/// self-reported conversion, and nobody pays a test, so the program owes nothing for them.
pub fn target_earnings(conversion: &Conversion, commissions: &[Commission]) -> TargetEarnings {
    let payout = conversion.payout.filter(|payout| payout.micros > 0);
    let (Some(payout), Status::Approved, true) = (payout, &conversion.status, conversion.is_paid_by_program()) else {
        return TargetEarnings::default();
    };
    let (money, mut dues) = split(payout, commissions);
    dues.insert(0, Due { affiliate_id: conversion.affiliate_id, money, commission: None });
    dues.retain(|due| due.money.micros > 0);
    TargetEarnings(dues)
}

/// What the affiliate gets of a payout, and the second-tier commissions.
fn split(payout: Money, commissions: &[Commission]) -> (Money, Vec<Due>) {
    let mut rest = payout.micros;
    let mut dues = Vec::with_capacity(1 + commissions.len());
    for commission in commissions {
        let mut money = commission.percent.share_of(payout);
        if commission.paid_by_sub_affiliate {
            money.micros = money.micros.min(rest);
            rest -= money.micros;
        }
        dues.push(Due { affiliate_id: commission.affiliate_id, money, commission: Some(*commission) });
    }
    (Money { micros: rest, ..payout }, dues)
}

/// What the affiliate gets of the payout: less the second-tier commissions that it pays itself. They are agreed at the
/// first approval.
pub fn net_payout(conversion: &Conversion) -> Option<Money> {
    let payout = conversion.payout?;
    Some(Money { micros: payout.micros - second_tier(payout, &conversion.trace).deducted, ..payout })
}

/// The second-tier commissions of a payout, in micros of its currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SecondTier {
    /// Those that the program pays on top of the payout.
    pub on_top: i64,
    /// Those that are deducted from the payout.
    pub deducted: i64,
}

/// The second-tier commissions of a payout by the terms of its conversion.
pub fn second_tier(payout: Money, trace: &Trace) -> SecondTier {
    let agreed = trace.terms.as_ref().and_then(|terms| terms.commissions.as_deref()).unwrap_or_default();
    let (rest, dues) = split(payout, agreed);
    let deducted = payout.micros - rest.micros;
    SecondTier { on_top: dues.iter().map(|due| due.money.micros).sum::<i64>() - deducted, deducted }
}

/// The commissions agreed when the conversion earned its first money; later changes of the program's settings don't
/// affect them.
pub fn agreed(earnings: &[Earning]) -> Vec<Commission> {
    let by_level: BTreeMap<i32, Commission> =
        earnings.iter().filter_map(|it| it.commission).map(|it| (it.level, it)).collect();
    by_level.into_values().collect()
}

/// The balances that change if these earnings are taken back.
pub fn balances_of(earnings: &[Earning]) -> impl Iterator<Item = (AffiliateId, Currency)> {
    earnings.iter().map(|it| (it.affiliate_id, it.earned.currency))
}
