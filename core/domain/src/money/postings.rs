//! Every movement of money, one function each. Functions that get a balance change it as the posting will.

use crate::amounts::{Currency, Money};
use crate::ids::{AffiliateId, EarningId, WithdrawalId};

use super::earning::Earning;
use super::exchange::Exchange;
use super::ledger::{Account, Balance, Balances, Cause, Insufficient, Posting, PostingKind};
use super::withdrawal::{Status, Withdrawal};

/// An earning was created; its hold begins.
pub fn earned(earning: &Earning, key: String, kind: PostingKind, cause: Cause) -> Posting {
    let micros = earning.earned.micros;
    let sides = [(Account::Program, -micros), (Account::Pending(earning.affiliate_id), micros)];
    Posting::new(key, kind, cause, earning.earned.currency, sides)
}

/// What was taken back from earnings of one affiliate in one currency, in micros.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Reduction {
    /// From earnings in their hold.
    pub pending: i64,
    /// From earnings past their hold: it is taken from the balance, or becomes a debt.
    pub released: i64,
}

/// Earnings of one affiliate in one currency were taken back, partly or wholly.
pub(crate) fn reduced(
    affiliate: AffiliateId,
    currency: Currency,
    reduction: Reduction,
    balance: &mut Balance,
    (key, kind, cause): (String, PostingKind, Cause),
) -> Posting {
    let [available, debt] = balance.debit(affiliate, reduction.released);
    let sides = [
        (Account::Pending(affiliate), -reduction.pending),
        available,
        debt,
        (Account::Program, reduction.pending + reduction.released),
    ];
    Posting::new(key, kind, cause, currency, sides)
}

/// Earnings of one affiliate in one currency are past their hold. `money` is their sum, `first` and `count` are the
/// first id and the number of earnings. An earning is released once, so the first id makes a unique key.
pub fn released(
    affiliate: AffiliateId,
    money: Money,
    (first, count): (EarningId, usize),
    balance: &mut Balance,
) -> Posting {
    let [debt, available] = balance.credit(affiliate, money.micros);
    let sides = [(Account::Pending(affiliate), -money.micros), debt, available];
    let key = format!("earning:{first}:released");
    Posting::new(key, PostingKind::Released, Cause::Earning(first), money.currency, sides).noting(count.to_string())
}

/// Finance deducts money; what exceeds the available balance becomes a debt. Money that finance adds is an earning
/// instead.
pub fn deducted(
    affiliate: AffiliateId,
    adjustment: EarningId,
    money: Money,
    reason: &str,
    balance: &mut Balance,
) -> Posting {
    let [available, debt] = balance.debit(affiliate, money.micros);
    let sides = [available, debt, (Account::Program, money.micros)];
    let key = format!("adjustment:{adjustment}");
    Posting::new(key, PostingKind::Adjusted, Cause::Earning(adjustment), money.currency, sides).noting(reason)
}

/// Money is reserved for a withdrawal. Fails if less is available.
pub fn withdrawal_requested(
    affiliate: AffiliateId,
    withdrawal: WithdrawalId,
    money: Money,
    balance: &mut Balance,
) -> Result<Posting, Insufficient> {
    if money.micros > balance.available {
        let available = Money { micros: balance.available, currency: money.currency };
        return Err(Insufficient { available, requested: money });
    }
    balance.available -= money.micros;
    balance.withdrawing += money.micros;
    let sides = [(Account::Available(affiliate), -money.micros), (Account::Withdrawing(affiliate), money.micros)];
    Ok(of_withdrawal(withdrawal, PostingKind::WithdrawalRequested, "requested", money.currency, sides))
}

/// Reserved money was paid.
pub fn withdrawal_paid(
    affiliate: AffiliateId,
    withdrawal: WithdrawalId,
    money: Money,
    balance: &mut Balance,
) -> Posting {
    balance.withdrawing -= money.micros;
    balance.paid += money.micros;
    let sides = [(Account::Withdrawing(affiliate), -money.micros), (Account::Paid(affiliate), money.micros)];
    of_withdrawal(withdrawal, PostingKind::WithdrawalPaid, "paid", money.currency, sides)
}

/// A withdrawal was refused, failed or was cancelled: its reserved money is credited, to a debt first.
pub fn withdrawal_returned(
    affiliate: AffiliateId,
    withdrawal: WithdrawalId,
    money: Money,
    balance: &mut Balance,
) -> Posting {
    balance.withdrawing -= money.micros;
    let [debt, available] = balance.credit(affiliate, money.micros);
    let sides = [(Account::Withdrawing(affiliate), -money.micros), debt, available];
    of_withdrawal(withdrawal, PostingKind::WithdrawalReturned, "returned", money.currency, sides)
}

/// The program keeps a part of the reserved money as the fee of the payment.
pub fn withdrawal_fee(affiliate: AffiliateId, withdrawal: WithdrawalId, fee: Money, balance: &mut Balance) -> Posting {
    balance.withdrawing -= fee.micros;
    let sides = [(Account::Withdrawing(affiliate), -fee.micros), (Account::Program, fee.micros)];
    of_withdrawal(withdrawal, PostingKind::WithdrawalFee, "fee", fee.currency, sides)
}

/// The bank returned a payment. The whole requested amount is credited, including the fee, because nothing arrived.
pub fn payment_returned(
    affiliate: AffiliateId,
    withdrawal: WithdrawalId,
    (net, fee): (Money, Money),
    balance: &mut Balance,
) -> Posting {
    balance.paid -= net.micros;
    let [debt, available] = balance.credit(affiliate, net.micros + fee.micros);
    let sides = [(Account::Paid(affiliate), -net.micros), (Account::Program, -fee.micros), debt, available];
    of_withdrawal(withdrawal, PostingKind::PaymentReturned, "sent-back", net.currency, sides)
}

/// The postings of a withdrawal's final status; none while it is requested or approved.
pub fn withdrawal_settled(it: &Withdrawal, balance: &mut Balance) -> Vec<Posting> {
    let (affiliate, id) = (it.affiliate_id, it.id);
    let noted = |posting: Posting| match it.status.note() {
        Some(note) => posting.noting(note),
        None => posting,
    };
    match it.status {
        Status::Requested | Status::Approved => Vec::new(),
        Status::Paid { .. } => {
            let paid = noted(withdrawal_paid(affiliate, id, it.net(), balance));
            let fee = (it.fee.micros > 0).then(|| withdrawal_fee(affiliate, id, it.fee, balance));
            [paid].into_iter().chain(fee).collect()
        }
        Status::Refused { .. } | Status::Failed { .. } | Status::Cancelled => {
            vec![noted(withdrawal_returned(affiliate, id, it.amount, balance))]
        }
        Status::Returned { .. } => vec![noted(payment_returned(affiliate, id, (it.net(), it.fee), balance))],
    }
}

fn of_withdrawal<const N: usize>(
    withdrawal: WithdrawalId,
    kind: PostingKind,
    what: &str,
    currency: Currency,
    sides: [(Account, i64); N],
) -> Posting {
    Posting::new(format!("withdrawal:{withdrawal}:{what}"), kind, Cause::Withdrawal(withdrawal), currency, sides)
}

/// Exchanges available money for another currency: the program takes the one and gives the other. Fails if less is
/// available.
///
/// # Panics
/// Both currencies are the same; then the second balance would replace the first.
pub fn exchanged(it: &Exchange, balances: &mut Balances) -> Result<[Posting; 2], Insufficient> {
    assert_ne!(it.taken.currency, it.given.currency, "an exchange has two currencies");
    let affiliate = it.affiliate_id;
    let mut balance = |currency: Currency| *balances.entry((affiliate, currency)).or_default();
    let (mut from, mut to) = (balance(it.taken.currency), balance(it.given.currency));
    if it.taken.micros > from.available {
        let available = Money { micros: from.available, ..it.taken };
        return Err(Insufficient { available, requested: it.taken });
    }
    let [available, debt] = from.debit(affiliate, it.taken.micros);
    let taken = [available, debt, (Account::Program, it.taken.micros)];
    let [debt, available] = to.credit(affiliate, it.given.micros);
    let given = [debt, available, (Account::Program, -it.given.micros)];
    balances.insert((affiliate, it.taken.currency), from);
    balances.insert((affiliate, it.given.currency), to);
    let note = format!("{} to {} at {}", it.taken, it.given, it.rate.rate);
    let half = |what: &str, currency: Currency, sides: [(Account, i64); 3]| {
        let (key, cause) = (format!("exchange:{}:{what}", it.id), Cause::Exchange(it.id));
        Posting::new(key, PostingKind::Exchanged, cause, currency, sides).noting(note.as_str())
    };
    Ok([half("taken", it.taken.currency, taken), half("given", it.given.currency, given)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ExchangeId, ExchangeRateId};
    use crate::money::exchange::ExchangeRate;
    use crate::money::withdrawal::samples::withdrawal;
    use crate::timestamp::Timestamp;

    fn exchange(to: &str) -> Exchange {
        let (at, usd) = (Timestamp::from_millis(1), "USD".parse().expect("a currency"));
        let to = to.parse().expect("a currency");
        let rate = "0.9".parse().expect("a rate");
        let rate = ExchangeRate { id: ExchangeRateId::new(at), from: usd, to, rate, valid_from: at, created_at: at };
        let (taken, given) = (Money { micros: 10, currency: usd }, Money { micros: 9, currency: to });
        Exchange { id: ExchangeId::new(at), affiliate_id: AffiliateId::new(at), taken, given, rate, at }
    }

    #[test]
    fn an_exchange_moves_money_from_one_balance_to_the_other() {
        let it = exchange("EUR");
        let mut balances = Balances::new();
        assert!(exchanged(&it, &mut balances).is_err(), "nothing is available");
        let key = |money: Money| (it.affiliate_id, money.currency);
        balances.insert(key(it.taken), Balance { available: 15, ..Balance::default() });
        exchanged(&it, &mut balances).expect("it suffices");
        assert_eq!((balances[&key(it.taken)].available, balances[&key(it.given)].available), (5, 9));
    }

    #[test]
    #[should_panic(expected = "an exchange has two currencies")]
    fn an_exchange_into_the_same_currency_is_a_defect() {
        let _ = exchanged(&exchange("USD"), &mut Balances::new());
    }

    #[test]
    fn a_settled_withdrawal_leaves_nothing_reserved() {
        let reserved = |debt| Balance { withdrawing: 100_000_000, debt, ..Balance::default() };
        let settled = |status: Status, debt| {
            let mut balance = reserved(debt);
            let postings = withdrawal_settled(&Withdrawal { status, ..withdrawal() }, &mut balance);
            (postings.len(), balance)
        };
        let paid = settled(Status::Paid { reference: "TX".into() }, 0);
        assert_eq!(paid, (2, Balance { paid: 99_000_000, ..Balance::default() }), "the fee is kept");
        let back = settled(Status::Cancelled, 30_000_000);
        let wanted = Balance { available: 70_000_000, ..Balance::default() };
        assert_eq!(back, (1, wanted), "returned money settles a debt first");
        assert_eq!(settled(Status::Approved, 0), (0, reserved(0)));

        let mut balance = Balance { paid: 99_000_000, debt: 30_000_000, ..Balance::default() };
        let returned = Withdrawal { status: Status::Returned { reason: "closed".into() }, ..withdrawal() };
        let postings = withdrawal_settled(&returned, &mut balance);
        let wanted = Balance { available: 70_000_000, ..Balance::default() };
        assert_eq!(
            (postings.len(), balance),
            (1, wanted),
            "a returned payment includes its fee and settles a debt first"
        );
    }
}
