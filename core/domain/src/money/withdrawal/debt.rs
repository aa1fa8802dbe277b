//! Debt that arises while a withdrawal is under way, for example by a chargeback. It stops the withdrawal until the
//! debt is settled or a person accepts it.

use crate::amounts::Money;
use crate::ids::WithdrawalId;
use crate::timestamp::Timestamp;

use super::{Applied, IllegalStep, Status, Withdrawal};

/// Why a withdrawal can't be approved or paid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StepError {
    /// The current status does not allow the step.
    #[error("{0}")]
    Illegal(#[from] IllegalStep),
    /// The affiliate owes more than was accepted.
    #[error(
        "the affiliate of withdrawal {id} now owes the program {debt}; {way_back}, and its amount settles the debt first, or send \"despite_debt\": true to accept the debt"
    )]
    Indebted {
        /// The withdrawal.
        id: WithdrawalId,
        /// What the affiliate owes.
        debt: Money,
        /// How to return the money instead, as a clause: "refuse it".
        way_back: &'static str,
    },
}

impl StepError {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Illegal(_) => "illegal_step",
            Self::Indebted { .. } => "affiliate_indebted",
        }
    }
}

impl Withdrawal {
    /// Approves or pays the withdrawal. `debt` is what its affiliate owes; `despite_debt` accepts that amount, but not
    /// a higher one later.
    ///
    /// # Errors
    /// The current status does not allow the step, or the debt is higher than `despite_debt`.
    pub fn approve_or_pay(
        &mut self,
        wanted: Status,
        debt: Money,
        despite_debt: bool,
        by: &str,
        at: Timestamp,
    ) -> Result<Applied, StepError> {
        let mut next = self.clone();
        let mut applied = next.change_status(wanted, by, at)?;
        // A debt no longer stops a withdrawal that is settled.
        if despite_debt && !self.status.settles() && next.is_stopped_by(debt) {
            next.accepted_debt = debt;
            next.updated_at = at;
            applied = Applied::Now;
        }
        if applied == Applied::Now && next.is_stopped_by(debt) {
            let way_back = if self.status == Status::Requested { "refuse it" } else { "report it as failed" };
            return Err(StepError::Indebted { id: self.id, debt, way_back });
        }
        *self = next;
        Ok(applied)
    }

    /// Whether the debt is more than was accepted.
    pub fn is_stopped_by(&self, debt: Money) -> bool {
        debt.micros > self.accepted_debt.micros
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::withdrawal;
    use super::*;

    #[test]
    fn a_debt_stops_a_withdrawal_until_that_much_is_accepted() {
        let at = Timestamp::from_millis(1_763_647_000_000);
        let owing = |micros| Money { micros, ..withdrawal().amount };
        let mut it = withdrawal();
        let proceed = |it: &mut Withdrawal, wanted: Status, debt, despite| {
            it.approve_or_pay(wanted, owing(debt), despite, "key", at)
        };
        let stopped = proceed(&mut it, Status::Approved, 1, false).unwrap_err();
        assert_eq!((stopped.code(), &it), ("affiliate_indebted", &withdrawal_like(&it, Status::Requested)));
        assert_eq!(proceed(&mut it, Status::Approved, 5, true), Ok(Applied::Now));
        assert_eq!(
            proceed(&mut it, Status::Approved, 9, false),
            Ok(Applied::Already),
            "it is approved already, regardless of the debt"
        );
        let paid = || Status::Paid { reference: "TX".into() };
        let more = proceed(&mut it, paid(), 6, false).unwrap_err();
        assert!(more.to_string().contains("report it as failed"), "{more}");
        assert_eq!(proceed(&mut it, Status::Approved, 6, true), Ok(Applied::Now), "approving again accepts more");
        assert_eq!(proceed(&mut it, Status::Approved, 6, true), Ok(Applied::Already));
        assert_eq!(proceed(&mut it, paid(), 6, false), Ok(Applied::Now));
        assert_eq!(it.history.len(), 3, "accepting a debt adds no step to the history");
        assert_eq!(proceed(&mut it, paid(), 7, true), Ok(Applied::Already), "a debt does not stop a paid withdrawal");
    }

    fn withdrawal_like(it: &Withdrawal, status: Status) -> Withdrawal {
        Withdrawal { status, accepted_debt: Money { micros: 0, ..it.amount }, ..it.clone() }
    }
}
