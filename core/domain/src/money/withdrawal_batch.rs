//! Withdrawal batches: approved withdrawals of one method and currency that are paid with one payment file.

use crate::amounts::Currency;
use crate::ids::{WithdrawalBatchId, WithdrawalId};
use crate::timestamp::Timestamp;

use super::withdrawal::Applied;

/// The most withdrawals of a batch: PayPal's limit for one file. Banks accept more.
pub const LARGEST: u64 = 5_000;

/// A batch as it is stored.
#[derive(Clone, Debug)]
pub struct WithdrawalBatch {
    /// Id of the batch.
    pub id: WithdrawalBatchId,
    /// Id of the payout method.
    pub method: String,
    /// The currency of every withdrawal in the batch.
    pub currency: Currency,
    /// Number of withdrawals when the batch was made.
    pub count: i32,
    /// Sum of the amounts after fees when the batch was made, in micros.
    pub net_micros: i64,
    /// Name of the caller who made it.
    pub created_by: String,
    /// When its file was first downloaded.
    pub exported_at: Option<Timestamp>,
    /// When it was dissolved; its withdrawals are then in no batch.
    pub dissolved_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How many withdrawals of a batch have which result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, utoipa::ToSchema)]
#[schema(as = WithdrawalBatchProgress)]
pub struct Progress {
    /// Approved, without a result so far.
    pub open: i64,
    /// Paid, and not returned.
    pub paid: i64,
    /// The payment failed.
    pub failed: i64,
    /// Paid, and returned by the bank.
    pub returned: i64,
}

impl WithdrawalBatch {
    /// Dissolves a batch that was never paid, so that its open withdrawals can go into another one. After its file was
    /// downloaded this takes `never_sent`: a person confirms that the bank never got the file.
    ///
    /// # Errors
    /// A withdrawal was paid, or the file was downloaded and `never_sent` is false.
    pub fn dissolve(&mut self, progress: Progress, never_sent: bool, at: Timestamp) -> Result<Applied, BatchError> {
        if self.dissolved_at.is_some() {
            return Ok(Applied::Already);
        }
        let paid = progress.paid + progress.returned;
        if paid > 0 {
            return Err(BatchError::UnderWay { id: self.id, paid });
        }
        if let Some(at) = self.exported_at.filter(|_| !never_sent) {
            return Err(BatchError::Exported { id: self.id, at });
        }
        self.dissolved_at = Some(at);
        Ok(Applied::Now)
    }
}

/// Why a batch can't be made, exported or dissolved.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// No withdrawal is ready for a batch.
    #[error(
        "no approved withdrawal by \"{method}\" in {currency} is ready for a batch: each is in a batch already, or its affiliate owes money to the program; approve withdrawals first"
    )]
    NothingToPay {
        /// Id of the payout method.
        method: String,
        /// The currency of the batch.
        currency: Currency,
    },
    /// Every withdrawal has its result.
    #[error("every withdrawal of batch {0} is paid or failed; there is nothing left to export")]
    Settled(WithdrawalBatchId),
    /// These withdrawals are of affiliates that owe more than was accepted.
    #[error(
        "the affiliates of these withdrawals now owe money to the program: {}; report the withdrawals as failed, or approve them again with \"despite_debt\": true", listed(.0)
    )]
    Indebted(Vec<WithdrawalId>),
    /// The batch was dissolved.
    #[error("batch {0} was dissolved, and its withdrawals are in no batch; make a new one")]
    Dissolved(WithdrawalBatchId),
    /// The file may be with the bank.
    #[error(
        "the file of batch {id} was downloaded at {at} and may be with the bank; if it never got there, send \"never_sent\": true"
    )]
    Exported {
        /// The batch.
        id: WithdrawalBatchId,
        /// When its file was first downloaded.
        at: Timestamp,
    },
    /// Some withdrawals are paid.
    #[error("payments of batch {id} were recorded ({paid}), so the bank has its file; wait for the other results")]
    UnderWay {
        /// The batch.
        id: WithdrawalBatchId,
        /// How many are paid, including returned payments.
        paid: i64,
    },
    /// The method with this id has no payer.
    #[error("the bank's file must say who pays; set \"payer\" (name and IBAN) of the payout method \"{0}\"")]
    PayerMissing(String),
    /// The payments don't fit the format of the file.
    #[error("payments by \"{method}\" can't be exported as {format}: {reason}; export them as csv")]
    WrongFormat {
        /// The requested format.
        format: &'static str,
        /// Id of the payout method.
        method: String,
        /// What does not fit, as a clause.
        reason: String,
    },
    /// A file of payment results can't be read; holds a sentence for people.
    #[error("{0}")]
    UnreadableResults(String),
}

impl BatchError {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NothingToPay { .. } => "nothing_to_pay",
            Self::Settled(_) => "batch_settled",
            Self::Indebted(_) => "batch_indebted",
            Self::Dissolved(_) => "batch_dissolved",
            Self::Exported { .. } => "batch_exported",
            Self::UnderWay { .. } => "batch_under_way",
            Self::PayerMissing(_) => "payer_missing",
            Self::WrongFormat { .. } => "wrong_file_format",
            Self::UnreadableResults(_) => "unreadable_results",
        }
    }
}

/// The first five ids, and how many more there are.
fn listed(ids: &[WithdrawalId]) -> String {
    let mut text = ids.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if ids.len() > 5 {
        text += &format!(" and {} more", ids.len() - 5);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_the_bank_may_have_is_not_dissolved() {
        let at = Timestamp::from_millis(1_763_647_000_000);
        let batch = WithdrawalBatch {
            id: WithdrawalBatchId::new(at),
            method: "sepa".into(),
            currency: "EUR".parse().unwrap(),
            count: 2,
            net_micros: 0,
            created_by: "key".into(),
            exported_at: Some(at),
            dissolved_at: None,
            created_at: at,
        };
        let open = Progress { open: 1, failed: 1, ..Progress::default() };
        let dissolve = |batch: &WithdrawalBatch, progress, never_sent| {
            let mut it = batch.clone();
            it.dissolve(progress, never_sent, at).map_err(|it| it.code())
        };
        assert_eq!(dissolve(&batch, open, false), Err("batch_exported"));
        assert_eq!(dissolve(&batch, open, true), Ok(Applied::Now));
        let fresh = WithdrawalBatch { exported_at: None, ..batch.clone() };
        assert_eq!(dissolve(&fresh, open, false), Ok(Applied::Now));
        for sent in [Progress { paid: 1, ..open }, Progress { returned: 1, ..open }] {
            assert_eq!(dissolve(&fresh, sent, true), Err("batch_under_way"));
        }
        let dissolved = WithdrawalBatch { dissolved_at: Some(at), ..batch };
        assert_eq!(dissolve(&dissolved, Progress::default(), false), Ok(Applied::Already));
    }
}
