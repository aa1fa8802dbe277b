//! Earnings: what an affiliate is owed for one thing, and how far it has come: pending during its hold, then available;
//! or reversed.
//!
//! A conversion earns its payout, and commissions for those who recruited its affiliate. [`super::settlement::settle`] brings these to what
//! they should be: it is approval, reversal and correction in one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::{Currency, Money};
use crate::ids::{AffiliateId, ConversionId, EarningId};
use crate::program::sub_affiliate::Commission;
use crate::timestamp::Timestamp;
use crate::tracking::conversion::{Conversion, Status};

use super::ledger::Balance;

/// The event that tells postbacks of a payout that can be withdrawn from now on.
pub const AVAILABLE_TO_PAY: &str = "available_to_pay";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EarningKind {
    Payout,
    /// For recruiting the affiliate of the conversion.
    Commission,
    /// By finance: a bonus, a correction by hand.
    Adjustment,
}

text_enum!(EarningKind { Payout => "payout", Commission => "commission", Adjustment => "adjustment" });

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EarningState {
    Pending,
    Available,
    Reversed,
}

text_enum!(EarningState { Pending => "pending", Available => "available", Reversed => "reversed" });

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Earning {
    pub id: EarningId,
    pub affiliate_id: AffiliateId,
    pub kind: EarningKind,
    pub conversion_id: Option<ConversionId>,
    /// Of a commission: whose conversion it is for.
    pub sub_affiliate_id: Option<AffiliateId>,
    /// Of a commission: its share and by how many steps its receiver recruited the conversion's affiliate.
    pub commission: Option<Commission>,
    pub earned: Money,
    /// Micros of `earned.currency`: what is left of `earned` after corrections and reversals.
    pub left: i64,
    pub state: EarningState,
    pub release_at: Timestamp,
    pub released_at: Option<Timestamp>,
    /// Its release was tried and put off until then.
    pub retry_at: Option<Timestamp>,
    /// Of an adjustment: why, and who made it.
    pub reason: Option<String>,
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Earning {
    /// A pending one.
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

    pub fn is_due(&self, now: Timestamp) -> bool {
        self.state == EarningState::Pending && self.release_at <= now
    }

    /// Its hold is over.
    pub fn release(&mut self, at: Timestamp) {
        debug_assert_eq!(self.state, EarningState::Pending);
        self.state = EarningState::Available;
        self.released_at = Some(at);
        self.retry_at = None;
        self.updated_at = at;
    }

    /// Takes up to `micros` back; returns how much that was.
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

/// One who should have `micros` for a conversion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Due {
    pub affiliate_id: AffiliateId,
    pub money: Money,
    pub commission: Option<Commission>,
}

/// What a conversion owes, to whom.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TargetEarnings(pub(super) Vec<Due>);

impl TargetEarnings {
    /// The balances that it goes to.
    pub fn balances(&self) -> impl Iterator<Item = (AffiliateId, Currency)> {
        self.0.iter().map(|due| (due.affiliate_id, due.money.currency))
    }
}

/// What a conversion owes as it is now: nothing unless it is approved. What an affiliate reports itself is owed by its
/// network, not by the program.
pub fn target_earnings(conversion: &Conversion, commissions: &[Commission]) -> TargetEarnings {
    let payout = conversion.payout.filter(|payout| payout.micros > 0);
    let (Some(payout), Status::Approved, false) = (payout, &conversion.status, conversion.is_self_reported()) else {
        return TargetEarnings::default();
    };
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
    let money = Money { micros: rest, ..payout };
    dues.insert(0, Due { affiliate_id: conversion.affiliate_id, money, commission: None });
    dues.retain(|due| due.money.micros > 0);
    TargetEarnings(dues)
}

/// The shares that were agreed when a conversion earned its first money; a later change of the program is not theirs.
pub fn agreed(earnings: &[Earning]) -> Vec<Commission> {
    let by_level: BTreeMap<i32, Commission> =
        earnings.iter().filter_map(|it| it.commission).map(|it| (it.level, it)).collect();
    by_level.into_values().collect()
}

/// The balances that taking back from these earnings may touch.
pub fn balances_of(earnings: &[Earning]) -> impl Iterator<Item = (AffiliateId, Currency)> {
    earnings.iter().map(|it| (it.affiliate_id, it.earned.currency))
}

/// Balances while postings are put together.
pub type Balances = BTreeMap<(AffiliateId, Currency), Balance>;
