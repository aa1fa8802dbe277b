//! How a delivery leaves a stage without a request: ended by a rule, or put off.

use domain::delivery::delivery::{Delivery, DeliveryState, Reason};
use domain::timestamp::Timestamp;
use storage::delivery::deliveries::Finish;

pub(super) fn ended(delivery: &Delivery, claim: i64, state: DeliveryState, reason: Reason, now: Timestamp) -> Finish {
    Finish {
        id: delivery.id,
        state,
        reason: Some(reason),
        due_at: delivery.due_at,
        attempts: delivery.attempts,
        settled_at: Some(now),
        claim,
    }
}

/// Waiting uses up no attempt.
pub(super) fn put_off(delivery: &Delivery, claim: i64, reason: Option<Reason>, until: Timestamp) -> Finish {
    Finish {
        id: delivery.id,
        state: DeliveryState::Pending,
        reason,
        due_at: until,
        attempts: delivery.attempts,
        settled_at: None,
        claim,
    }
}
