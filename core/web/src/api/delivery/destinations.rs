//! `/api/v1/destinations`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::PageOut;
use domain::delivery::breaker::BreakerState;
use domain::ids::{AffiliateId, PostbackId};
use domain::people::masking::hide_address;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::delivery::destinations::{self, Destination};

/// Where postbacks of one owner are sent. The same destination of another owner is another one.
#[derive(Serialize, ToSchema)]
pub struct DestinationOut {
    /// Scheme, host and port.
    #[schema(example = "https://tracker.example.com")]
    destination: String,
    /// Whose postbacks these are; null for the program's own.
    owner_affiliate_id: Option<AffiliateId>,
    /// `open`: it failed too often, and deliveries wait for the next probe; `half_open`: the probe is on its way.
    state: BreakerState,
    /// Since when it is in that state; null when it was not paused lately.
    since: Option<Timestamp>,
    opened_at: Option<Timestamp>,
    /// Failures that paused it, and those of its probes.
    failures: u32,
    /// The last failure.
    reason: Option<String>,
    reason_code: Option<String>,
    /// When the next probe is made, if something waits.
    next_probe_at: Option<Timestamp>,
    /// Deliveries of this owner that wait for it.
    waiting: i64,
    /// Postbacks of this owner that were seen to go there, up to a hundred.
    postback_ids: Vec<PostbackId>,
}

impl DestinationOut {
    fn of(is_staff: bool, it: Destination) -> Self {
        let state = it.state();
        let (since, opened_at) = it.breaker.as_ref().map(|it| (it.since, it.opened_at)).unzip();
        let next_probe_at = it.breaker.as_ref().filter(|_| state == BreakerState::Open).map(|it| it.probe_at);
        let failures = it.breaker.as_ref().map_or(0, |it| it.failures);
        let (reason_code, reason) = it.breaker.map(|it| (it.reason.code, it.reason.sentence)).unzip();
        // As the log of deliveries shows it: what a name resolves to inside is not for affiliates.
        let reason = if is_staff { reason } else { hide_address(reason_code.as_deref(), reason) };
        Self {
            destination: it.lane.destination.to_string(),
            owner_affiliate_id: it.lane.owner,
            state,
            since,
            opened_at,
            failures,
            reason,
            reason_code,
            next_probe_at,
            waiting: it.waiting,
            postback_ids: it.postbacks,
        }
    }
}

/// List the destinations that are or were paused in the last day, and those for which deliveries wait; up to 500. Each
/// owner's are by themselves: affiliates see their own, staff see all.
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
