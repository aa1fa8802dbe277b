//! The double-entry ledger. Rows are added, never edited; a mistake gets a reversal.

use crate::clock::Timestamp;
use crate::ids::{AffiliateId, ConversionId, PostingId};
use crate::money::Currency;

/// Where money stands. Every affiliate has its accounts per currency; the program is the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Account {
    Program,
    /// Earned, and not yet past its hold.
    Pending(AffiliateId),
}

impl Account {
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Pending(_) => "pending",
        }
    }

    pub fn affiliate_id(self) -> Option<AffiliateId> {
        match self {
            Self::Program => None,
            Self::Pending(affiliate) => Some(affiliate),
        }
    }
}

/// One side of a posting; positive is credit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub account: Account,
    pub micros: i64,
}

/// Money that moved, once: `key` is unique, so posting twice is a no-op.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Posting {
    pub id: PostingId,
    pub key: String,
    pub conversion_id: Option<ConversionId>,
    pub currency: Currency,
    pub entries: Vec<Entry>,
    pub at: Timestamp,
}

impl Posting {
    /// Moves `micros` from one account to the other.
    pub fn transfer(
        key: String,
        conversion_id: ConversionId,
        from: Account,
        to: Account,
        money: crate::money::Money,
        at: Timestamp,
    ) -> Self {
        let posting = Self {
            id: PostingId::new(at),
            key,
            conversion_id: Some(conversion_id),
            currency: money.currency,
            entries: vec![Entry { account: from, micros: -money.micros }, Entry { account: to, micros: money.micros }],
            at,
        };
        posting.assert_balanced();
        posting
    }

    /// A posting that creates or destroys money is a bug, not an input.
    pub fn assert_balanced(&self) {
        let sum: i128 = self.entries.iter().map(|entry| i128::from(entry.micros)).sum();
        assert_eq!(sum, 0, "posting {} does not balance", self.key);
    }
}
