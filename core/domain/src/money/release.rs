//! Releases: decides which earnings are released when their hold ends, given the room in their balances, and when the
//! others are tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::amounts::Currency;
use crate::ids::AffiliateId;
use crate::timestamp::Timestamp;

use super::earning::{Earning, EarningState};
use super::ledger::Balances;

/// The wait after a release is first postponed.
pub const RETRY_MIN: Duration = Duration::from_secs(60);
/// The longest wait until a postponed release is tried again; the balance may have room by then.
pub const RETRY_MAX: Duration = Duration::from_secs(3_600);

/// Removes the earnings from `due` whose balances have no room for them, and postpones and returns them. The earnings
/// left in `due` can be released together.
pub fn defer_without_room(due: &mut Vec<Earning>, balances: &Balances, now: Timestamp) -> Vec<Earning> {
    let mut credited = BTreeMap::<(AffiliateId, Currency), i64>::new();
    let (fitting, mut rest): (Vec<_>, Vec<_>) = due.drain(..).partition(|earning| {
        let key = (earning.affiliate_id, earning.earned.currency);
        let balance = balances.get(&key).copied().unwrap_or_default();
        let sum = credited.entry(key).or_default();
        let fits = sum.checked_add(earning.left).filter(|sum| balance.has_room_for(*sum));
        *sum = fits.unwrap_or(*sum);
        fits.is_some()
    });
    *due = fitting;
    rest.iter_mut().for_each(|earning| earning.defer(now));
    rest
}

/// When a postponed release is tried again: after as long as the earning has waited since `release_at`, at least
/// [`RETRY_MIN`] and at most [`RETRY_MAX`]. So the waits double.
pub fn retry_at(release_at: Timestamp, now: Timestamp) -> Timestamp {
    now.plus(now.since(release_at).clamp(RETRY_MIN, RETRY_MAX))
}

impl Earning {
    /// Postpones the release; the earning stays pending.
    pub(crate) fn defer(&mut self, at: Timestamp) {
        self.state = EarningState::Pending;
        self.released_at = None;
        self.retry_at = Some(retry_at(self.release_at, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amounts::{ACCOUNT_MAX, Money};
    use crate::ids::AffiliateId;
    use crate::money::earning::{EarningKind, EarningState};
    use crate::money::ledger::Balance;

    #[test]
    fn waits_double_up_to_an_hour() {
        let begin = Timestamp::from_millis(1_773_144_000_000);
        let mut now = begin;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let next = retry_at(begin, now);
            waits.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(waits, [60, 60, 120, 240, 480, 960, 1_920, 3_600]);
    }

    #[test]
    fn earnings_without_room_wait_and_the_others_are_released() {
        let now = Timestamp::from_millis(1_773_144_000_000);
        let currency: Currency = "USD".parse().unwrap();
        let (full, other) = (AffiliateId::new(now), AffiliateId::new(now));
        let earning = |of, micros| Earning::new(of, EarningKind::Payout, Money { micros, currency }, now, now);
        for (available, debt, lefts, released) in [
            (0, 0, vec![5, 5], vec![5, 5]),
            (ACCOUNT_MAX - 5, 0, vec![5, 1], vec![5]),
            (ACCOUNT_MAX - 5, 0, vec![6, 5], vec![5]),
            (ACCOUNT_MAX, 0, vec![1], vec![]),
            (ACCOUNT_MAX, 7, vec![7, 1], vec![7]),
            (i64::MAX, 0, vec![1], vec![]),
        ] {
            let balance = Balance { available, debt, ..Balance::default() };
            let balances = Balances::from([((full, currency), balance)]);
            let mut due: Vec<_> = lefts.iter().map(|left| earning(full, *left)).collect();
            due.push(earning(other, 3));
            let rest = defer_without_room(&mut due, &balances, now);
            let left_of = |of| due.iter().filter(move |it| it.affiliate_id == of).map(|it| it.left).collect::<Vec<_>>();
            assert_eq!((left_of(full), left_of(other)), (released, vec![3]), "{available} {debt} {lefts:?}");
            assert_eq!(rest.len() + due.len(), lefts.len() + 1);
            assert!(rest.iter().all(|it| it.state == EarningState::Pending && it.retry_at > Some(now)));
        }
    }
}
