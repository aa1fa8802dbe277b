//! `/api/v1/destinations`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::PageOut;
use domain::delivery::lane::breaker::BreakerState;
use domain::ids::{AffiliateId, PostbackId};
use domain::people::masking::hide_address;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::delivery::destinations::{self, Destination};

/// A destination of the postbacks of one owner. The same destination of another owner is a separate item.
#[derive(Serialize, ToSchema)]
pub struct DestinationOut {
    /// Scheme, host and port.
    #[schema(example = "https://tracker.example.com")]
    destination: String,
    /// The affiliate that owns the postbacks; null for the program's own postbacks.
    owner_affiliate_id: Option<AffiliateId>,
    /// The state of the circuit breaker for this destination and owner.
    state: BreakerState,
    /// When the breaker entered its state; null if it did not open in the last day.
    since: Option<Timestamp>,
    /// When the breaker last opened; null if it did not open in the last day.
    opened_at: Option<Timestamp>,
    /// The number of failures that opened the breaker, plus failed probes; 0 if it did not open in the last day.
    failures: u32,
    /// The last failure, as a sentence; null if the breaker did not open in the last day.
    reason: Option<String>,
    /// A stable code of the last failure.
    reason_code: Option<String>,
    /// When the next probe is due, if a delivery waits; null unless the breaker is open.
    next_probe_at: Option<Timestamp>,
    /// The number of deliveries of this owner that wait for the destination.
    waiting: i64,
    /// Postbacks of this owner that send requests to the destination, at most 100.
    postback_ids: Vec<PostbackId>,
}

impl DestinationOut {
    fn of(is_staff: bool, destination: Destination) -> Self {
        let state = destination.state();
        let (since, opened_at) = destination.breaker.as_ref().map(|it| (it.since, it.opened_at)).unzip();
        let next_probe_at = destination.breaker.as_ref().filter(|_| state == BreakerState::Open).map(|it| it.probe_at);
        let failures = destination.breaker.as_ref().map_or(0, |it| it.failures);
        let (reason_code, reason) = destination.breaker.map(|it| (it.reason.code, it.reason.sentence)).unzip();
        // As in the log of deliveries: affiliates do not see the address to which a host name resolves.
        let reason = if is_staff { reason } else { hide_address(reason_code.as_deref(), reason) };
        Self {
            destination: destination.lane.destination.to_string(),
            owner_affiliate_id: destination.lane.owner,
            state,
            since,
            opened_at,
            failures,
            reason,
            reason_code,
            next_probe_at,
            waiting: destination.waiting,
            postback_ids: destination.postbacks,
        }
    }
}

/// List destinations that are paused, were paused in the last day, or have waiting deliveries.
///
/// At most 500, on one page; paused destinations come first. Affiliates see the destinations of their own postbacks,
/// staff see those of all owners.
#[utoipa::path(get, path = "/api/v1/destinations", tag = "deliveries",
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<DestinationOut>), (status = "default", body = Problem)))]
pub async fn list_destinations(
    State(app): State<App>,
    Caller(actor): Caller,
) -> ApiResult<Json<PageOut<DestinationOut>>> {
    let found = destinations::list(&app, actor).await?;
    let items = found.into_iter().map(|it| DestinationOut::of(actor.is_staff(), it)).collect();
    Ok(Json(PageOut { items, next: None }))
}
