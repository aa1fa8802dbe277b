//! Places: concurrency slots. They limit the requests in flight per lane, per destination, per owner and in total.
//!
//! A request holds its place until the destination responds. The last places are therefore given by how long recent
//! requests of a lane took, not by how few requests it has: a hundred silent destinations with one request each hold as
//! many places as one destination with a hundred.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// Places of a lane that has not responded yet, or not recently.
pub const FIRST_PLACES: usize = 2;
/// A request that took less than this was quick.
pub(crate) const QUICK: Duration = Duration::from_secs(1);
/// How long a lane counts as slow after a request that was not quick.
const SLOW_FOR: Duration = Duration::from_secs(60);

/// How the recent requests of a lane ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Liveness {
    /// None has ended so far.
    New,
    /// All requests of the last minute were quick.
    Quick,
    /// It responds, but at least one request of the last minute took long.
    Slow,
    /// The last request took long and got no usable response.
    Silent,
}

/// How the requests of a lane ended; the input of [`Liveness`].
#[derive(Clone, Copy, Default, Debug)]
pub struct Answers {
    any: bool,
    silent: bool,
    slow_until: Option<Timestamp>,
}

impl Answers {
    /// Records a request that ended at `now`. `answered`: whether it got a usable response.
    pub fn record(&mut self, answered: bool, took: Duration, now: Timestamp) {
        let slow = took >= QUICK;
        (self.any, self.silent) = (true, slow && !answered);
        if slow {
            self.slow_until = Some(now.plus(SLOW_FOR));
        }
    }

    /// The state of the lane at `now`.
    pub fn liveness(&self, now: Timestamp) -> Liveness {
        match self {
            Self { any: false, .. } => Liveness::New,
            Self { silent: true, .. } => Liveness::Silent,
            Self { slow_until: Some(until), .. } if *until > now => Liveness::Slow,
            _ => Liveness::Quick,
        }
    }
}

/// Numbers of requests in flight. A request is counted under the liveness that its lane had when it began.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// All requests.
    pub all: usize,
    /// Requests of new lanes.
    pub new: usize,
    /// Requests of silent lanes.
    pub silent: usize,
}

impl Tally {
    /// A request began.
    pub fn add(&mut self, liveness: Liveness) {
        self.all += 1;
        self.new += usize::from(liveness == Liveness::New);
        self.silent += usize::from(liveness == Liveness::Silent);
    }

    /// A request ended; `liveness` is the value it was added with.
    pub fn remove(&mut self, liveness: Liveness) {
        self.all -= 1;
        self.new -= usize::from(liveness == Liveness::New);
        self.silent -= usize::from(liveness == Liveness::Silent);
    }

    fn unproven(self) -> usize {
        self.new + self.silent
    }
}

/// The limits of one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    /// Requests in flight in total.
    pub in_all: usize,
    /// Requests in flight to one destination.
    pub per_destination: usize,
    /// Requests in flight of one owner.
    pub per_owner: usize,
}

/// The requests in flight that count for the admission of one delivery.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct InFlight {
    /// Of the node.
    pub in_all: Tally,
    /// Of the delivery's owner.
    pub of_owner: Tally,
    /// To its destination, from all owners.
    pub of_destination: usize,
    /// Whether other owners have lanes to this destination.
    pub is_shared: bool,
    /// Of its lane.
    pub of_lane: usize,
}

impl Places {
    /// Whether one more request may be sent in a lane whose own window is `limit` places.
    ///
    /// The last quarter of the node's and the owner's places, and of a destination that owners share, is reserved for
    /// quick lanes without a request in flight, because these return a place soon. The places of all new and silent
    /// lanes together are bounded, so their number does not affect other lanes.
    pub fn admit(self, liveness: Liveness, limit: usize, used: InFlight) -> bool {
        let to_the_last = liveness == Liveness::Quick && used.of_lane == 0;
        let part = |places: usize| if to_the_last { places } else { places - places / 4 };
        let of_destination = if used.is_shared { part(self.per_destination) } else { self.per_destination };
        used.of_lane < lane_limit(liveness, limit)
            && used.of_destination < of_destination
            && used.of_owner.all < part(self.per_owner)
            && used.in_all.all < part(self.in_all)
            && has_room(liveness, used.of_lane, used.in_all, self.in_all / 4)
            && has_room(liveness, used.of_lane, used.of_owner, self.per_owner / 8)
    }
}

/// New and silent lanes get only the places that are needed to find out whether they respond.
fn lane_limit(liveness: Liveness, limit: usize) -> usize {
    match liveness {
        Liveness::Quick | Liveness::Slow => limit,
        Liveness::New => limit.min(FIRST_PLACES),
        Liveness::Silent => limit.min(1),
    }
}

/// Whether one more request fits into the `most` places of new and silent lanes. Half of them are reserved for the
/// first requests of new lanes.
fn has_room(liveness: Liveness, of_lane: usize, used: Tally, most: usize) -> bool {
    let most = most.max(2);
    match liveness {
        Liveness::Quick | Liveness::Slow => true,
        Liveness::New if of_lane == 0 => used.unproven() < most,
        Liveness::New => used.unproven() < most / 2,
        Liveness::Silent => used.unproven() < most && used.silent < most / 2,
    }
}

/// The window of one lane: it grows with each response, shrinks with each failure, and starts small after a rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    size: usize,
    most: usize,
}

impl Window {
    /// A window of [`FIRST_PLACES`] that can grow to `most` places.
    pub fn new(most: usize) -> Self {
        Self { size: FIRST_PLACES.min(most), most }
    }

    /// The current number of places, at least 1 unless `most` is 0.
    pub fn size(self) -> usize {
        self.size
    }

    /// One place more, up to the maximum.
    pub fn answered(&mut self) {
        self.size = (self.size + 1).min(self.most);
    }

    /// Half the places, at least 1.
    pub fn failed(&mut self) {
        self.size = (self.size / 2).max(1);
    }

    /// Back to [`FIRST_PLACES`], if the lane was idle.
    pub fn rested(&mut self) {
        self.size = self.size.clamp(1, FIRST_PLACES.min(self.most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Liveness::{New, Quick, Silent, Slow};

    const PLACES: Places = Places { in_all: 256, per_destination: 64, per_owner: 192 };

    fn tally(all: usize, new: usize, silent: usize) -> Tally {
        Tally { all, new, silent }
    }

    #[test]
    fn admission_follows_liveness_and_limits() {
        let none = tally(0, 0, 0);
        // (what, liveness, (in all, of owner, of destination, shared, of lane), expected), with a window of 64.
        let table = [
            ("the first", New, (none, none, 0, false, 0), true),
            ("a second one of a new lane", New, (tally(1, 1, 0), tally(1, 1, 0), 1, false, 1), true),
            ("a third one of a new lane", New, (tally(2, 2, 0), tally(2, 2, 0), 2, false, 2), false),
            ("a second one of a silent lane", Silent, (tally(1, 0, 1), tally(1, 0, 1), 1, false, 1), false),
            ("within its window", Quick, (tally(63, 0, 0), tally(63, 0, 0), 63, false, 63), true),
            ("its window is full", Quick, (tally(64, 0, 0), tally(64, 0, 0), 64, false, 64), false),
            ("three quarters are taken", Quick, (tally(192, 0, 0), tally(10, 0, 0), 1, false, 1), false),
            ("the rest is for lanes with no request", Quick, (tally(255, 0, 0), tally(10, 0, 0), 0, false, 0), true),
            ("and only for quick lanes", Slow, (tally(192, 0, 0), tally(10, 0, 0), 0, false, 0), false),
            ("slow ones share three quarters", Slow, (tally(191, 0, 0), tally(10, 0, 0), 5, false, 5), true),
            ("all are taken", Quick, (tally(256, 0, 0), none, 0, false, 0), false),
            ("three quarters of its owner's", Quick, (tally(150, 0, 0), tally(144, 0, 0), 1, false, 1), false),
            (
                "the owner's last for lanes with no request",
                Quick,
                (tally(191, 0, 0), tally(191, 0, 0), 0, false, 0),
                true,
            ),
            ("all of its owner's", Quick, (tally(192, 0, 0), tally(192, 0, 0), 0, false, 0), false),
            ("others hold most of its destination", Quick, (tally(48, 0, 0), none, 48, true, 0), true),
            ("its destination is shared", Quick, (tally(48, 0, 0), tally(48, 0, 0), 48, true, 48), false),
            ("others hold all of its destination", Quick, (tally(64, 0, 0), none, 64, true, 0), false),
            ("many silent ones of its owner", Silent, (tally(12, 0, 12), tally(12, 0, 12), 0, false, 0), false),
            ("many silent ones of others", Silent, (tally(32, 0, 32), none, 0, false, 0), false),
            ("new lanes next to silent ones", New, (tally(32, 0, 32), tally(12, 0, 12), 0, false, 0), true),
            ("many new ones of its owner", New, (tally(24, 12, 12), tally(24, 12, 12), 0, false, 0), false),
            ("many new ones of others", New, (tally(64, 64, 0), none, 0, false, 0), false),
            ("responding lanes are not affected", Quick, (tally(64, 32, 32), tally(24, 12, 12), 9, false, 9), true),
        ];
        for (what, liveness, (in_all, of_owner, of_destination, is_shared, of_lane), expected) in table {
            let used = InFlight { in_all, of_owner, of_destination, is_shared, of_lane };
            assert_eq!(PLACES.admit(liveness, 64, used), expected, "{what}");
        }
    }

    /// A destination that responds has a place, no matter how many destinations of how many owners fall silent.
    #[test]
    fn silent_destinations_leave_a_place_for_a_responding_one() {
        // Lanes that never responded, that no longer respond, and that responded so far, in turns.
        for (liveness, lanes, owners) in
            [(New, 150, 1), (New, 1_000, 3), (Silent, 1_000, 1), (Silent, 1_000, 30), (Quick, 150, 1), (Quick, 200, 3)]
        {
            let (mut in_all, mut of_owners, mut of_lanes) =
                (Tally::default(), vec![Tally::default(); owners], vec![0; lanes]);
            for lane in (0..lanes).cycle().take(lanes * 10) {
                let owner = lane % owners;
                let of_lane: usize = of_lanes[lane];
                let used =
                    InFlight { in_all, of_owner: of_owners[owner], of_destination: of_lane, is_shared: false, of_lane };
                if PLACES.admit(liveness, 4, used) {
                    in_all.add(liveness);
                    of_owners[owner].add(liveness);
                    of_lanes[lane] += 1;
                }
            }
            for (whose, of_owner) in [("the same owner", of_owners[0]), ("another owner", Tally::default())] {
                let used = InFlight { in_all, of_owner, ..InFlight::default() };
                assert!(PLACES.admit(Quick, 4, used), "{lanes} {liveness:?} of {owners}, {whose}: {used:?}");
            }
        }
    }

    #[test]
    fn one_place_is_enough_to_send() {
        let places = Places { in_all: 1, per_destination: 1, per_owner: 1 };
        for liveness in [New, Quick, Slow, Silent] {
            assert!(places.admit(liveness, 1, InFlight::default()), "{liveness:?}");
            let mut one = Tally::default();
            one.add(liveness);
            let used = InFlight { in_all: one, of_owner: one, of_destination: 1, is_shared: false, of_lane: 1 };
            assert!(!places.admit(liveness, 1, used), "{liveness:?}");
        }
    }

    #[test]
    fn liveness_follows_from_recent_requests() {
        let at = |secs: i64| Timestamp::from_millis(secs * 1_000);
        let (soon, late) = (Duration::from_millis(20), Duration::from_secs(10));
        let mut answers = Answers::default();
        assert_eq!(answers.liveness(at(0)), New);
        for (answered, took, then, expected) in [
            (true, soon, 0, Quick),
            (false, soon, 0, Quick),
            (false, late, 0, Silent),
            (false, soon, 1, Slow),
            (true, soon, 59, Slow),
            (true, soon, 60, Quick),
            (true, late, 61, Slow),
        ] {
            answers.record(answered, took, at(then));
            assert_eq!(answers.liveness(at(then)), expected, "{answered} {took:?} at {then}");
        }
        answers.record(false, late, at(100));
        assert_eq!(answers.liveness(at(9_999)), Silent, "until it responds");
    }

    #[test]
    fn a_window_grows_and_shrinks_with_its_lane() {
        let mut window = Window::new(64);
        assert_eq!(window.size(), FIRST_PLACES);
        (0..100).for_each(|_| window.answered());
        assert_eq!(window.size(), 64);
        window.failed();
        assert_eq!(window.size(), 32);
        (0..10).for_each(|_| window.failed());
        assert_eq!(window.size(), 1);
        (0..20).for_each(|_| window.answered());
        window.rested();
        assert_eq!(window.size(), FIRST_PLACES);
        assert_eq!(Window::new(1).size(), 1);
    }
}
