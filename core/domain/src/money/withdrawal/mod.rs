//! Withdrawals: an affiliate requests its money; each step until the payment arrives or the money is returned.
//!
//! ```text
//! requested -> approved -> paid -> returned
//!     |  |         +-----> failed
//!     |  +---------------> refused
//!     +------------------> cancelled
//! ```

pub mod debt;
pub mod request;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::amounts::Money;
use crate::ids::{AffiliateId, WithdrawalBatchId, WithdrawalId};
use crate::timestamp::Timestamp;

use super::payout_details::Fields;
pub use debt::StepError;
pub use request::{
    Minimum, RequestedAmount, WithdrawalError, WithdrawalSettings, highest_minimum, price, withdrawable,
};

/// A request that is equal to the last one counts as the same click within this time.
pub const SAME_CLICK: Duration = Duration::from_secs(10);

/// The status of a withdrawal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Status {
    /// Waits for approval; the money is reserved.
    Requested,
    /// Waits for its payment.
    Approved,
    /// Paid.
    Paid {
        /// The payment's name at the bank or PayPal.
        reference: String,
    },
    /// Refused by staff; the money was returned to the balance.
    Refused {
        /// Why, for the affiliate.
        reason: String,
    },
    /// The payment failed; the money was returned to the balance.
    Failed {
        /// Why, for the affiliate.
        reason: String,
    },
    /// The bank returned the payment; amount and fee were returned to the balance.
    Returned {
        /// Why, for the affiliate.
        reason: String,
    },
    /// Cancelled by the affiliate; the money was returned to the balance.
    Cancelled,
}

impl Status {
    /// Every [`Self::word`].
    pub const WORDS: [&'static str; 7] =
        ["requested", "approved", "paid", "refused", "failed", "returned", "cancelled"];

    /// The status as one word, without reference or reason.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Paid { .. } => "paid",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Returned { .. } => "returned",
            Self::Cancelled => "cancelled",
        }
    }

    /// The reference of a payment, or the reason of a refusal, failure or return.
    pub fn note(&self) -> Option<&str> {
        match self {
            Self::Paid { reference } => Some(reference),
            Self::Refused { reason } | Self::Failed { reason } | Self::Returned { reason } => Some(reason),
            Self::Requested | Self::Approved | Self::Cancelled => None,
        }
    }

    /// From the two columns of the database; `None` for an unknown word.
    pub fn from_parts(word: &str, note: Option<String>) -> Option<Self> {
        let note = note.unwrap_or_default();
        Some(match word {
            "requested" => Self::Requested,
            "approved" => Self::Approved,
            "paid" => Self::Paid { reference: note },
            "refused" => Self::Refused { reason: note },
            "failed" => Self::Failed { reason: note },
            "returned" => Self::Returned { reason: note },
            "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }

    /// Whether the withdrawal reserves no money any more: it is paid, or the money was returned.
    pub fn settles(&self) -> bool {
        !matches!(self, Self::Requested | Self::Approved)
    }
}

/// One step of a withdrawal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The status after the step, as a word.
    pub status: String,
    /// When it happened.
    pub at: Timestamp,
    /// The caller's name, as in the audit log.
    pub by: String,
    /// The reference or reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A withdrawal as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Withdrawal {
    /// Id of the withdrawal.
    pub id: WithdrawalId,
    /// The affiliate to be paid.
    pub affiliate_id: AffiliateId,
    /// Id of the payout method.
    pub method: String,
    /// The amount that leaves the balance.
    pub amount: Money,
    /// The part of it that the program keeps.
    pub fee: Money,
    /// Whether the whole balance was requested.
    pub requested_all: bool,
    /// The current status.
    pub status: Status,
    /// The steps so far, oldest first.
    pub history: Vec<Step>,
    /// The payout details at the time of the request, sealed for this withdrawal: later changes don't redirect the
    /// payment.
    pub sealed_details: String,
    /// The same details, masked for display.
    pub masked_details: Fields,
    /// When the affiliate had last changed them.
    pub details_changed_at: Timestamp,
    /// The batch that it is paid with.
    pub batch_id: Option<WithdrawalBatchId>,
    /// The debt that finance accepted: the withdrawal proceeds while its affiliate owes no more than this.
    pub accepted_debt: Money,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The status of a withdrawal does not allow the step.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("withdrawal {id} is {current}{} and can't become {wanted}; {}", described(note), hint(current, wanted))]
pub struct IllegalStep {
    /// The withdrawal.
    pub id: WithdrawalId,
    /// Its status.
    pub current: &'static str,
    /// The reference or reason of its status.
    pub note: Option<String>,
    /// The status that was requested for it.
    pub wanted: &'static str,
}

fn described(note: &Option<String>) -> String {
    note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default()
}

fn hint(current: &str, wanted: &str) -> &'static str {
    match (current, wanted) {
        ("requested", "paid" | "failed") => "approve it first, or refuse it",
        ("approved", "refused" | "cancelled") => {
            "its payment may be under way; report it as failed if it did not arrive"
        }
        ("requested" | "approved", "returned") => "it was not paid yet; refuse it, or report it as failed",
        ("paid", _) => "if the bank sent the money back, report it as returned",
        ("returned", _) => "its money is available again and can be requested again",
        _ => "its money was returned to the balance and can be requested again",
    }
}

/// Whether a step changed anything. Repeating a step has no effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// The step was applied.
    Now,
    /// The withdrawal was in that state before.
    Already,
}

impl Withdrawal {
    /// The amount that the affiliate receives: without the fee.
    pub fn net(&self) -> Money {
        Money { micros: self.amount.micros - self.fee.micros, currency: self.amount.currency }
    }

    /// Changes the status, if the current status allows it, and adds the step to the history. `by` is the caller's
    /// name.
    ///
    /// # Errors
    /// The current status does not allow this step.
    pub fn change_status(&mut self, wanted: Status, by: &str, at: Timestamp) -> Result<Applied, IllegalStep> {
        use Status::{Approved, Cancelled, Failed, Paid, Refused, Requested, Returned};
        match (&self.status, &wanted) {
            (current, wanted) if current == wanted => return Ok(Applied::Already),
            (Requested, Approved | Refused { .. } | Cancelled)
            | (Approved, Paid { .. } | Failed { .. })
            | (Paid { .. }, Returned { .. }) => {}
            (current, wanted) => {
                let note = current.note().map(str::to_owned);
                return Err(IllegalStep { id: self.id, current: current.word(), note, wanted: wanted.word() });
            }
        }
        self.history.push(step(&wanted, by, at));
        self.status = wanted;
        self.updated_at = at;
        Ok(Applied::Now)
    }

    /// Interprets a bank's status for this withdrawal: a payment that was returned before it was recorded as paid has
    /// failed.
    pub fn interpret_bank_status(&self, word: Status) -> Status {
        match (&self.status, word) {
            (Status::Approved | Status::Failed { .. }, Status::Returned { reason }) => Status::Failed { reason },
            (_, word) => word,
        }
    }

    /// Whether a request for this amount at `now` is a second click on the request that created this withdrawal.
    pub fn is_same_click(&self, asked: RequestedAmount, now: Timestamp) -> bool {
        let same = match asked {
            RequestedAmount::All => self.requested_all,
            RequestedAmount::Exactly(amount) => !self.requested_all && amount == self.amount.amount(),
        };
        same && self.status == Status::Requested && now.since(self.created_at) < SAME_CLICK
    }
}

/// The entry of the history for a change to `status`.
pub fn step(status: &Status, by: &str, at: Timestamp) -> Step {
    Step { status: status.word().to_owned(), at, by: by.to_owned(), note: status.note().map(str::to_owned) }
}

/// Test data.
#[cfg(test)]
pub mod samples {
    use super::*;

    /// A request of 100.00 EUR by SEPA.
    pub fn withdrawal() -> Withdrawal {
        let at = Timestamp::from_millis(1_763_647_000_000);
        let money = |text: &str| text.parse::<crate::amounts::Amount>().unwrap().of("EUR".parse().unwrap());
        Withdrawal {
            id: WithdrawalId::new(at),
            affiliate_id: AffiliateId::new(at),
            method: "sepa".into(),
            amount: money("100.00"),
            fee: money("1.00"),
            requested_all: false,
            status: Status::Requested,
            history: vec![step(&Status::Requested, "affiliate", at)],
            sealed_details: String::new(),
            masked_details: Fields::new(),
            details_changed_at: at,
            batch_id: None,
            accepted_debt: money("0"),
            created_at: at,
            updated_at: at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(reference: &str) -> Status {
        Status::Paid { reference: reference.into() }
    }

    fn refused(reason: &str) -> Status {
        Status::Refused { reason: reason.into() }
    }

    fn failed(reason: &str) -> Status {
        Status::Failed { reason: reason.into() }
    }

    fn returned(reason: &str) -> Status {
        Status::Returned { reason: reason.into() }
    }

    #[test]
    fn every_step_is_taken_repeated_or_refused() {
        use Status::{Approved, Cancelled, Requested};
        let all = [
            Requested,
            Approved,
            paid("1"),
            paid("2"),
            refused("a"),
            refused("b"),
            failed("a"),
            failed("b"),
            returned("a"),
            returned("b"),
            Cancelled,
        ];
        let steps = [
            (Requested, Approved),
            (Requested, refused("a")),
            (Requested, refused("b")),
            (Requested, Cancelled),
            (Approved, paid("1")),
            (Approved, paid("2")),
            (Approved, failed("a")),
            (Approved, failed("b")),
            (paid("1"), returned("a")),
            (paid("1"), returned("b")),
            (paid("2"), returned("a")),
            (paid("2"), returned("b")),
        ];
        for from in &all {
            for to in &all {
                let before = Withdrawal { status: from.clone(), ..samples::withdrawal() };
                let mut it = before.clone();
                let result = it.change_status(to.clone(), "key", Timestamp::from_millis(7));
                if from == to {
                    assert_eq!((result, it.history.len()), (Ok(Applied::Already), 1), "{from:?}");
                } else if steps.contains(&(from.clone(), to.clone())) {
                    assert_eq!((result, &it.status, it.history.len()), (Ok(Applied::Now), to, 2));
                    let step = it.history.last().unwrap();
                    assert_eq!((step.status.as_str(), step.note.as_deref()), (to.word(), to.note()));
                    assert_eq!(Status::from_parts(to.word(), to.note().map(str::to_owned)), Some(to.clone()));
                } else {
                    let error = result.expect_err("there is no such step").to_string();
                    assert!(error.contains(from.word()) && error.contains("; "), "{error}");
                    assert_eq!((&it.status, it.history.len()), (from, 1), "{from:?} -> {to:?}");
                }
            }
        }
        assert!(all.iter().all(|it| Status::WORDS.contains(&it.word())));
    }

    #[test]
    fn a_return_before_the_payment_was_recorded_is_a_failure() {
        let with = |status| Withdrawal { status, ..samples::withdrawal() };
        assert_eq!(with(Status::Approved).interpret_bank_status(returned("closed")), failed("closed"));
        assert_eq!(
            with(failed("closed")).interpret_bank_status(returned("closed")),
            failed("closed"),
            "the same file again"
        );
        assert_eq!(with(paid("1")).interpret_bank_status(returned("closed")), returned("closed"));
        assert_eq!(with(Status::Approved).interpret_bank_status(paid("1")), paid("1"));
    }

    #[test]
    fn the_same_request_within_seconds_is_the_same_click() {
        let it = samples::withdrawal();
        let at = |ms: u64| it.created_at.plus(Duration::from_millis(ms));
        let same = |text: &str| RequestedAmount::Exactly(text.parse().unwrap());
        assert!(it.is_same_click(same("100"), at(9_999)));
        assert!(!it.is_same_click(same("100"), at(10_000)));
        assert!(!it.is_same_click(same("100.01"), at(1)));
        assert!(!it.is_same_click(RequestedAmount::All, at(1)));
        let approved = Withdrawal { status: Status::Approved, ..it.clone() };
        assert!(!approved.is_same_click(same("100"), at(1)));
    }
}
