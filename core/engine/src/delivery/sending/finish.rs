//! Results without a request: the delivery has ended or is postponed.

use domain::delivery::delivery::{Delivery, DeliveryState, Reason};
use domain::delivery::sending::state_change::StateChange;
use domain::timestamp::Timestamp;
use storage::delivery::deliveries::Finish;

/// The delivery ends in `state`.
pub(super) fn ended(delivery: &Delivery, claim: i64, state: DeliveryState, reason: Reason, now: Timestamp) -> Finish {
    Finish { id: delivery.id, claim, change: StateChange::ended(delivery, state, reason, now) }
}

/// The delivery is due again at `until`.
pub(super) fn postponed(delivery: &Delivery, claim: i64, reason: Option<Reason>, until: Timestamp) -> Finish {
    Finish { id: delivery.id, claim, change: StateChange::postponed(delivery, reason, until) }
}
