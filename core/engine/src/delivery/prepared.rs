//! Prepared deliveries: rendered and ready to be sent.

use std::sync::Arc;

use tracing::{Span, field};

use domain::delivery::delivery::{AdapterLine, Delivery};
use domain::delivery::lane::{LaneId, destination_of};
use domain::delivery::lease::Lease;
use domain::ids::DeliveryId;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use host::wire as contract;
use storage::delivery::waiting_deliveries::{Parked, Waiting};

use super::plan::Plan;

/// A delivery with its rendered request.
pub struct Prepared {
    pub(super) delivery: Delivery,
    pub(super) lease: Lease,
    pub(super) event: Arc<Event>,
    pub(super) plan: Arc<Plan>,
    pub(super) request: contract::Request,
    pub(super) log: Vec<AdapterLine>,
}

impl Prepared {
    /// Whether the lease lasts until `end`, so that no other worker sends the delivery before.
    pub(crate) fn is_ours_until(&self, end: Timestamp) -> bool {
        end <= self.lease.until
    }

    /// The lane of the request. Requests with an invalid URL share the destination "nowhere", whose breaker never
    /// opens.
    pub fn lane(&self) -> LaneId {
        let destination = destination_of(&self.request.url);
        LaneId::new(destination.as_deref().unwrap_or("nowhere"), self.plan.postback.owner)
    }

    /// The tracing span of sending the request and storing the result.
    pub fn span(&self) -> Span {
        let postback = &self.plan.postback;
        tracing::error_span!(
            "delivery",
            delivery.id = %self.delivery.id,
            event.id = %self.event.id,
            postback.id = %postback.id,
            affiliate.id = postback.owner.map(field::display),
            attempt = self.delivery.attempts + 1,
        )
    }

    /// Parks the delivery, because it waits for its destination.
    pub fn park(self, waiting: Waiting) -> Parked {
        parked(self.delivery.id, self.lease, waiting)
    }
}

/// A claimed delivery that is parked, because it waits for its destination.
pub fn parked(id: DeliveryId, lease: Lease, waiting: Waiting) -> Parked {
    Parked { id, claim: lease.claim, lane: waiting.lane, behind: None, reason: waiting.reason }
}
