//! Places: how many requests may be in flight at once, to one destination, for one owner and in all.

/// Destinations with fewer requests in flight than this may use the part of the places that is kept free for them.
pub const FEW: usize = 2;
/// Places of a destination that has not proved itself yet.
pub const FIRST_PLACES: usize = 4;

/// What a node grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Places {
    pub in_all: usize,
    pub per_destination: usize,
    pub per_owner: usize,
}

/// What is in flight, as far as it concerns one delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InFlight {
    pub in_all: usize,
    pub of_destination: usize,
    pub of_owner: usize,
}

impl Places {
    /// Whether one more may be sent to a destination that may have `limit` places. The last quarter, in all and of each
    /// owner, is kept for destinations that use few: those that never answer must not take the last place.
    pub fn admit(self, limit: usize, used: InFlight) -> bool {
        let part = |places: usize| if used.of_destination < FEW { places } else { places - places / 4 };
        used.of_destination < limit && used.of_owner < part(self.per_owner) && used.in_all < part(self.in_all)
    }
}

/// The places of one destination: more while it answers, fewer when it fails, and few again after a rest.
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

    const PLACES: Places = Places { in_all: 256, per_destination: 64, per_owner: 192 };

    #[test]
    fn who_gets_a_place() {
        let table = [
            ("the first", 4, (0, 0, 0), true),
            ("within its window", 64, (63, 63, 63), true),
            ("its window is full", 64, (64, 64, 64), false),
            ("three quarters are taken", 64, (192, 10, 10), false),
            ("the rest is for those with few", 64, (192, 1, 10), true),
            ("all are taken", 64, (256, 0, 0), false),
            ("its owner has three quarters of an owner's", 64, (150, 10, 144), false),
            ("the rest is for the owner's other destinations", 64, (150, 1, 144), true),
            ("its owner has all of an owner's", 64, (192, 0, 192), false),
        ];
        for (what, limit, (in_all, of_destination, of_owner), expected) in table {
            let used = InFlight { in_all, of_destination, of_owner };
            assert_eq!(PLACES.admit(limit, used), expected, "{what}");
        }
    }

    #[test]
    fn one_place_is_enough_to_go_on() {
        let places = Places { in_all: 1, per_destination: 1, per_owner: 1 };
        assert!(places.admit(1, InFlight { in_all: 0, of_destination: 0, of_owner: 0 }));
        assert!(!places.admit(1, InFlight { in_all: 1, of_destination: 0, of_owner: 0 }));
    }

    #[test]
    fn a_window_follows_its_destination() {
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
        assert_eq!(Window::new(2).size(), 2);
    }
}
