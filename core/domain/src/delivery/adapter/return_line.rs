//! Deliveries that wait for the same adapter become due again at a bounded rate, instead of all at once. Pure.
//!
//! A postponed delivery gets a place in the line of its owner and adapter version. A line is stored only as due times:
//! while the adapter is unavailable, deliveries that become due join the line again, so the repeated checks are bounded
//! as well.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::timestamp::Timestamp;

/// The most deliveries of one line that are due in the same second.
pub const RETURNS_PER_SECOND: u32 = 100;

/// The number of lines above which ended lines are removed.
const MANY: usize = 1_024;

const SECOND: Duration = Duration::from_secs(1);

/// The lines of this process, by key.
#[derive(Debug)]
pub struct ReturnLines<K>(HashMap<K, End>);

/// The last second of a line, and how many deliveries are due in it.
#[derive(Clone, Copy, Debug)]
struct End {
    at: Timestamp,
    taken: u32,
}

impl<K> Default for ReturnLines<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> ReturnLines<K> {
    /// The due time of the next delivery in a line: not before `earliest`, and in one second with at most `per_second`
    /// deliveries (at least 1).
    pub fn place(&mut self, key: K, earliest: Timestamp, per_second: u32) -> Timestamp {
        let end = self.0.entry(key).or_insert(End { at: earliest, taken: 0 });
        if end.at < earliest {
            *end = End { at: earliest, taken: 0 };
        }
        if end.taken >= per_second.max(1) {
            *end = End { at: end.at.plus(SECOND), taken: 0 };
        }
        end.taken += 1;
        end.at
    }

    /// Removes the lines that ended before `now`, if there are more than 1,024 lines.
    pub fn forget_ended(&mut self, now: Timestamp) {
        if self.0.len() > MANY {
            self.0.retain(|_, end| end.at >= now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    #[test]
    fn no_second_has_more_deliveries_than_allowed() {
        let mut lines = ReturnLines::default();
        let due: Vec<_> = (0..250).map(|_| lines.place("a", at(60), 100)).collect();
        let count = |secs: i64| due.iter().filter(|it| **it == at(secs)).count();
        assert_eq!([60, 61, 62, 63].map(count), [100, 100, 50, 0]);
        assert_eq!(lines.place("b", at(60), 100), at(60), "another line");
    }

    #[test]
    fn a_line_continues_where_it_ends() {
        let mut lines = ReturnLines::default();
        for (earliest, expected) in [(60, 60), (60, 60), (60, 61), (10, 61), (70, 70), (70, 70), (65, 71)] {
            assert_eq!(lines.place("a", at(earliest), 2), at(expected), "{earliest}");
        }
    }
}
