//! Every way in which money moves, one function each. What takes a balance changes it as the posting will.

use crate::clock::Timestamp;
use crate::ids::{AffiliateId, EarningId, WithdrawalId};
use crate::money::{Currency, Money};

use super::earning::Earning;
use super::ledger::{Account, Balance, Cause, Insufficient, Posting, PostingKind};

/// An earning came to be; its hold begins.
pub fn earned(earning: &Earning, key: String, kind: PostingKind, cause: Cause, at: Timestamp) -> Posting {
    let micros = earning.earned.micros;
    let sides = [(Account::Program, -micros), (Account::Pending(earning.affiliate_id), micros)];
    Posting::new(key, kind, cause, earning.earned.currency, sides, at)
}

/// What was taken back from earnings of one affiliate in one currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TakenBack {
    pub pending: i64,
    /// Was past its hold: comes out of the balance, or becomes a debt.
    pub released: i64,
}

pub fn taken_back(
    affiliate: AffiliateId,
    currency: Currency,
    taken: TakenBack,
    balance: &mut Balance,
    (key, kind, cause): (String, PostingKind, Cause),
    at: Timestamp,
) -> Posting {
    let [available, debt] = balance.debit(affiliate, taken.released);
    let sides = [
        (Account::Pending(affiliate), -taken.pending),
        available,
        debt,
        (Account::Program, taken.pending + taken.released),
    ];
    Posting::new(key, kind, cause, currency, sides, at)
}

/// Earnings of one affiliate in one currency are past their hold. They are released once, so the first of them names
/// the posting for all.
pub fn released(
    affiliate: AffiliateId,
    money: Money,
    (first, count): (EarningId, usize),
    balance: &mut Balance,
    at: Timestamp,
) -> Posting {
    let [debt, available] = balance.credit(affiliate, money.micros);
    let sides = [(Account::Pending(affiliate), -money.micros), debt, available];
    let key = format!("earning:{first}:released");
    Posting::new(key, PostingKind::Released, Cause::Earning(first), money.currency, sides, at).noting(count.to_string())
}

/// Finance takes something away, down to a debt. What it gives is an earning.
pub fn deducted(
    affiliate: AffiliateId,
    adjustment: EarningId,
    money: Money,
    reason: &str,
    balance: &mut Balance,
    at: Timestamp,
) -> Posting {
    let [available, debt] = balance.debit(affiliate, money.micros);
    let sides = [available, debt, (Account::Program, money.micros)];
    let key = format!("adjustment:{adjustment}");
    Posting::new(key, PostingKind::Adjusted, Cause::Earning(adjustment), money.currency, sides, at).noting(reason)
}

/// Money is reserved for a withdrawal.
pub fn withdrawal_requested(
    affiliate: AffiliateId,
    withdrawal: WithdrawalId,
    money: Money,
    balance: &mut Balance,
    at: Timestamp,
) -> Result<Posting, Insufficient> {
    if money.micros > balance.available {
        let available = Money { micros: balance.available, currency: money.currency };
        return Err(Insufficient { available, requested: money });
    }
    balance.available -= money.micros;
    balance.withdrawing += money.micros;
    let sides = [(Account::Available(affiliate), -money.micros), (Account::Withdrawing(affiliate), money.micros)];
    Ok(of_withdrawal(withdrawal, PostingKind::WithdrawalRequested, "requested", money.currency, sides, at))
}

/// Reserved money was paid.
pub fn withdrawal_paid(
    affiliate: AffiliateId,
    withdrawal: WithdrawalId,
    money: Money,
    balance: &mut Balance,
    at: Timestamp,
) -> Posting {
    balance.withdrawing -= money.micros;
    balance.paid += money.micros;
    let sides = [(Account::Withdrawing(affiliate), -money.micros), (Account::Paid(affiliate), money.micros)];
    of_withdrawal(withdrawal, PostingKind::WithdrawalPaid, "paid", money.currency, sides, at)
}

/// A withdrawal was refused, failed or was cancelled: what was reserved is back, a debt first.
pub fn withdrawal_returned(
    affiliate: AffiliateId,
    withdrawal: WithdrawalId,
    money: Money,
    balance: &mut Balance,
    at: Timestamp,
) -> Posting {
    balance.withdrawing -= money.micros;
    let [debt, available] = balance.credit(affiliate, money.micros);
    let sides = [(Account::Withdrawing(affiliate), -money.micros), debt, available];
    of_withdrawal(withdrawal, PostingKind::WithdrawalReturned, "returned", money.currency, sides, at)
}

fn of_withdrawal<const N: usize>(
    withdrawal: WithdrawalId,
    kind: PostingKind,
    what: &str,
    currency: Currency,
    sides: [(Account, i64); N],
    at: Timestamp,
) -> Posting {
    Posting::new(format!("withdrawal:{withdrawal}:{what}"), kind, Cause::Withdrawal(withdrawal), currency, sides, at)
}
