//! Withdrawal batches: approved withdrawals of one method and currency that are paid with one file.

use crate::clock::Timestamp;
use crate::ids::WithdrawalBatchId;
use crate::money::Currency;

/// What PayPal takes in one file; banks take more.
pub const LARGEST: u64 = 5_000;

#[derive(Clone, Debug)]
pub struct WithdrawalBatch {
    pub id: WithdrawalBatchId,
    pub method: String,
    pub currency: Currency,
    /// How many withdrawals it was made of.
    pub count: i32,
    /// What arrives at all of them together, in micros.
    pub net_micros: i64,
    pub created_by: String,
    pub created_at: Timestamp,
}

/// What became of the withdrawals of a batch so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, utoipa::ToSchema)]
pub struct Progress {
    /// Neither paid nor failed yet.
    pub open: i64,
    pub paid: i64,
    pub failed: i64,
}

/// A batch that can't be made or exported.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    #[error(
        "there is no approved withdrawal by \"{method}\" in {currency} that is not in a batch yet; approve some first"
    )]
    NothingToPay { method: String, currency: Currency },
    #[error("every withdrawal of batch {0} is paid or failed; there is nothing left to export")]
    Settled(WithdrawalBatchId),
    #[error("the bank's file must say who pays; set \"payer\" (name and IBAN) of the payout method \"{0}\"")]
    PayerMissing(String),
    #[error("the file {format} can't be made of payments by \"{method}\": {reason}; export it as csv")]
    WrongFormat { format: &'static str, method: String, reason: String },
    #[error("{0}")]
    UnreadableResults(String),
}

impl BatchError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::NothingToPay { .. } => "nothing_to_pay",
            Self::Settled(_) => "batch_settled",
            Self::PayerMissing(_) => "payer_missing",
            Self::WrongFormat { .. } => "wrong_file_format",
            Self::UnreadableResults(_) => "unreadable_results",
        }
    }
}
