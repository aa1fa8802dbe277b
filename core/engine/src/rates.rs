//! How often something was done in the last minute, by whom. Each process counts for itself and forgets at its end.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::program::rate;
use domain::timestamp::Timestamp;

/// With fewer, nobody looks for those that are over.
const FEW: usize = 10_000;

#[derive(Debug, Default)]
pub struct Rates(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    until: HashMap<String, Timestamp>,
    /// With so many, those that are over are forgotten: twice as many as stayed the last time, so that a crowd is not
    /// looked through for each that comes.
    forget_from: usize,
}

impl Rates {
    /// Takes one of `per_minute` of `subject`, or says how long to wait for it.
    pub fn take(&self, subject: &str, per_minute: u32, now: Timestamp) -> Result<(), Duration> {
        let mut taken = self.0.lock().expect("nothing panics while it is held");
        let Some(next) = rate::take(taken.until.get(subject).copied(), per_minute, now)? else { return Ok(()) };
        if taken.until.len() >= taken.forget_from.max(FEW) {
            taken.until.retain(|_, until| !rate::is_over(*until, now));
            taken.forget_from = 2 * taken.until.len();
        }
        match taken.until.get_mut(subject) {
            Some(until) => *until = next,
            None => drop(taken.until.insert(subject.to_owned(), next)),
        }
        Ok(())
    }
}
