//! Places for heavy reading: limited in all and per caller, with a part that only staff may use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of callers from which callers without places are removed from memory.
const REMOVE_FROM: usize = 1_000;

/// The affiliate, person or key that needs a place.
#[derive(Clone, Debug)]
pub struct Caller {
    pub name: String,
    /// Staff or a key of the program, not an affiliate. The number of affiliates is not limited.
    pub is_staff: bool,
}

/// A limited number of places.
#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    /// The places that all affiliates together may have.
    of_affiliates: Arc<Semaphore>,
    number: usize,
    of_caller: usize,
    callers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A place. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    _of_all: Option<OwnedSemaphorePermit>,
    _of_affiliates: Option<OwnedSemaphorePermit>,
    _of_caller: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// Creates `number` places, at most `of_caller` of them for one caller. A quarter of them, rounded down, is
    /// reserved for staff.
    pub fn new(number: usize, of_caller: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(number)),
            of_affiliates: Arc::new(Semaphore::new(number - number / 4)),
            number,
            of_caller,
            callers: Mutex::default(),
        }
    }

    /// Waits for a place, in the order of the calls. A caller that has reached its limit waits for one of its own
    /// places and does not block other callers. Affiliates that wait do not block staff.
    pub async fn take(&self, caller: Caller) -> Place {
        let own = self.of(&caller.name);
        // Fails only after `close`: the semaphores are closed at a stop.
        let _of_caller = own.acquire_owned().await.ok();
        let _of_affiliates = match caller.is_staff {
            true => None,
            false => self.of_affiliates.clone().acquire_owned().await.ok(),
        };
        let _of_all = self.all.clone().acquire_owned().await.ok();
        Place { _of_all, _of_affiliates, _of_caller }
    }

    fn of(&self, caller: &str) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= REMOVE_FROM {
            // A caller that has a place or waits for one holds a second reference.
            callers.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = callers.entry(caller.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.of_caller)));
        places.clone()
    }

    /// Waits until all places are free and closes them. After that nobody waits for a place.
    pub async fn close(&self) {
        let all = self.all.acquire_many(self.number as u32).await;
        self.all.close();
        self.of_affiliates.close();
        drop(all);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn affiliate(name: &str) -> Caller {
        Caller { name: name.to_owned(), is_staff: false }
    }

    #[tokio::test]
    async fn affiliates_leave_a_quarter_to_staff() {
        let places = Places::new(4, 1);
        let mut taken = Vec::new();
        for name in ["ann", "bob", "cid"] {
            taken.push(places.take(affiliate(name)).await);
        }
        let mut waiting = Box::pin(places.take(affiliate("dan")));
        assert!((&mut waiting).now_or_never().is_none(), "the fourth place is for staff");
        let staff = Caller { name: "operator".to_owned(), is_staff: true };
        assert!(places.take(staff).now_or_never().is_some());
        drop(taken.pop());
        assert!(waiting.now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_caller_leaves_places_to_others_and_all_have_a_bound() {
        let places = Places::new(3, 2);
        let first = places.take(affiliate("ann")).await;
        let _second = places.take(affiliate("ann")).await;
        assert!(places.take(affiliate("ann")).now_or_never().is_none(), "Ann has two");
        let _third = places.take(affiliate("bob")).await;
        assert!(places.take(affiliate("cid")).now_or_never().is_none(), "all three are taken");
        drop(first);
        assert!(places.take(affiliate("cid")).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_caller_at_its_limit_does_not_block_others() {
        let places = Places::new(2, 1);
        let _first = places.take(affiliate("ann")).await;
        let mut more: Vec<_> = (0..9).map(|_| Box::pin(places.take(affiliate("ann")))).collect();
        for waiting in &mut more {
            assert!(waiting.now_or_never().is_none());
        }
        assert!(places.take(affiliate("bob")).now_or_never().is_some());
    }

    #[tokio::test]
    async fn callers_without_places_are_removed() {
        let places = Places::new(1, 1);
        let _place = places.take(affiliate("ann")).await;
        for n in 0..3 * REMOVE_FROM {
            assert!(places.take(affiliate(&n.to_string())).now_or_never().is_none(), "Ann has the only one");
        }
        let callers = places.callers.lock().unwrap();
        assert!(callers.len() <= REMOVE_FROM && callers.contains_key("ann"), "{}", callers.len());
    }
}
