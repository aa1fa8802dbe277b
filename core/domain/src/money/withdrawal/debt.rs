//! A debt that arises while a withdrawal is under way, such as by a chargeback: it stops the withdrawal until it is settled, or
//! until somebody accepts it.

use crate::amounts::Money;
use crate::ids::WithdrawalId;
use crate::timestamp::Timestamp;

use super::{Applied, IllegalStep, Status, Withdrawal};

/// Why a withdrawal does not go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StepError {
    #[error("{0}")]
    Illegal(#[from] IllegalStep),
    #[error(
        "the affiliate of withdrawal {id} owes {debt} to the program by now; {way_back}, and the money settles that first, or go on with \"despite_debt\": true"
    )]
    Indebted { id: WithdrawalId, debt: Money, way_back: &'static str },
}

impl StepError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Illegal(_) => "illegal_step",
            Self::Indebted { .. } => "affiliate_indebted",
        }
    }
}

impl Withdrawal {
    /// Approves or pays it. `debt` is what its affiliate owes; `despite_debt` accepts that much, and no more than that.
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
        // What is paid is past being stopped.
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

    /// Whether a debt is more than was accepted.
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
        assert_eq!(proceed(&mut it, Status::Approved, 9, false), Ok(Applied::Already), "it is approved, whoever owes");
        let paid = || Status::Paid { reference: "TX".into() };
        let more = proceed(&mut it, paid(), 6, false).unwrap_err();
        assert!(more.to_string().contains("report it as failed"), "{more}");
        assert_eq!(proceed(&mut it, Status::Approved, 6, true), Ok(Applied::Now), "approving again accepts more");
        assert_eq!(proceed(&mut it, Status::Approved, 6, true), Ok(Applied::Already));
        assert_eq!(proceed(&mut it, paid(), 6, false), Ok(Applied::Now));
        assert_eq!(it.history.len(), 3, "accepting a debt is no step that an affiliate sees");
        assert_eq!(proceed(&mut it, paid(), 7, true), Ok(Applied::Already), "what is paid is past being stopped");
    }

    fn withdrawal_like(it: &Withdrawal, status: Status) -> Withdrawal {
        Withdrawal { status, accepted_debt: Money { micros: 0, ..it.amount }, ..it.clone() }
    }
}
