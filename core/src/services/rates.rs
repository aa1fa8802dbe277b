//! How often something was done in the last minute, by whom. Each process counts for itself and forgets at its end.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::domain::rate;

/// From so many on, those that are over are forgotten.
const FORGET_FROM: usize = 10_000;

#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<String, Timestamp>>);

impl Rates {
    /// Takes one of `per_minute` of `subject`, or says how long to wait for it.
    pub fn take(&self, subject: &str, per_minute: u32, now: Timestamp) -> Result<(), Duration> {
        let mut taken = self.0.lock().expect("nothing panics while it is held");
        let next = rate::take(taken.get(subject).copied(), per_minute, now)?;
        if taken.len() >= FORGET_FROM {
            taken.retain(|_, taken| !rate::is_over(*taken, now));
        }
        if let Some(next) = next {
            match taken.get_mut(subject) {
                Some(taken) => *taken = next,
                None => drop(taken.insert(subject.to_owned(), next)),
            }
        }
        Ok(())
    }
}
