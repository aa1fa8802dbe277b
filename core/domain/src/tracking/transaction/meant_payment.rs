//! Payments of a subscription whose network reports each of them under one transaction id.
//!
//! The first payment keeps the transaction id. The following ones get a number: `T1~2`, `T1~3`.

use crate::tracking::conversion::{Conversion, Status};

/// Between the transaction id and the number of the payment.
const NUMBER_SEPARATOR: char = '~';

/// The payment that a notification means.
#[derive(Debug)]
pub enum MeantPayment<'a> {
    /// A known payment.
    Known(&'a Conversion),
    /// A new payment with this transaction id.
    New {
        /// The transaction id of the payment.
        transaction_id: String,
        /// Its number among those that are not rejected.
        number: u32,
    },
}

/// What a notification says about a payment.
#[derive(Clone, Copy, Debug)]
pub struct PaymentReport<'a> {
    /// The transaction id of the subscription.
    pub transaction_id: &'a str,
    /// The status.
    pub status: &'a Status,
    /// Whether it lowers the amount of a payment.
    pub is_refund: bool,
    /// By what the notification is recognised when it is repeated.
    pub key: &'a str,
}

impl PaymentReport<'_> {
    /// The payment that is meant among `known`, the payments of the subscription. A repeated notification means its own
    /// payment, an approval the newest payment that was reported as pending, a rejection or refund the newest one that is not
    /// rejected. Everything else is a new payment.
    pub fn find<'a>(&self, known: &'a [Conversion]) -> MeantPayment<'a> {
        let mut payments: Vec<_> =
            known.iter().filter_map(|it| Some((number_of(self.transaction_id, &it.transaction_id)?, it))).collect();
        payments.sort_by_key(|(number, _)| *number);
        let last = payments.last().map_or(0, |(number, _)| *number);
        let payments: Vec<_> = payments.into_iter().map(|(_, it)| it).collect();
        let newest = |is_meant: &dyn Fn(&Conversion) -> bool| payments.iter().rev().copied().find(|it| is_meant(it));
        let is_rejected = |it: &Conversion| it.status.reason().is_some();
        let own = newest(&|it| it.trace.payment.as_ref().is_some_and(|it| it.knows(self.key)));
        let found = match own {
            Some(own) => Some(own),
            None if self.status.reason().is_some() || self.is_refund => {
                newest(&|it| !is_rejected(it)).or(payments.last().copied())
            }
            None if *self.status == Status::Approved => newest(&awaits_approval),
            None => None,
        };
        match found {
            Some(known) => MeantPayment::Known(known),
            None => {
                let counted = payments.iter().filter(|it| !is_rejected(it)).count();
                MeantPayment::New {
                    transaction_id: numbered(self.transaction_id, last.saturating_add(1)),
                    number: u32::try_from(counted).unwrap_or(u32::MAX).saturating_add(1),
                }
            }
        }
    }
}

/// Whether an approval by the network means this payment. One that is pending by a rule of the program does not await it.
fn awaits_approval(it: &Conversion) -> bool {
    match &it.trace.payment {
        Some(payment) => payment.awaits_approval,
        None => it.status == Status::Pending && it.trace.ruling.is_none(),
    }
}

/// The transaction ids of the payments with these numbers.
pub fn ids_of(transaction_id: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| numbered(transaction_id, number)).collect()
}

/// The transaction id of the payment with this number.
fn numbered(transaction_id: &str, number: u32) -> String {
    if number == 1 { transaction_id.to_owned() } else { format!("{transaction_id}{NUMBER_SEPARATOR}{number}") }
}

/// The number of a payment of the subscription `transaction_id`; `None` if `of` is no payment of it.
fn number_of(transaction_id: &str, of: &str) -> Option<u32> {
    let rest = of.strip_prefix(transaction_id)?;
    if rest.is_empty() {
        return Some(1);
    }
    rest.strip_prefix(NUMBER_SEPARATOR)?.parse().ok().filter(|number| *number > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::attribution::Trace;
    use crate::tracking::conversion::samples::conversion;
    use crate::tracking::transaction::payment::Payment;

    fn rejected() -> Status {
        Status::Rejected { reason: "refund".into() }
    }

    fn payment(transaction_id: &str, status: Status, key: &str) -> Conversion {
        let awaits_approval = status == Status::Pending;
        let payment = Some(Payment { number: 1, keys: vec![key.into()], awaits_approval });
        let trace = Trace { payment, ..Trace::default() };
        Conversion { transaction_id: transaction_id.into(), status, trace, ..conversion() }
    }

    #[test]
    fn payments_have_numbered_ids() {
        assert_eq!(ids_of("T1", 1..4), ["T1", "T1~2", "T1~3"]);
    }

    #[test]
    fn a_notification_means_a_known_payment_or_a_new_one() {
        use Status::{Approved, Pending};
        let first = || payment("T1", Approved, "a");
        let second = |status| payment("T1~2", status, "b");
        let others = || [payment("T12", Approved, "x"), payment("T1~x", Approved, "y"), payment("T1~1", Approved, "z")];
        let held = || {
            let mut held = payment("T1", Pending, "a");
            held.trace.payment.as_mut().unwrap().awaits_approval = false;
            held
        };
        // Known payments; status, whether it is a refund, key; the payment that is meant.
        for (known, (status, is_refund, key), wanted) in [
            (vec![], (Approved, false, "a"), "new T1 1"),
            (vec![first()], (Approved, false, "a"), "T1"),
            (vec![first()], (Approved, false, "b"), "new T1~2 2"),
            (vec![second(Approved), first()], (Approved, false, "c"), "new T1~3 3"),
            (vec![first(), second(rejected())], (Approved, false, "c"), "new T1~3 2"),
            (vec![first(), second(Pending)], (Approved, false, "c"), "T1~2"),
            (vec![first(), second(Pending)], (Pending, false, "c"), "new T1~3 3"),
            (vec![held()], (Approved, false, "c"), "new T1~2 2"),
            (vec![first(), second(Approved)], (rejected(), false, "c"), "T1~2"),
            (vec![first(), second(rejected())], (rejected(), false, "d"), "T1"),
            (vec![first(), second(rejected())], (rejected(), false, "b"), "T1~2"),
            (vec![first(), second(Approved)], (Approved, true, "c"), "T1~2"),
            (vec![], (rejected(), false, "c"), "new T1 1"),
        ] {
            let known: Vec<_> = others().into_iter().chain(known).collect();
            let report = PaymentReport { transaction_id: "T1", status: &status, is_refund, key };
            let found = match report.find(&known) {
                MeantPayment::Known(it) => it.transaction_id.clone(),
                MeantPayment::New { transaction_id, number } => format!("new {transaction_id} {number}"),
            };
            assert_eq!(found, wanted, "{report:?}");
        }
    }
}
