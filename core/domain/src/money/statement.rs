//! A statement: what moved an affiliate's money in one currency, line by line, and what stood where after each.

use crate::ids::{AffiliateId, ConversionId, PostingId, encode};
use crate::timestamp::Timestamp;

use super::ledger::PostingKind;

/// What stands where; a debt is positive. Sums, which may be larger than any amount: what is pending has no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccountSums {
    pub pending: i128,
    pub available: i128,
    pub withdrawing: i128,
    pub paid: i128,
    pub debt: i128,
}

impl AccountSums {
    /// Adds an entry of this account of the ledger.
    pub fn add(&mut self, account: &str, micros: i128) {
        match account {
            "pending" => self.pending += micros,
            "available" => self.available += micros,
            "withdrawing" => self.withdrawing += micros,
            "paid" => self.paid += micros,
            "debt" => self.debt -= micros,
            _ => {}
        }
    }

    pub fn plus(self, change: Self) -> Self {
        Self {
            pending: self.pending + change.pending,
            available: self.available + change.available,
            withdrawing: self.withdrawing + change.withdrawing,
            paid: self.paid + change.paid,
            debt: self.debt + change.debt,
        }
    }

    /// What the program still owes: below zero for a debt.
    pub fn unpaid(self) -> i128 {
        self.pending + self.available + self.withdrawing - self.debt
    }

    /// All that was ever earned, less what was taken back and the fees of withdrawals.
    pub fn lifetime(self) -> i128 {
        self.unpaid() + self.paid
    }
}

/// One posting, as one affiliate sees it.
#[derive(Clone, Debug)]
pub struct StatementLine {
    pub posting_id: PostingId,
    pub at: Timestamp,
    pub kind: PostingKind,
    pub conversion: Option<ConversionLine>,
    /// The withdrawal, adjustment or release.
    pub cause_id: Option<uuid::Uuid>,
    pub note: Option<String>,
    pub change: AccountSums,
}

/// What a line says of its conversion.
#[derive(Clone, Debug)]
pub struct ConversionLine {
    pub id: ConversionId,
    pub affiliate_id: AffiliateId,
    pub transaction_id: String,
    pub offer: String,
    pub rejection_reason: Option<String>,
}

impl StatementLine {
    /// What it is, in words. Whoever recruited somebody reads nothing of that one's customers.
    pub fn sentence(&self, reader: AffiliateId) -> String {
        let own = self.conversion.as_ref().filter(|it| it.affiliate_id == reader);
        let sale = own.map_or_else(
            || "a conversion of your sub-affiliate".to_owned(),
            |it| format!("transaction {} of {}", it.transaction_id, it.offer),
        );
        let note = self.note.as_deref().unwrap_or_default();
        let with_note = |text: &str| if note.is_empty() { text.to_owned() } else { format!("{text}: {note}") };
        let withdrawal = || self.cause_id.map_or_else(String::new, |id| format!(" wdr_{}", encode(id)));
        match self.kind {
            PostingKind::Earned => format!("Payout for {sale}"),
            PostingKind::Commission => format!("Commission for {sale}"),
            PostingKind::Corrected => format!("Correction: the amounts of {sale} changed"),
            PostingKind::Reversed => {
                let reason = self.conversion.as_ref().and_then(|it| it.rejection_reason.as_deref());
                let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                format!("Taken back: {sale} was rejected{reason}")
            }
            PostingKind::Released if note == "1" => "Released: an earning is past its hold".to_owned(),
            PostingKind::Released => format!("Released: {note} earnings are past their hold"),
            PostingKind::Adjusted => with_note("Adjustment"),
            PostingKind::WithdrawalRequested => with_note(&format!("Withdrawal{} requested", withdrawal())),
            PostingKind::WithdrawalPaid => with_note(&format!("Withdrawal{} paid", withdrawal())),
            PostingKind::WithdrawalReturned => with_note(&format!("Withdrawal{} returned", withdrawal())),
            PostingKind::WithdrawalFee => with_note(&format!("Fee of withdrawal{}", withdrawal())),
            PostingKind::PaymentReturned => with_note(&format!("Payment of withdrawal{} came back", withdrawal())),
            PostingKind::Exchanged => with_note("Exchanged"),
        }
    }
}
