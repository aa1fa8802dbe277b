//! The double-entry ledger: accounts, postings and balances. Rows are added, never edited; a mistake gets a reversal.

use std::collections::BTreeMap;

use crate::amounts::{ACCOUNT_MAX, Currency, Money, SignedAmount};
use crate::ids::{AffiliateId, ConversionId, EarningId, ExchangeId, PostingId, WithdrawalId};
use crate::timestamp::Timestamp;

/// An account of the ledger. Every affiliate has its accounts per currency; the program is the other side of each
/// posting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Account {
    /// The program's own account.
    Program,
    /// Earned, still in its hold.
    Pending(AffiliateId),
    /// Can be withdrawn.
    Available(AffiliateId),
    /// Requested, and reserved until the withdrawal is paid or the money is returned.
    Withdrawing(AffiliateId),
    /// Paid to the affiliate.
    Paid(AffiliateId),
    /// Owed by the affiliate, because money was taken back after it had been withdrawn. The only account of an
    /// affiliate whose entries may add up to less than zero.
    Debt(AffiliateId),
}

impl Account {
    /// Every [`Self::name`].
    pub const NAMES: [&'static str; 6] = ["program", "pending", "available", "withdrawing", "paid", "debt"];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Pending(_) => "pending",
            Self::Available(_) => "available",
            Self::Withdrawing(_) => "withdrawing",
            Self::Paid(_) => "paid",
            Self::Debt(_) => "debt",
        }
    }

    /// The owner; `None` for the program.
    pub fn affiliate_id(self) -> Option<AffiliateId> {
        match self {
            Self::Program => None,
            Self::Pending(affiliate)
            | Self::Available(affiliate)
            | Self::Withdrawing(affiliate)
            | Self::Paid(affiliate)
            | Self::Debt(affiliate) => Some(affiliate),
        }
    }
}

/// One side of a posting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The account that changes.
    pub account: Account,
    /// Micros of the posting's currency; positive is credit.
    pub micros: i64,
}

/// The kind of a posting, as shown on statements.
///
/// `earned`: a payout was earned, and its hold began. `commission`: a second-tier commission was earned. `corrected`:
/// the amounts of an approved conversion changed. `reversed`: a conversion was rejected, and its earnings were taken
/// back. `released`: a hold ended, and the earnings became available. `adjusted`: finance credited or debited an
/// amount. `withdrawal_requested`: money was reserved for a withdrawal. `withdrawal_paid`: a withdrawal was paid.
/// `withdrawal_returned`: a withdrawal was refused, failed or was cancelled, and its money is available again.
/// `withdrawal_fee`: the fee of a paid withdrawal. `payment_returned`: the bank returned a payment. `exchanged`: money
/// was exchanged for another currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PostingKind {
    /// A payout was earned; its hold begins.
    Earned,
    /// A second-tier commission was earned: a sub-affiliate had a conversion.
    Commission,
    /// The amounts of an approved conversion changed.
    Corrected,
    /// A conversion was rejected, and its earnings were taken back.
    Reversed,
    /// Earnings are past their hold and became available.
    Released,
    /// Finance added or deducted money.
    Adjusted,
    /// Money was reserved for a withdrawal.
    WithdrawalRequested,
    /// A withdrawal was paid.
    WithdrawalPaid,
    /// A withdrawal was refused, failed or was cancelled, and its money is available again.
    WithdrawalReturned,
    /// The fee of a paid withdrawal.
    WithdrawalFee,
    /// The bank returned a payment.
    PaymentReturned,
    /// Money was exchanged for another currency.
    Exchanged,
}

text_enum!(PostingKind {
    Earned => "earned",
    Commission => "commission",
    Corrected => "corrected",
    Reversed => "reversed",
    Released => "released",
    Adjusted => "adjusted",
    WithdrawalRequested => "withdrawal_requested",
    WithdrawalPaid => "withdrawal_paid",
    WithdrawalReturned => "withdrawal_returned",
    WithdrawalFee => "withdrawal_fee",
    PaymentReturned => "payment_returned",
    Exchanged => "exchanged",
});

/// The object that caused a posting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A conversion that was approved, corrected or rejected.
    Conversion(ConversionId),
    /// An adjustment, or the first of the earnings that were released together.
    Earning(EarningId),
    /// A step of a withdrawal.
    Withdrawal(WithdrawalId),
    /// An exchange. It has two postings, one for each currency.
    Exchange(ExchangeId),
}

/// One movement of money. `key` is unique, so posting it again has no effect. It gets its id, which contains its time,
/// when it is posted: see [`number`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Posting {
    /// Idempotency key, made of the cause and its step: `withdrawal:wdr_…:paid`.
    pub key: String,
    /// The kind, as shown on statements.
    pub kind: PostingKind,
    /// The object that caused it.
    pub cause: Cause,
    /// The currency of every entry.
    pub currency: Currency,
    /// The sides; they add up to zero, and none is zero.
    pub entries: Vec<Entry>,
    /// A reason, a reference or a count, shown beside the posting.
    pub note: Option<String>,
}

impl Posting {
    /// A posting of these sides, in micros; sides of zero are left out. Panics if they don't add up to zero.
    pub fn new(
        key: String,
        kind: PostingKind,
        cause: Cause,
        currency: Currency,
        sides: impl IntoIterator<Item = (Account, i64)>,
    ) -> Self {
        let entries = sides.into_iter().filter(|(_, micros)| *micros != 0);
        let entries = entries.map(|(account, micros)| Entry { account, micros }).collect();
        let posting = Self { key, kind, cause, currency, entries, note: None };
        posting.assert_balanced();
        posting
    }

    /// Sets the note.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Panics if the entries don't add up to zero: such a posting is a bug, not a wrong input.
    pub fn assert_balanced(&self) {
        let sum: i128 = self.entries.iter().map(|entry| i128::from(entry.micros)).sum();
        assert_eq!(sum, 0, "posting {} does not balance", self.key);
    }

    /// The balance of each entry; none for an entry of the program.
    pub fn balances(&self) -> impl Iterator<Item = (AffiliateId, Currency)> {
        self.entries.iter().filter_map(|entry| Some((entry.account.affiliate_id()?, self.currency)))
    }
}

/// The ids of `postings`, in their order. In each balance, every posting comes after the one before, so each line of a
/// statement shows sums that were true. `now` is read after the balances were locked: a posting that becomes visible
/// later is not older than a statement that was read before.
///
/// # Errors
/// A posting belongs to a balance that is not in `locked`.
pub fn number(postings: &[Posting], locked: &Balances, now: Timestamp) -> Result<Vec<PostingId>, NotLocked> {
    let mut newest = BTreeMap::new();
    let mut ids = Vec::with_capacity(postings.len());
    for posting in postings {
        let mut last = None;
        for key in posting.balances() {
            let stored = locked.get(&key).ok_or(NotLocked(key.0))?.last_posting;
            last = last.max(newest.get(&key).copied().or(stored));
        }
        let id = last.map_or_else(|| PostingId::new(now), |last| PostingId::after(last, now));
        newest.extend(posting.balances().map(|key| (key, id)));
        ids.push(id);
    }
    Ok(ids)
}

/// Money was posted to a balance of this affiliate that the transaction has not locked. This is a defect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("money was posted to a balance of affiliate {0} that is not locked")]
pub struct NotLocked(AffiliateId);

/// What an affiliate has past the hold in one currency, in micros. Stored beside the entries and updated in the same
/// transaction. Pending money is not part of it; that is the sum of the pending earnings. With a debt, `available` is
/// zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Balance {
    /// Can be withdrawn.
    pub available: i64,
    /// Reserved for withdrawals.
    pub withdrawing: i64,
    /// Paid to the affiliate so far.
    pub paid: i64,
    /// Owed to the program; zero or positive.
    pub debt: i64,
    /// The next posting gets a higher id. It is the id of the last posting, or the lowest id of the end of a statement
    /// that was read. `None` before both.
    pub last_posting: Option<PostingId>,
}

/// Balances by affiliate and currency, while postings are prepared.
pub type Balances = BTreeMap<(AffiliateId, Currency), Balance>;

impl Balance {
    /// Adds `micros`: first to a debt, until it is settled, then to `available`. Returns the sides of the posting.
    pub fn credit(&mut self, affiliate: AffiliateId, micros: i64) -> [(Account, i64); 2] {
        let settled = micros.min(self.debt);
        self.debt -= settled;
        self.available += micros - settled;
        [(Account::Debt(affiliate), settled), (Account::Available(affiliate), micros - settled)]
    }

    /// Takes `micros` from `available` as far as it suffices; the rest becomes debt. Returns the sides of the posting.
    pub fn debit(&mut self, affiliate: AffiliateId, micros: i64) -> [(Account, i64); 2] {
        let there = micros.min(self.available);
        self.available -= there;
        self.debt += micros - there;
        [(Account::Available(affiliate), -there), (Account::Debt(affiliate), there - micros)]
    }
}

impl Balance {
    /// Whether `micros` more can be credited without exceeding [`ACCOUNT_MAX`].
    pub fn has_room_for(&self, micros: i64) -> bool {
        let more = micros.saturating_sub(self.debt);
        self.available.checked_add(more).is_some_and(|sum| sum <= ACCOUNT_MAX)
    }

    /// Fails if an account holds more than [`ACCOUNT_MAX`].
    pub fn check_limit(&self, (affiliate, currency): (AffiliateId, Currency)) -> Result<(), BalanceLimit> {
        let accounts = [
            ("available", self.available),
            ("withdrawing", self.withdrawing),
            ("paid", self.paid),
            ("debt", self.debt),
        ];
        match accounts.into_iter().find(|(_, micros)| *micros > ACCOUNT_MAX) {
            Some((account, micros)) => Err(BalanceLimit::of(affiliate, account, micros.into(), currency)),
            None => Ok(()),
        }
    }
}

/// Fails if any account holds more than [`ACCOUNT_MAX`]. Checked before anything is posted: a sum beyond an `i64` is an
/// error in PostgreSQL and becomes a float in SQLite.
pub fn check_limits(balances: &Balances) -> Result<(), BalanceLimit> {
    balances.iter().try_for_each(|(key, balance)| balance.check_limit(*key))
}

/// An account would hold more than [`ACCOUNT_MAX`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the account \"{account}\" of affiliate {affiliate} would hold {wanted} {currency}, but an account can hold at most \
     {most}; check the amounts, or first pay out or correct what the account holds",
    most = SignedAmount::from(ACCOUNT_MAX)
)]
pub struct BalanceLimit {
    /// The owner of the account.
    pub affiliate: AffiliateId,
    /// The name of the account.
    pub account: &'static str,
    /// What it would hold.
    pub wanted: SignedAmount,
    /// The currency of the account.
    pub currency: Currency,
}

impl BalanceLimit {
    /// `wanted` is in micros.
    pub fn of(affiliate: AffiliateId, account: &'static str, wanted: i128, currency: Currency) -> Self {
        Self { affiliate, account, wanted: SignedAmount(wanted), currency }
    }
}

/// More was requested than is available.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{available} is available, {requested} was requested; request less, or wait until more earnings are past their hold"
)]
pub struct Insufficient {
    /// What is available.
    pub available: Money,
    /// What was requested.
    pub requested: Money,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{floor_uuid, time_of};

    const NOW: Timestamp = Timestamp::from_millis(1_773_144_000_000);

    fn posting(affiliates: &[AffiliateId]) -> Posting {
        let sides = affiliates.iter().map(|it| (Account::Pending(*it), 1));
        let sides = sides.chain([(Account::Program, -(affiliates.len() as i64))]);
        let cause = Cause::Earning(EarningId::new(NOW));
        Posting::new("key".into(), PostingKind::Earned, cause, "USD".parse().unwrap(), sides)
    }

    #[test]
    fn postings_are_numbered_after_the_last_one_of_each_balance() {
        let at = |ms: i64| Timestamp::from_millis(NOW.millis() + ms);
        let highest = |at| PostingId(uuid::Uuid::from_u128(floor_uuid(at).as_u128() | ((1 << 62) - 1)));
        let (one, two) = (AffiliateId::new(NOW), AffiliateId::new(NOW));
        for (last_of_one, last_of_two, expected) in [
            (None, None, [0, 0, 0]),
            (Some(PostingId(floor_uuid(at(-5)))), None, [0, 0, 0]),
            // The clock of another node is ahead.
            (Some(PostingId::new(at(3))), None, [3, 0, 3]),
            (Some(PostingId::new(at(3))), Some(PostingId::new(at(7))), [3, 7, 7]),
            // Another node has used up the millisecond.
            (Some(highest(at(0))), None, [1, 0, 1]),
        ] {
            let key = |it| (it, "USD".parse().unwrap());
            let balance = |last_posting| Balance { last_posting, ..Balance::default() };
            let locked = Balances::from([(key(one), balance(last_of_one)), (key(two), balance(last_of_two))]);
            let ids = number(&[posting(&[one]), posting(&[two]), posting(&[one, two])], &locked, NOW).unwrap();
            assert_eq!(ids.iter().map(|it| time_of(it.0)).collect::<Vec<_>>(), expected.map(at));
            assert!(last_of_one < Some(ids[0]) && last_of_two < Some(ids[1]) && ids[2] > ids[0] && ids[2] > ids[1]);
            assert!(ids.iter().all(|it| it.0.get_version_num() == 7), "{ids:?}");
        }
    }

    #[test]
    fn money_is_posted_only_to_locked_balances() {
        let affiliate = AffiliateId::new(NOW);
        assert_eq!(number(&[posting(&[affiliate])], &Balances::new(), NOW), Err(NotLocked(affiliate)));
    }
}
