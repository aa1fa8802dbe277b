//! Rate limits per minute and subject. Each process counts in memory for itself.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::program::rate;
use domain::timestamp::Timestamp;

/// Ended limits are not removed while there are fewer subjects than this.
const REMOVE_FROM: usize = 10_000;

/// The rate limits of this process.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    until: HashMap<String, Timestamp>,
    /// The number of subjects at which ended limits are removed: twice the number that remained the last time, so that
    /// a large map is not searched for each new subject.
    remove_from: usize,
}

impl Rates {
    /// Counts one use of `subject`, which may have `per_minute` uses.
    ///
    /// # Errors
    ///
    /// The time to wait if the limit is reached.
    pub fn take(&self, subject: &str, per_minute: u32, now: Timestamp) -> Result<(), Duration> {
        let mut taken = self.0.lock().expect("nothing panics while it is held");
        let Some(next) = rate::take(taken.until.get(subject).copied(), per_minute, now)? else { return Ok(()) };
        if taken.until.len() >= taken.remove_from.max(REMOVE_FROM) {
            taken.until.retain(|_, until| !rate::is_over(*until, now));
            taken.remove_from = 2 * taken.until.len();
        }
        match taken.until.get_mut(subject) {
            Some(until) => *until = next,
            None => drop(taken.until.insert(subject.to_owned(), next)),
        }
        Ok(())
    }
}
