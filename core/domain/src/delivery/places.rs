//! Places: how many requests may be in flight at once, in one lane, to one destination, for one owner and in all.
//!
//! A place is held for as long as the destination takes to answer. So what decides who gets the last ones is how long the
//! requests of a lane took lately, and not how few it has: a hundred silent destinations with one request each hold as
//! many places as one with a hundred.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// Places of a lane that has not answered yet, or not for a while.
pub const FIRST_PLACES: usize = 2;
/// A request that ended within this was quick.
pub const QUICK: Duration = Duration::from_secs(1);
/// How long a lane is called slow after a request that was not.
const SLOW_FOR: Duration = Duration::from_secs(60);

/// How the requests of a lane ended lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Liveness {
    /// None has ended yet.
    New,
    /// All of the last minute were over soon.
    Quick,
    /// It answers, and has taken long.
    Slow,
    /// The last one took long and had no answer that counts.
    Silent,
}

/// What is known of how requests ended.
#[derive(Clone, Copy, Default, Debug)]
pub struct Answers {
    any: bool,
    silent: bool,
    slow_until: Option<Timestamp>,
}

impl Answers {
    pub fn record(&mut self, answered: bool, took: Duration, now: Timestamp) {
        let slow = took >= QUICK;
        (self.any, self.silent) = (true, slow && !answered);
        if slow {
            self.slow_until = Some(now.plus(SLOW_FOR));
        }
    }

    pub fn liveness(&self, now: Timestamp) -> Liveness {
        match self {
            Self { any: false, .. } => Liveness::New,
            Self { silent: true, .. } => Liveness::Silent,
            Self { slow_until: Some(until), .. } if *until > now => Liveness::Slow,
            _ => Liveness::Quick,
        }
    }
}

/// Requests in flight: all, and those of lanes that were new or silent when they began.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    pub all: usize,
    pub new: usize,
    pub silent: usize,
}

impl Tally {
    pub fn add(&mut self, liveness: Liveness) {
        self.all += 1;
        self.new += usize::from(liveness == Liveness::New);
        self.silent += usize::from(liveness == Liveness::Silent);
    }

    pub fn remove(&mut self, liveness: Liveness) {
        self.all -= 1;
        self.new -= usize::from(liveness == Liveness::New);
        self.silent -= usize::from(liveness == Liveness::Silent);
    }

    fn unproven(self) -> usize {
        self.new + self.silent
    }
}

/// What a node grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    pub in_all: usize,
    pub per_destination: usize,
    pub per_owner: usize,
}

/// What is in flight, as far as it concerns one delivery.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct InFlight {
    pub in_all: Tally,
    pub of_owner: Tally,
    pub of_destination: usize,
    /// Other owners have lanes to this destination.
    pub is_shared: bool,
    pub of_lane: usize,
}

impl Places {
    /// Whether one more may be sent in a lane that may have `limit` places.
    ///
    /// The last quarter, in all, of each owner and of a destination that owners share, is kept for quick lanes with nothing in
    /// flight: these give their place back soon. What new and silent lanes hold together is bounded, so that it does not matter to the
    /// others how many there are.
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

/// A lane that never answered, or no longer, gets no more than it takes to find out whether it does.
fn lane_limit(liveness: Liveness, limit: usize) -> usize {
    match liveness {
        Liveness::Quick | Liveness::Slow => limit,
        Liveness::New => limit.min(FIRST_PLACES),
        Liveness::Silent => limit.min(1),
    }
}

/// Whether one more fits among the `most` places of new and silent lanes. Half of these are for the first request of new ones.
fn has_room(liveness: Liveness, of_lane: usize, used: Tally, most: usize) -> bool {
    let most = most.max(2);
    match liveness {
        Liveness::Quick | Liveness::Slow => true,
        Liveness::New if of_lane == 0 => used.unproven() < most,
        Liveness::New => used.unproven() < most / 2,
        Liveness::Silent => used.unproven() < most && used.silent < most / 2,
    }
}

/// The places of one lane: more while it answers, fewer when it fails, and few again after a rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    size: usize,
    most: usize,
}

impl Window {
    pub fn new(most: usize) -> Self {
        Self { size: FIRST_PLACES.min(most), most }
    }

    pub fn size(self) -> usize {
        self.size
    }

    pub fn answered(&mut self) {
        self.size = (self.size + 1).min(self.most);
    }

    pub fn failed(&mut self) {
        self.size = (self.size / 2).max(1);
    }

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
    fn who_gets_a_place() {
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
            ("the rest is for those with none", Quick, (tally(255, 0, 0), tally(10, 0, 0), 0, false, 0), true),
            ("and quick ones", Slow, (tally(192, 0, 0), tally(10, 0, 0), 0, false, 0), false),
            ("slow ones share three quarters", Slow, (tally(191, 0, 0), tally(10, 0, 0), 5, false, 5), true),
            ("all are taken", Quick, (tally(256, 0, 0), none, 0, false, 0), false),
            ("three quarters of its owner's", Quick, (tally(150, 0, 0), tally(144, 0, 0), 1, false, 1), false),
            ("the owner's last for those with none", Quick, (tally(191, 0, 0), tally(191, 0, 0), 0, false, 0), true),
            ("all of its owner's", Quick, (tally(192, 0, 0), tally(192, 0, 0), 0, false, 0), false),
            ("others have most of its destination", Quick, (tally(48, 0, 0), none, 48, true, 0), true),
            ("its destination is shared", Quick, (tally(48, 0, 0), tally(48, 0, 0), 48, true, 48), false),
            ("others have all of its destination", Quick, (tally(64, 0, 0), none, 64, true, 0), false),
            ("many silent ones of its owner", Silent, (tally(12, 0, 12), tally(12, 0, 12), 0, false, 0), false),
            ("many silent ones of others", Silent, (tally(32, 0, 32), none, 0, false, 0), false),
            ("new ones go beside silent ones", New, (tally(32, 0, 32), tally(12, 0, 12), 0, false, 0), true),
            ("many new ones of its owner", New, (tally(24, 12, 12), tally(24, 12, 12), 0, false, 0), false),
            ("many new ones of others", New, (tally(64, 64, 0), none, 0, false, 0), false),
            ("answering ones mind neither", Quick, (tally(64, 32, 32), tally(24, 12, 12), 9, false, 9), true),
        ];
        for (what, liveness, (in_all, of_owner, of_destination, is_shared, of_lane), expected) in table {
            let used = InFlight { in_all, of_owner, of_destination, is_shared, of_lane };
            assert_eq!(PLACES.admit(liveness, 64, used), expected, "{what}");
        }
    }

    /// However many destinations of however many owners fall silent, one that answers has a place.
    #[test]
    fn silent_destinations_leave_a_place_for_one_that_answers() {
        // Those that never answered, those that no longer do, and those that did until now, in turns.
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
    fn one_place_is_enough_to_go_on() {
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
    fn how_requests_ended_says_what_a_lane_is() {
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
        assert_eq!(answers.liveness(at(9_999)), Silent, "until it answers");
    }

    #[test]
    fn a_window_follows_its_lane() {
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
