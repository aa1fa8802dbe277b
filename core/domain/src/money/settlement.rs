//! Settlement: adjusts the earnings of a conversion to what it owes, and ends holds. It changes earnings and returns
//! the postings.

use std::collections::{BTreeMap, BTreeSet};

use crate::amounts::{Currency, Money};
use crate::ids::{AffiliateId, EarningId};
use crate::program::sub_affiliate::Commission;
use crate::timestamp::Timestamp;
use crate::tracking::conversion::{Conversion, Status};

use super::earning::{Earning, EarningKind, EarningState, TargetEarnings};
use super::ledger::{Balances, Cause, Posting, PostingKind};
use super::postings::{self, Reduction};

/// Adjusts the earnings of a conversion to what it owes. A decrease is taken from pending earnings first, then from
/// available ones; what the balance lacks becomes debt. An increase adds an earning with a hold of its own, until
/// `release_at`. Returns the postings.
pub fn settle(
    conversion: &Conversion,
    target: &TargetEarnings,
    earnings: &mut Vec<Earning>,
    balances: &mut Balances,
    release_at: Timestamp,
    at: Timestamp,
) -> Vec<Posting> {
    let what = What::of(conversion, earnings.is_empty());
    let mut postings = Vec::new();
    // (level, affiliate, currency) to the micros that it should have; a payout is level 0.
    let mut wanted: BTreeMap<(i32, AffiliateId, Currency), i64> =
        earnings.iter().map(|it| ((level(it.commission), it.affiliate_id, it.earned.currency), 0)).collect();
    for due in &target.0 {
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
            let due = target.0.iter().find(|due| (self::level(due.commission), due.affiliate_id) == (level, affiliate));
            let commission = due.and_then(|due| due.commission);
            let kind = if commission.is_some() { EarningKind::Commission } else { EarningKind::Payout };
            let part = Earning::new(affiliate, kind, money, release_at, at);
            let sub_affiliate_id = commission.map(|_| conversion.affiliate_id);
            let part = Earning { conversion_id: Some(conversion.id), sub_affiliate_id, commission, ..part };
            postings.push(postings::earned(&part, key, what.kind(kind), cause));
            earnings.push(part);
        } else if wanted < there {
            let reduction = reduce(earnings, line, there - wanted, at);
            let balance = balances.entry((affiliate, currency)).or_default();
            let kind = what.kind(EarningKind::Payout);
            postings.push(postings::reduced(affiliate, currency, reduction, balance, (key, kind, cause)));
        }
    }
    postings
}

/// Releases these pending earnings. Returns one posting for each affiliate and currency.
pub fn release(due: &mut [Earning], balances: &mut Balances, now: Timestamp) -> Vec<Posting> {
    due.iter_mut().for_each(|earning| earning.release(now));
    released(due, balances)
}

/// The postings of released earnings: one for each affiliate and currency.
pub fn released(earnings: &[Earning], balances: &mut Balances) -> Vec<Posting> {
    let mut sums = BTreeMap::<(AffiliateId, Currency), (i64, usize, EarningId)>::new();
    for earning in earnings {
        let (micros, count, _) =
            sums.entry((earning.affiliate_id, earning.earned.currency)).or_insert((0, 0, earning.id));
        *micros += earning.left;
        *count += 1;
    }
    let posting = |((affiliate, currency), (micros, count, first))| {
        let balance = balances.entry((affiliate, currency)).or_default();
        postings::released(affiliate, Money { micros, currency }, (first, count), balance)
    };
    sums.into_iter().map(posting).collect()
}

fn level(commission: Option<Commission>) -> i32 {
    commission.map_or(0, |it| it.level)
}

fn line_of(earning: &Earning) -> (i32, AffiliateId, Currency) {
    (level(earning.commission), earning.affiliate_id, earning.earned.currency)
}

fn reduce(earnings: &mut [Earning], line: (i32, AffiliateId, Currency), mut micros: i64, at: Timestamp) -> Reduction {
    let mut reduction = Reduction::default();
    // The newest earning first: the previous correction added it.
    for earning in earnings.iter_mut().rev().filter(|it| line_of(it) == line && it.state == EarningState::Pending) {
        let part = earning.reduce(micros, at);
        reduction.pending += part;
        micros -= part;
    }
    for earning in earnings.iter_mut().rev().filter(|it| line_of(it) == line && it.state == EarningState::Available) {
        let part = earning.reduce(micros, at);
        reduction.released += part;
        micros -= part;
    }
    debug_assert_eq!(micros, 0, "no more is taken back than the earnings hold");
    reduction
}

/// The kind of a settlement, which names its postings.
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
            // A conversion can be approved and rejected more than once.
            Self::Reversed => format!("conversion:{}:reversed:{}", conversion.id, conversion.revision),
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
