//! A statement: an affiliate's postings in one currency, line by line, with the balance after each.

use crate::ids::{AffiliateId, ConversionId, PostingId, encode};
use crate::timestamp::Timestamp;

use super::ledger::PostingKind;

/// The sums of an affiliate's accounts in one currency, in micros. They may exceed an `i64`, because pending money has
/// no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccountSums {
    /// In the hold.
    pub pending: i128,
    /// Can be withdrawn.
    pub available: i128,
    /// Reserved for withdrawals.
    pub withdrawing: i128,
    /// Paid to the affiliate.
    pub paid: i128,
    /// Owed to the program; positive.
    pub debt: i128,
}

impl AccountSums {
    /// Adds the `micros` of an entry to the account of this name. The program's account is ignored.
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

    /// The sum of both, account by account.
    pub fn plus(self, change: Self) -> Self {
        Self {
            pending: self.pending + change.pending,
            available: self.available + change.available,
            withdrawing: self.withdrawing + change.withdrawing,
            paid: self.paid + change.paid,
            debt: self.debt + change.debt,
        }
    }

    /// What the program still owes the affiliate; negative if the affiliate owes more.
    pub fn unpaid(self) -> i128 {
        self.pending + self.available + self.withdrawing - self.debt
    }

    /// Everything that was ever earned, less reversals and withdrawal fees.
    pub fn lifetime(self) -> i128 {
        self.unpaid() + self.paid
    }
}

/// One posting, as one affiliate sees it.
#[derive(Clone, Debug)]
pub struct StatementLine {
    /// Id of the posting.
    pub posting_id: PostingId,
    /// When the money moved.
    pub at: Timestamp,
    /// The kind of the posting.
    pub kind: PostingKind,
    /// The conversion that caused it. Of earnings that were released together: the first one's.
    pub conversion: Option<ConversionLine>,
    /// The withdrawal, adjustment or release that caused it.
    pub cause_id: Option<uuid::Uuid>,
    /// A reason, a reference or a count.
    pub note: Option<String>,
    /// What the posting changed.
    pub change: AccountSums,
}

/// What a line shows of its conversion.
#[derive(Clone, Debug)]
pub struct ConversionLine {
    /// Id of the conversion.
    pub id: ConversionId,
    /// The affiliate that brought the conversion, which may be a sub-affiliate of the reader.
    pub affiliate_id: AffiliateId,
    /// The advertiser's id of the conversion.
    pub transaction_id: String,
    /// Name of the offer.
    pub offer: String,
    /// Why the conversion was rejected.
    pub rejection_reason: Option<String>,
}

impl StatementLine {
    /// The conversion as the reader may see it; the reader is an affiliate, or staff. A parent affiliate sees nothing of
    /// the conversions of its sub-affiliates.
    pub fn conversion_for(&self, reader: Option<AffiliateId>) -> Option<&ConversionLine> {
        self.conversion.as_ref().filter(|it| reader.is_none_or(|own| it.affiliate_id == own))
    }

    /// The posting as a sentence for the reader.
    pub fn sentence(&self, reader: Option<AffiliateId>) -> String {
        let sale = self.conversion_for(reader).map_or_else(
            || "a conversion of one of your sub-affiliates".to_owned(),
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
            PostingKind::Released => match (note, self.conversion.is_some()) {
                ("1", true) => format!("Released: the earning for {sale} is past its hold"),
                ("1", false) => "Released: an earning is past its hold".to_owned(),
                (_, true) => format!("Released: {note} earnings are past their hold, the first for {sale}"),
                (_, false) => format!("Released: {note} earnings are past their hold"),
            },
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
