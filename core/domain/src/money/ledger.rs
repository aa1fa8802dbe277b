//! The double-entry ledger: accounts, postings, and what of an affiliate's money stands where. Rows are added, never
//! edited; a mistake gets a reversal.

use std::collections::BTreeMap;

use crate::amounts::{ACCOUNT_MAX, Currency, Money, SignedAmount};
use crate::ids::{AffiliateId, ConversionId, EarningId, ExchangeId, PostingId, WithdrawalId};
use crate::timestamp::Timestamp;

/// Where money stands. Every affiliate has its accounts per currency; the program is the other side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Account {
    Program,
    /// Earned, and not yet past its hold.
    Pending(AffiliateId),
    /// May be withdrawn.
    Available(AffiliateId),
    /// Asked for, and reserved until it is paid or refused.
    Withdrawing(AffiliateId),
    Paid(AffiliateId),
    /// The one account that may be below zero: what was taken back after it had been withdrawn.
    Debt(AffiliateId),
}

impl Account {
    pub const NAMES: [&'static str; 6] = ["program", "pending", "available", "withdrawing", "paid", "debt"];

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

/// One side of a posting; positive is credit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub account: Account,
    pub micros: i64,
}

/// What a posting is about; the word of the statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PostingKind {
    Earned,
    /// For a conversion of somebody whom this affiliate recruited.
    Commission,
    Corrected,
    Reversed,
    Released,
    Adjusted,
    WithdrawalRequested,
    WithdrawalPaid,
    /// Refused, failed or cancelled: the money is back.
    WithdrawalReturned,
    WithdrawalFee,
    /// The bank sent a payment back.
    PaymentReturned,
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

/// What made money move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    Conversion(ConversionId),
    /// An adjustment, or the first of the earnings that a release took together.
    Earning(EarningId),
    Withdrawal(WithdrawalId),
    /// Its two halves are postings of their own, each in its currency.
    Exchange(ExchangeId),
}

/// Money that moved, once: `key` is unique, so posting twice is a no-op.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Posting {
    pub id: PostingId,
    pub key: String,
    pub kind: PostingKind,
    pub cause: Cause,
    pub currency: Currency,
    pub entries: Vec<Entry>,
    /// What a person should read beside it: a reason, a reference, how many.
    pub note: Option<String>,
    pub at: Timestamp,
}

impl Posting {
    /// Sides of nothing are left out.
    pub fn new(
        key: String,
        kind: PostingKind,
        cause: Cause,
        currency: Currency,
        sides: impl IntoIterator<Item = (Account, i64)>,
        at: Timestamp,
    ) -> Self {
        let entries = sides.into_iter().filter(|(_, micros)| *micros != 0);
        let entries = entries.map(|(account, micros)| Entry { account, micros }).collect();
        let posting = Self { id: PostingId::new(at), key, kind, cause, currency, entries, note: None, at };
        posting.assert_balanced();
        posting
    }

    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// A posting that creates or destroys money is a bug, not an input.
    pub fn assert_balanced(&self) {
        let sum: i128 = self.entries.iter().map(|entry| i128::from(entry.micros)).sum();
        assert_eq!(sum, 0, "posting {} does not balance", self.key);
    }
}

/// What of an affiliate's money in one currency is past its hold. Kept beside the entries, in the same transaction;
/// what is pending is the sum of the earnings that are. Whoever owes has nothing available.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Balance {
    pub available: i64,
    pub withdrawing: i64,
    pub paid: i64,
    /// Owed to the program; positive.
    pub debt: i64,
}

impl Balance {
    /// Puts `micros` where it belongs: a debt is settled first. Returns the sides.
    pub fn credit(&mut self, affiliate: AffiliateId, micros: i64) -> [(Account, i64); 2] {
        let settled = micros.min(self.debt);
        self.debt -= settled;
        self.available += micros - settled;
        [(Account::Debt(affiliate), settled), (Account::Available(affiliate), micros - settled)]
    }

    /// Takes `micros` back as far as it is there; the rest becomes a debt. Returns the sides.
    pub fn debit(&mut self, affiliate: AffiliateId, micros: i64) -> [(Account, i64); 2] {
        let there = micros.min(self.available);
        self.available -= there;
        self.debt += micros - there;
        [(Account::Available(affiliate), -there), (Account::Debt(affiliate), there - micros)]
    }
}

impl Balance {
    /// Whether `micros` more can be credited. A step moves so little that no sum of it leaves an `i64`.
    pub fn has_room_for(&self, micros: i64) -> bool {
        let more = micros.saturating_sub(self.debt);
        self.available.checked_add(more).is_some_and(|sum| sum <= ACCOUNT_MAX)
    }

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

/// Asked before anything is posted: what a database adds up beyond an `i64` is an error there or, on SQLite, no whole
/// number any more.
pub fn check_limits(balances: &BTreeMap<(AffiliateId, Currency), Balance>) -> Result<(), BalanceLimit> {
    balances.iter().try_for_each(|(key, balance)| balance.check_limit(*key))
}

/// An account would hold more than [`ACCOUNT_MAX`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the account \"{account}\" of affiliate {affiliate} would hold {wanted} {currency}, and no account holds more than \
     {most}; check the amounts, and pay out or correct what is there first",
    most = SignedAmount::from(ACCOUNT_MAX)
)]
pub struct BalanceLimit {
    pub affiliate: AffiliateId,
    pub account: &'static str,
    pub wanted: SignedAmount,
    pub currency: Currency,
}

impl BalanceLimit {
    pub fn of(affiliate: AffiliateId, account: &'static str, wanted: i128, currency: Currency) -> Self {
        Self { affiliate, account, wanted: SignedAmount(wanted), currency }
    }
}

/// More was asked for than there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{available} is available, {requested} was requested; ask for less, or wait until more earnings are past their hold"
)]
pub struct Insufficient {
    pub available: Money,
    pub requested: Money,
}
