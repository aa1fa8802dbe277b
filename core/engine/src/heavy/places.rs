//! Places: so many in all, so many for one caller, and some that only the program's own people may take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Callers whose places are remembered before those without any are forgotten.
const REMEMBERED: usize = 1_000;

/// Who asks for a place.
#[derive(Clone, Debug)]
pub struct Caller {
    pub name: String,
    /// One of the program's own people or keys, and no affiliate: there may be any number of affiliates.
    pub is_staff: bool,
}

#[derive(Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    /// What affiliates may have of them together.
    of_affiliates: Arc<Semaphore>,
    number: usize,
    of_caller: usize,
    callers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _of_all: Option<OwnedSemaphorePermit>,
    _of_affiliates: Option<OwnedSemaphorePermit>,
    _of_caller: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// A quarter of the places is kept for staff, if there are that many.
    pub fn new(number: usize, of_caller: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(number)),
            of_affiliates: Arc::new(Semaphore::new(number - number / 4)),
            number,
            of_caller,
            callers: Mutex::default(),
        }
    }

    /// Waits for a place, first come first served. A caller that has all of its own waits for these only, so it keeps nobody
    /// else from the others; and affiliates that wait for each other's places keep no member of staff waiting.
    pub async fn take(&self, caller: Caller) -> Place {
        let own = self.of(&caller.name);
        // Closed at a stop only, when there is room for everybody to find that out.
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
        if callers.len() >= REMEMBERED {
            // Whoever has a place or waits for one has a share of it.
            callers.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = callers.entry(caller.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.of_caller)));
        places.clone()
    }

    /// Waits until every place is free, and lets nobody wait any more.
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
        assert!((&mut waiting).now_or_never().is_none(), "the fourth is not theirs");
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
    async fn who_waits_for_its_own_place_keeps_nobody_from_the_others() {
        let places = Places::new(2, 1);
        let _first = places.take(affiliate("ann")).await;
        let mut more: Vec<_> = (0..9).map(|_| Box::pin(places.take(affiliate("ann")))).collect();
        for waiting in &mut more {
            assert!(waiting.now_or_never().is_none());
        }
        assert!(places.take(affiliate("bob")).now_or_never().is_some());
    }

    #[tokio::test]
    async fn callers_without_places_are_forgotten() {
        let places = Places::new(1, 1);
        let _place = places.take(affiliate("ann")).await;
        for n in 0..3 * REMEMBERED {
            assert!(places.take(affiliate(&n.to_string())).now_or_never().is_none(), "Ann has the only one");
        }
        let callers = places.callers.lock().unwrap();
        assert!(callers.len() <= REMEMBERED && callers.contains_key("ann"), "{}", callers.len());
    }
}
