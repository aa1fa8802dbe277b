//! Withdrawal batches: approved withdrawals of one method and currency that are paid with one file.

use crate::amounts::Currency;
use crate::ids::{WithdrawalBatchId, WithdrawalId};
use crate::timestamp::Timestamp;

use super::withdrawal::Applied;

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
    /// When its file was first downloaded.
    pub exported_at: Option<Timestamp>,
    pub dissolved_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// What became of the withdrawals of a batch so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, utoipa::ToSchema)]
pub struct Progress {
    /// Neither paid nor failed yet.
    pub open: i64,
    pub paid: i64,
    pub failed: i64,
    /// Paid, and sent back by the bank.
    pub returned: i64,
}

impl WithdrawalBatch {
    /// Takes it apart, because the bank never got it: what is open of it may be in another one. `never_sent` is what a person
    /// says of a file that was downloaded.
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

/// A batch that can't be made, exported or taken apart.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    #[error(
        "there is no approved withdrawal by \"{method}\" in {currency} that is not in a batch yet and whose affiliate owes nothing; approve some first"
    )]
    NothingToPay { method: String, currency: Currency },
    #[error("every withdrawal of batch {0} is paid or failed; there is nothing left to export")]
    Settled(WithdrawalBatchId),
    #[error(
        "the affiliates of these withdrawals owe money to the program by now: {}; report them as failed, or approve them once more with \"despite_debt\": true", listed(.0)
    )]
    Indebted(Vec<WithdrawalId>),
    #[error("batch {0} was dissolved, and its withdrawals are in none; make a new one")]
    Dissolved(WithdrawalBatchId),
    #[error(
        "the file of batch {id} was downloaded at {at} and may be with the bank; if it never got there, send \"never_sent\": true"
    )]
    Exported { id: WithdrawalBatchId, at: Timestamp },
    #[error("of batch {id} {paid} were paid, so the bank has its file; wait for its other results")]
    UnderWay { id: WithdrawalBatchId, paid: i64 },
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

/// The first few; more would fill the screen.
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
    fn a_batch_that_the_bank_may_have_is_not_taken_apart() {
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
