//! The lane to which the requests of a postback go. It is known only after rendering, and is assumed for later
//! deliveries.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::lane::LaneId;
use domain::timestamp::Timestamp;

/// After a postback has had two lanes: the number of requests in a row for one lane after which that lane is assumed
/// again.
const STEADY: u32 = 32;
/// Maximum number of destinations of one postback that are stored.
const STORED_DESTINATIONS: usize = 8;
/// Maximum age of the assumption that a postback leads to a paused lane. Another process may know of a change.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The lane of a postback's last request.
pub(super) struct PostbackLane {
    pub lane: LaneId,
    /// Whether the next request is assumed to go to the same lane.
    pub is_steady: bool,
    /// Requests in a row for this lane.
    run: u32,
    /// The destinations that were handed out to be stored.
    destinations: Vec<Arc<str>>,
    seen_at: Timestamp,
}

impl PostbackLane {
    /// The lane of a postback's first request. [`Self::record`] must follow.
    pub fn new(lane: &LaneId, now: Timestamp) -> Self {
        Self { lane: lane.clone(), is_steady: true, run: 0, destinations: Vec::new(), seen_at: now }
    }

    /// Records the lane of a request. Returns the destination if it is new and is to be stored.
    pub fn record(&mut self, lane: &LaneId, now: Timestamp) -> Option<Arc<str>> {
        self.seen_at = now;
        if self.lane == *lane {
            self.run = self.run.saturating_add(1);
            self.is_steady |= self.run >= STEADY;
        } else {
            (self.lane, self.is_steady, self.run) = (lane.clone(), false, 1);
        }
        if self.destinations.len() >= STORED_DESTINATIONS || self.destinations.contains(&lane.destination) {
            return None;
        }
        self.destinations.push(lane.destination.clone());
        Some(lane.destination.clone())
    }

    /// Whether a request was rendered recently, so that the lane is assumed even if it is paused.
    pub(crate) fn is_recent(&self, now: Timestamp) -> bool {
        now.since(self.seen_at) < MAX_AGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_postback_with_two_lanes_is_steady_again_after_a_run() {
        let (one, two) = (LaneId::new("https://one.example", None), LaneId::new("https://two.example", None));
        let mut known = PostbackLane::new(&one, at(0));
        assert_eq!(known.record(&one, at(0)), Some(one.destination.clone()));
        assert_eq!(known.record(&two, at(1)), Some(two.destination.clone()));
        assert!(!known.is_steady);
        for _ in 1..STEADY {
            assert!(!known.is_steady);
            assert_eq!(known.record(&two, at(2)), None, "it is stored already");
        }
        assert!(known.is_steady && known.lane == two);
        assert!(known.is_recent(at(61)) && !known.is_recent(at(62)));
    }
}
