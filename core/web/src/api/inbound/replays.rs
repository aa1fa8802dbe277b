//! `/api/v1/inbound-requests/replay`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiJson;
use domain::ids::SourceId;
use domain::inbound::notification::Outcome;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::inbound::replays::{self, ReplayFilter};

/// The inbound requests to count or to replay. Requests that were accepted and duplicates never match.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayFilterIn {
    /// Only requests to this source.
    source_id: Option<SourceId>,
    /// Only requests with this outcome.
    outcome: Option<Outcome>,
    /// Only requests whose reason has this code.
    #[schema(example = "invalid_amount")]
    reason_code: Option<String>,
    /// Only requests that report this transaction id.
    transaction_id: Option<String>,
    /// Only requests since this time.
    from: Option<Timestamp>,
    /// Only requests before this time; the present time if absent.
    until: Option<Timestamp>,
}

impl ReplayFilterIn {
    fn filter(self, now: Timestamp) -> ReplayFilter {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        ReplayFilter {
            source_id: self.source_id,
            outcome: self.outcome,
            code: given(self.reason_code),
            transaction_id: given(self.transaction_id),
            from: self.from,
            until: self.until.unwrap_or(now),
        }
    }
}

/// The number of inbound requests that match.
#[derive(Serialize, ToSchema)]
pub struct ReplayCountOut {
    /// How many requests match, at most 1,000. Send this number as `expected`.
    #[schema(example = 24)]
    matching: u32,
    /// Whether there can be more than were counted. Replay these, and then the others.
    capped: bool,
    /// The end of the counted period. Send it in the filter, so that the counted requests are replayed.
    until: Timestamp,
}

/// Inbound requests to replay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayIn {
    /// The requests. Affiliates replay requests to their own sources only.
    filter: ReplayFilterIn,
    /// The number of requests that the caller has confirmed. If more match now, nothing is replayed (409).
    #[schema(example = 24)]
    expected: u32,
}

/// The replayed requests.
#[derive(Serialize, ToSchema)]
pub struct ReplayOut {
    /// How many requests are processed again.
    #[schema(example = 24)]
    replayed: u32,
}

/// Count the inbound requests that a replay would process again.
#[utoipa::path(post, path = "/api/v1/inbound-requests/replay/count", tag = "sources", request_body = ReplayFilterIn,
    security(("api_key" = ["manage_sources"])),
    responses((status = 200, body = ReplayCountOut), (status = "default", body = Problem)))]
pub async fn count_replays(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<ReplayFilterIn>,
) -> ApiResult<Json<ReplayCountOut>> {
    let filter = body.filter(app.clock.now());
    let count = replays::count(&app, actor, &filter).await?;
    Ok(Json(ReplayCountOut { matching: count.matching, capped: count.is_capped, until: filter.until }))
}

/// Process all inbound requests that match again, with the current settings.
///
/// Count them first, and send the number as `expected`. The newest 1,000 become waiting and are processed in the
/// background, also after a restart: 100 per second, or as many per minute as an affiliate may replay one by one.
#[utoipa::path(post, path = "/api/v1/inbound-requests/replay", tag = "sources", request_body = ReplayIn,
    security(("api_key" = ["manage_sources"])),
    responses((status = 200, body = ReplayOut), (status = "default", body = Problem)))]
pub async fn replay_inbound_requests(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<ReplayIn>,
) -> ApiResult<Json<ReplayOut>> {
    let filter = body.filter.filter(app.clock.now());
    let replayed = replays::replay(&app, actor, &filter, body.expected).await?;
    Ok(Json(ReplayOut { replayed }))
}
