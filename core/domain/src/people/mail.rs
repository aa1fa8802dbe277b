//! When a message that could not be sent is tried again, and when it is given up.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// The waits between attempts; the last one is repeated.
const SCHEDULE: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3_600),
];

/// After this time a message is no longer useful: the person has requested it again, or no longer needs it.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// The time of the next attempt after the `made`-th (1 for the first); `None` if it would be at `give_up_at` or later.
pub fn next_attempt(made: u32, now: Timestamp, give_up_at: Timestamp) -> Option<Timestamp> {
    let last = SCHEDULE.len() - 1;
    let next = now.plus(SCHEDULE[(made.saturating_sub(1) as usize).min(last)]);
    (next < give_up_at).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_tried_for_a_day() {
        let start = Timestamp::from_millis(1_773_144_000_000);
        let end = start.plus(GIVEN_UP_AFTER);
        let (mut now, mut made) = (start, 1);
        while let Some(next) = next_attempt(made, now, end) {
            assert!(next > now && next < end);
            (now, made) = (next, made + 1);
        }
        assert_eq!(made, 28);
        assert!(end.since(now) <= Duration::from_secs(3_600));
    }
}
