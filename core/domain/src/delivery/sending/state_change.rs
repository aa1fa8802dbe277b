//! The new state of a delivery after a step of sending.

use crate::delivery::delivery::{Delivery, DeliveryState, Reason};
use crate::timestamp::Timestamp;

/// The fields of a delivery that a step changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateChange {
    /// The new state.
    pub state: DeliveryState,
    /// The reason of the state. `None`: a success, or a pending delivery without a remark.
    pub reason: Option<Reason>,
    /// When a pending delivery is due again.
    pub due_at: Timestamp,
    /// The number of attempts so far, including those before a manual retry.
    pub attempts: i32,
    /// When it reached a final state. `None`: it is pending.
    pub settled_at: Option<Timestamp>,
}

impl StateChange {
    /// The delivery ends without an attempt.
    pub fn ended(delivery: &Delivery, state: DeliveryState, reason: Reason, now: Timestamp) -> Self {
        Self {
            state,
            reason: Some(reason),
            due_at: delivery.due_at,
            attempts: delivery.attempts,
            settled_at: Some(now),
        }
    }

    /// The delivery is due again at `until`. This uses up no attempt.
    pub fn postponed(delivery: &Delivery, reason: Option<Reason>, until: Timestamp) -> Self {
        Self { state: DeliveryState::Pending, reason, due_at: until, attempts: delivery.attempts, settled_at: None }
    }
}
