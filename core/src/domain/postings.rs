//! Every way in which a conversion moves money.

use crate::clock::Timestamp;

use super::conversion::{Conversion, Status};
use super::ledger::{Account, Posting};

/// What a change of status does to the books: nothing, an earning, or its reversal. What an affiliate reports itself is
/// owed by its network, not by the program.
pub fn status_changed(conversion: &Conversion, previous: Option<&Status>, at: Timestamp) -> Option<Posting> {
    if conversion.is_self_reported() {
        return None;
    }
    let payout = conversion.payout.filter(|payout| payout.micros > 0)?;
    let pending = Account::Pending(conversion.affiliate_id);
    let (what, from, to) = match (previous, &conversion.status) {
        (None | Some(Status::Pending), Status::Approved) => ("approved", Account::Program, pending),
        (Some(Status::Approved), Status::Rejected { .. }) => ("reversed", pending, Account::Program),
        _ => return None,
    };
    Some(Posting::transfer(format!("conversion:{}:{what}", conversion.id), conversion.id, from, to, payout, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::conversion::Reporter;
    use crate::domain::conversion::samples::conversion;
    use crate::ids::SourceId;

    #[test]
    fn nobody_earns_by_reporting_to_themselves() {
        let at = Timestamp::from_millis(1);
        let reporter = |is_affiliate| Some(Reporter { source_id: SourceId::new(at), is_affiliate });
        let mut it = Conversion { status: Status::Approved, reporter: reporter(true), ..conversion() };
        assert_eq!(status_changed(&it, None, at), None);
        it.reporter = reporter(false);
        assert!(status_changed(&it, None, at).is_some());
    }

    #[test]
    fn approval_earns_and_a_chargeback_takes_it_back() {
        let at = Timestamp::from_millis(1);
        let mut it = conversion();
        assert_eq!(status_changed(&it, None, at), None, "a pending conversion has earned nothing");

        it.status = Status::Approved;
        let earned = status_changed(&it, Some(&Status::Pending), at).unwrap();
        assert_eq!(earned.entries[1].micros, 5_000_000);
        assert_eq!(earned.entries[1].account, Account::Pending(it.affiliate_id));

        it.status = Status::Rejected { reason: "chargeback".into() };
        let reversed = status_changed(&it, Some(&Status::Approved), at).unwrap();
        assert_eq!(reversed.entries[1].account, Account::Program);
        assert_ne!(earned.key, reversed.key);
        assert_eq!(status_changed(&it, Some(&Status::Pending), at), None, "what was never earned is not taken back");
    }
}
