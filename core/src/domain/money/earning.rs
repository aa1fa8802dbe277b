//! Earnings: what an affiliate is owed for one thing, and how far it has come: pending during its hold, then available;
//! or reversed.
//!
//! A conversion earns its payout, and commissions for whoever recruited its affiliate. [`settle`] brings these to what
//! they should be: it is approval, reversal and correction in one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::domain::program::recruiting::Commission;
use crate::domain::tracking::conversion::{Conversion, Status};
use crate::ids::{AffiliateId, ConversionId, EarningId};
use crate::money::{Currency, Money};

use super::ledger::{Balance, Cause, Posting, PostingKind};
use super::postings::{self, TakenBack};
use super::release;

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
    pub recruit_id: Option<AffiliateId>,
    /// Of a commission: its share and by how many steps its receiver recruited the conversion's affiliate.
    pub commission: Option<Commission>,
    pub earned: Money,
    /// What is left of it; less than was earned after a correction or a reversal.
    pub left: i64,
    pub state: EarningState,
    pub release_at: Timestamp,
    pub released_at: Option<Timestamp>,
    /// Its release was tried and put off until then.
    pub retry_at: Option<Timestamp>,
    /// Of an adjustment: why, and who made it.
    pub reason: Option<String>,
    pub made_by: Option<String>,
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
            recruit_id: None,
            commission: None,
            earned,
            left: earned.micros,
            state: EarningState::Pending,
            release_at,
            released_at: None,
            retry_at: None,
            reason: None,
            made_by: None,
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

    /// It can't be released yet, and is tried again later.
    pub fn put_off(&mut self, at: Timestamp) {
        self.state = EarningState::Pending;
        self.released_at = None;
        self.retry_at = Some(release::retry_at(self.release_at, at));
    }

    /// Takes up to `micros` back; returns how much that was.
    fn take_back(&mut self, micros: i64, at: Timestamp) -> i64 {
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
struct Due {
    affiliate_id: AffiliateId,
    money: Money,
    commission: Option<Commission>,
}

/// What a conversion owes, to whom.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Owed(Vec<Due>);

impl Owed {
    /// The balances that it goes to.
    pub fn balances(&self) -> impl Iterator<Item = (AffiliateId, Currency)> {
        self.0.iter().map(|due| (due.affiliate_id, due.money.currency))
    }
}

/// What a conversion owes as it is now: nothing unless it is approved. What an affiliate reports itself is owed by its
/// network, not by the program.
pub fn owed(conversion: &Conversion, commissions: &[Commission]) -> Owed {
    let payout = conversion.payout.filter(|payout| payout.micros > 0);
    let (Some(payout), Status::Approved, false) = (payout, &conversion.status, conversion.is_self_reported()) else {
        return Owed::default();
    };
    let mut rest = payout.micros;
    let mut dues = Vec::with_capacity(1 + commissions.len());
    for commission in commissions {
        let mut money = commission.percent.share_of(payout);
        if commission.from_recruit {
            money.micros = money.micros.min(rest);
            rest -= money.micros;
        }
        dues.push(Due { affiliate_id: commission.affiliate_id, money, commission: Some(*commission) });
    }
    let money = Money { micros: rest, ..payout };
    dues.insert(0, Due { affiliate_id: conversion.affiliate_id, money, commission: None });
    dues.retain(|due| due.money.micros > 0);
    Owed(dues)
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

/// Brings what a conversion has earned to what it owes. Less: what is pending goes first, then what is available, then
/// the rest is a debt. More: a new part begins a hold of its own.
pub fn settle(
    conversion: &Conversion,
    owed: &Owed,
    earnings: &mut Vec<Earning>,
    balances: &mut Balances,
    release_at: Timestamp,
    at: Timestamp,
) -> Vec<Posting> {
    let what = What::of(conversion, earnings.is_empty());
    let mut postings = Vec::new();
    // (level, affiliate, currency): what there is and what there should be; a payout is level 0.
    let mut wanted: BTreeMap<(i32, AffiliateId, Currency), i64> =
        earnings.iter().map(|it| ((level(it.commission), it.affiliate_id, it.earned.currency), 0)).collect();
    for due in &owed.0 {
        *wanted.entry((level(due.commission), due.affiliate_id, due.money.currency)).or_default() += due.money.micros;
    }
    let sole = wanted.keys().map(|(level, ..)| level).collect::<BTreeSet<_>>().len() == wanted.len();
    for (line, wanted) in wanted {
        let (level, affiliate, currency) = line;
        let key = what.key(conversion, level, (!sole).then_some(currency));
        let cause = Cause::Conversion(conversion.id);
        let there: i64 = earnings.iter().filter(|it| line_of(it) == line).map(|it| it.left).sum();
        if wanted > there {
            let money = Money { micros: wanted - there, currency };
            let due = owed.0.iter().find(|due| (self::level(due.commission), due.affiliate_id) == (level, affiliate));
            let commission = due.and_then(|due| due.commission);
            let kind = if commission.is_some() { EarningKind::Commission } else { EarningKind::Payout };
            let part = Earning::new(affiliate, kind, money, release_at, at);
            let recruit_id = commission.map(|_| conversion.affiliate_id);
            let part = Earning { conversion_id: Some(conversion.id), recruit_id, commission, ..part };
            postings.push(postings::earned(&part, key, what.kind(kind), cause, at));
            earnings.push(part);
        } else if wanted < there {
            let taken = take_back(earnings, line, there - wanted, at);
            let balance = balances.entry((affiliate, currency)).or_default();
            let kind = what.kind(EarningKind::Payout);
            postings.push(postings::taken_back(affiliate, currency, taken, balance, (key, kind, cause), at));
        }
    }
    postings
}

/// Ends the hold of these: one posting for each affiliate and currency.
pub fn release(due: &mut [Earning], balances: &mut Balances, now: Timestamp) -> Vec<Posting> {
    due.iter_mut().for_each(|earning| earning.release(now));
    released(due, balances, now)
}

/// What moves when the hold of these ends.
pub fn released(earnings: &[Earning], balances: &mut Balances, now: Timestamp) -> Vec<Posting> {
    let mut sums = BTreeMap::<(AffiliateId, Currency), (i64, usize, EarningId)>::new();
    for earning in earnings {
        let (micros, count, _) =
            sums.entry((earning.affiliate_id, earning.earned.currency)).or_insert((0, 0, earning.id));
        *micros += earning.left;
        *count += 1;
    }
    let posting = |((affiliate, currency), (micros, count, first))| {
        let balance = balances.entry((affiliate, currency)).or_default();
        postings::released(affiliate, Money { micros, currency }, (first, count), balance, now)
    };
    sums.into_iter().map(posting).collect()
}

fn level(commission: Option<Commission>) -> i32 {
    commission.map_or(0, |it| it.level)
}

fn line_of(earning: &Earning) -> (i32, AffiliateId, Currency) {
    (level(earning.commission), earning.affiliate_id, earning.earned.currency)
}

fn take_back(
    earnings: &mut [Earning],
    line: (i32, AffiliateId, Currency),
    mut micros: i64,
    at: Timestamp,
) -> TakenBack {
    let mut taken = TakenBack::default();
    // The newest part first: it is the one that the correction before added.
    for earning in earnings.iter_mut().rev().filter(|it| line_of(it) == line && it.state == EarningState::Pending) {
        let part = earning.take_back(micros, at);
        taken.pending += part;
        micros -= part;
    }
    for earning in earnings.iter_mut().rev().filter(|it| line_of(it) == line && it.state == EarningState::Available) {
        let part = earning.take_back(micros, at);
        taken.released += part;
        micros -= part;
    }
    debug_assert_eq!(micros, 0, "no more is taken back than is there");
    taken
}

/// Which of the three a settlement is: it names the postings.
enum What {
    Approved,
    Reversed,
    Corrected,
}

impl What {
    fn of(conversion: &Conversion, first: bool) -> Self {
        match conversion.status {
            Status::Approved if first => Self::Approved,
            Status::Approved => Self::Corrected,
            _ => Self::Reversed,
        }
    }

    fn key(&self, conversion: &Conversion, level: i32, currency: Option<Currency>) -> String {
        let mut key = match self {
            Self::Approved => format!("conversion:{}:approved", conversion.id),
            Self::Reversed => format!("conversion:{}:reversed", conversion.id),
            Self::Corrected => format!("conversion:{}:corrected:{}", conversion.id, conversion.revision),
        };
        if level > 0 {
            key += &format!(":level-{level}");
        }
        if let Some(currency) = currency {
            key += &format!(":{currency}");
        }
        key
    }

    fn kind(&self, earning: EarningKind) -> PostingKind {
        match (self, earning) {
            (Self::Approved, EarningKind::Commission) => PostingKind::Commission,
            (Self::Approved, _) => PostingKind::Earned,
            (Self::Reversed, _) => PostingKind::Reversed,
            (Self::Corrected, _) => PostingKind::Corrected,
        }
    }
}

#[cfg(test)]
mod histories;
