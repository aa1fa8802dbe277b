//! A rate limit per minute that allows bursts (the generic cell rate algorithm, in milliseconds).

use std::time::Duration;

use crate::timestamp::Timestamp;

const MINUTE_MS: i64 = 60_000;

/// The theoretical arrival time: when all requests so far would have arrived if they were spread evenly. `None` if
/// there were none.
pub type Taken = Option<Timestamp>;

/// Takes one of `per_minute`, which must not be 0, and returns the new state. The error is how long to wait.
pub fn take(taken: Taken, per_minute: u32, now: Timestamp) -> Result<Taken, Duration> {
    let each = (MINUTE_MS / i64::from(per_minute)).max(1);
    let begin = taken.map_or(now.millis(), |taken| taken.millis().max(now.millis()));
    let beyond = begin + each - now.millis() - MINUTE_MS;
    match u64::try_from(beyond) {
        Ok(beyond) if beyond > 0 => Err(Duration::from_millis(beyond)),
        _ => Ok(Some(Timestamp::from_millis(begin + each))),
    }
}

/// Whether the state can be deleted, because the full rate is available again.
pub fn is_over(taken: Timestamp, now: Timestamp) -> bool {
    taken <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_an_even_rate() {
        let begin = Timestamp::from_millis(1_773_144_000_000);
        let mut taken = None;
        for _ in 0..30 {
            taken = take(taken, 30, begin).expect("the first thirty");
        }
        assert_eq!(take(taken, 30, begin), Err(Duration::from_secs(2)));
        let later = begin.plus(Duration::from_secs(2));
        taken = take(taken, 30, later).expect("one after two seconds");
        assert_eq!(take(taken, 30, later), Err(Duration::from_secs(2)));
        assert!(!is_over(taken.expect("it was taken"), later));
        let rested = later.plus(Duration::from_secs(60));
        assert!(is_over(taken.expect("it was taken"), rested));
        for _ in 0..30 {
            taken = take(taken, 30, rested).expect("all thirty after a minute");
        }
    }
}
