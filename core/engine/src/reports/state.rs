//! The state that a process keeps in memory for reports.

use domain::timestamp::Timestamp;

use super::scopes::Scopes;

/// The maximum number of moments that are kept until their transactions have ended.
const MOMENTS: usize = 100;

/// The state that a process keeps in memory for reports.
#[derive(Debug, Default)]
pub struct ReportState {
    pub(super) scopes: tokio::sync::Mutex<Scopes>,
    pub(super) transactions: std::sync::Mutex<Transactions>,
}

/// Moments, each with a number that is greater than the numbers of all transactions that had begun by then.
#[derive(Debug, Default)]
pub struct Transactions(Vec<(Timestamp, i64)>);

impl Transactions {
    /// The latest known moment whose transactions have all ended.
    pub(super) fn settled(&mut self, now: Timestamp, oldest_open: i64, next: i64) -> Option<Timestamp> {
        self.0.push((now, next));
        let settled = self.0.iter().filter(|(_, next)| *next <= oldest_open).map(|(at, _)| *at).max();
        self.0.retain(|(at, _)| settled.is_none_or(|settled| *at >= settled));
        if self.0.len() > MOMENTS {
            // A transaction has been open for a long time. Every second moment is removed.
            let mut keep = false;
            self.0.retain(|_| {
                keep = !keep;
                keep
            });
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_settled_when_its_transactions_have_ended() {
        let at = Timestamp::from_millis;
        let mut transactions = Transactions::default();
        assert_eq!(transactions.settled(at(1), 100, 100), Some(at(1)), "none is open");
        assert_eq!(transactions.settled(at(2), 100, 105), Some(at(1)), "number 100 is open");
        assert_eq!(transactions.settled(at(3), 100, 110), Some(at(1)));
        assert_eq!(transactions.settled(at(4), 105, 120), Some(at(2)), "number 105 was begun after the second moment");
        assert_eq!(transactions.settled(at(5), 120, 121), Some(at(4)));
    }
}
