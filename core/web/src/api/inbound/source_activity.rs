//! `/api/v1/sources/{id}/activity`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::PathId;
use domain::ids::SourceId;
use domain::inbound::notification::Outcome;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::inbound::activity::{self, Activity};

/// The counted period.
const PERIOD: Duration = Duration::from_secs(14 * 24 * 3_600);

/// What arrived at a source in the last 14 days.
#[derive(Serialize, ToSchema)]
pub struct SourceActivityOut {
    /// The beginning of the counted period.
    from: Timestamp,
    /// When the last request was received, also before the period; null if there was none.
    last_received_at: Option<Timestamp>,
    /// When the last request was received that was accepted; null if none was in the period.
    last_accepted_at: Option<Timestamp>,
    /// The requests by outcome and code, the largest count first.
    counts: Vec<RequestCountOut>,
    /// Whether there are more requests than were counted: the newest 10,000 are counted.
    capped: bool,
    /// Status words without a meaning for which notifications wait, the most frequent first. Map them in
    /// `settings.statuses` of the source.
    unknown_statuses: Vec<UnknownStatusOut>,
}

/// The requests with one outcome and code.
#[derive(Serialize, ToSchema)]
pub struct RequestCountOut {
    outcome: Outcome,
    /// The code of the reason; null for requests that were accepted without a remark.
    #[schema(example = "unknown_status")]
    reason_code: Option<String>,
    /// Their number.
    #[schema(example = 12)]
    count: u64,
    /// When the last of them was received.
    last_received_at: Timestamp,
}

/// A status word without a meaning.
#[derive(Serialize, ToSchema)]
pub struct UnknownStatusOut {
    /// The word, as the network sends it.
    #[schema(example = "pre_paid")]
    status: String,
    /// The number of notifications that wait for its meaning.
    #[schema(example = 3)]
    count: u64,
    /// When the last of them was received.
    last_received_at: Timestamp,
}

impl From<Activity> for SourceActivityOut {
    fn from(activity: Activity) -> Self {
        let counts = activity.counts().into_iter().map(|it| RequestCountOut {
            outcome: it.outcome,
            reason_code: it.code,
            count: it.count,
            last_received_at: it.last_at,
        });
        Self {
            from: activity.from,
            last_received_at: activity.last_at,
            last_accepted_at: activity.last_of(Outcome::Accepted),
            counts: counts.collect(),
            capped: activity.is_capped,
            unknown_statuses: activity
                .unknown_statuses
                .into_iter()
                .map(|it| UnknownStatusOut { status: it.word, count: it.count, last_received_at: it.last_at })
                .collect(),
        }
    }
}

/// Read whether notifications arrive at a source: counts by outcome and code, and unknown status words.
#[utoipa::path(get, path = "/api/v1/sources/{id}/activity", tag = "sources", params(("id" = SourceId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = SourceActivityOut), (status = "default", body = Problem)))]
pub async fn get_source_activity(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
) -> ApiResult<Json<SourceActivityOut>> {
    let from = app.clock.now().minus(PERIOD);
    Ok(Json(activity::get(&app, actor, id, from).await?.into()))
}
