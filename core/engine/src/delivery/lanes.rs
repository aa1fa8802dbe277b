//! The lanes of this process: a queue, the requests in flight and a breaker for each destination and owner.
//!
//! A delivery passes five steps:
//! 1. `Admissions::admit` (`admission.rs`): the delivery is prepared now if its lane has room.
//! 2. `Lanes::enqueue` (`queue.rs`): the prepared delivery waits in the queue of its lane. Without room there it is
//!    returned, to wait in the table (`storage/delivery/waiting_deliveries.rs`), so memory is bounded and no lane blocks
//!    another.
//! 3. `Lanes::next_with_place` (`in_flight.rs`): the delivery leaves the queue when there is a place in its lane, for
//!    its destination, for its owner and in all (`domain/delivery/lane/places.rs`).
//! 4. `Lanes::record_outcome` (`breakers.rs`): the result of the request adjusts the number of places and opens or
//!    closes the breaker.
//! 5. `Drop` of `Place` (`in_flight.rs`), when the result is durable: the place is free again (`free`).
//!
//! The bounds of these steps are in `lane.rs`: `room` and `max_queued_in_all` for step 1, `has_room_for` for step 2,
//! `max_in_flight` for step 3. `drain.rs` says how many deliveries that wait in the table may be claimed again.
//!
//! This module never accesses the database: `sending/breakers.rs` stores the changes of breakers and loads those of
//! other processes.

mod admission;
mod breakers;
mod drain;
mod in_flight;
mod lane;
mod postback_lane;
mod queue;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use domain::delivery::lane::LaneId;
use domain::delivery::lane::places::Places;
use domain::timestamp::Timestamp;

use self::state::State;

pub use admission::Admission;
pub use breakers::BreakerChange;
pub use in_flight::Placed;

/// All lanes of this process. All clones are the same lanes.
#[derive(Clone)]
pub struct Lanes(Arc<Shared>);

struct Shared {
    places: Places,
    /// Maximum number of waiting deliveries per second that leave a lane after its breaker closed.
    drain_rate: u32,
    /// Wakes the worker "send".
    wake: Arc<Notify>,
    state: Mutex<State>,
}

impl Lanes {
    /// `drain_rate`: the maximum number of waiting deliveries per second that leave a lane after its breaker closed.
    /// `wake` is notified when the worker "send" has something to do.
    pub fn new(places: Places, drain_rate: u32, wake: Arc<Notify>) -> Self {
        Self(Arc::new(Shared { places, drain_rate, wake, state: Mutex::default() }))
    }

    /// How long the worker may sleep if nothing wakes it, at least 50 ms. The minimum prevents a busy loop while a due
    /// probe belongs to another process. The end of a probe of this process wakes the worker.
    pub(crate) fn idle_for(&self, now: Timestamp) -> Duration {
        const MIN: Duration = Duration::from_millis(50);
        let mut state = self.state();
        if !state.changes.is_empty() {
            return MIN;
        }
        let max_rate = self.0.drain_rate;
        let waits = state.lanes.values_mut().filter(|lane| lane.waiting_in_table && lane.probe.is_none()).map(|lane| {
            let Some(breaker) = &lane.breaker else { return Duration::MAX };
            match breaker.next_probe() {
                Some(at) => at.since(now),
                None if lane.room(now) > 0 && lane.drain.available(breaker.since, max_rate, now) == 0 => MIN,
                None => Duration::MAX,
            }
        });
        waits.min().unwrap_or(Duration::MAX).max(MIN)
    }

    /// Whether nothing can be done before the clock moves. `waiting`: the lanes with waiting deliveries in the table.
    pub fn is_idle(&self, waiting: &[LaneId], now: Timestamp) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let is_loaded = !state.refreshing && state.refresh_at.is_some_and(|at| at > now);
        let is_stored = is_loaded && state.changes.is_empty() && state.new_destinations.is_empty();
        let max_rate = self.0.drain_rate;
        let mut can_leave = |id: &LaneId| {
            let Some(lane) = state.lanes.get_mut(id) else { return true };
            match &lane.breaker {
                None => true,
                Some(_) if lane.probe.is_some() => true,
                Some(breaker) if breaker.is_closed() => lane.drain.available(breaker.since, max_rate, now) > 0,
                Some(breaker) => breaker.may_be_probed(now),
            }
        };
        is_stored && state.in_flight.all == 0 && state.queued == 0 && !waiting.iter().any(&mut can_leave)
    }

    /// A panic of another holder is ignored: no change leaves the state half-done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
