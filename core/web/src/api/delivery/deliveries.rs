//! `/api/v1/deliveries`

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::audit::AuditedChanges;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut, PathId};
use domain::delivery::delivery::{AdapterLine, Attempt, AttemptOutcome, DeliveryState};
use domain::ids::{AffiliateId, ConversionId, DeliveryId, EventId, PostbackId};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::delivery::deliveries::{self, LoggedDelivery};

#[derive(Serialize, ToSchema)]
pub struct HeaderOut {
    name: String,
    value: String,
}

pub fn headers(pairs: Vec<(String, String)>) -> Vec<HeaderOut> {
    pairs.into_iter().map(|(name, value)| HeaderOut { name, value }).collect()
}

/// One HTTP request and its answer.
#[derive(Serialize, ToSchema)]
pub struct AttemptOut {
    number: i32,
    at: Timestamp,
    duration_ms: i32,
    method: String,
    /// As it was rendered: secrets are ***, and buyers are masked for affiliates.
    url: String,
    request_headers: Vec<HeaderOut>,
    request_body: Option<String>,
    /// Null when no answer came.
    status: Option<i32>,
    response_headers: Vec<HeaderOut>,
    /// The first 16 KiB.
    response_body: Option<String>,
    /// Something of the request or the answer was longer than what is kept: bodies and the URL 16 KiB, 64 headers of 2 KiB
    /// each and 16 KiB together.
    truncated: bool,
    outcome: AttemptOutcome,
    error_code: Option<String>,
    error: Option<String>,
    /// What the adapter logged while it rendered the request and read the answer.
    adapter_log: Vec<AdapterLine>,
}

impl From<Attempt> for AttemptOut {
    fn from(it: Attempt) -> Self {
        Self {
            number: it.number,
            at: it.at,
            duration_ms: it.duration_ms,
            method: it.method,
            url: it.url,
            request_headers: headers(it.request_headers),
            request_body: it.request_body,
            status: it.status,
            response_headers: headers(it.response_headers),
            response_body: it.response_body,
            truncated: it.truncated,
            outcome: it.outcome,
            error_code: it.error_code,
            error: it.error,
            adapter_log: it.adapter_log,
        }
    }
}

/// One event owed to one postback.
#[derive(Serialize, ToSchema)]
pub struct DeliveryOut {
    id: DeliveryId,
    event_id: EventId,
    postback_id: PostbackId,
    conversion_id: Option<ConversionId>,
    affiliate_id: AffiliateId,
    state: DeliveryState,
    /// Why it is in that state, in a sentence.
    reason: Option<String>,
    /// The same for programs; stable.
    reason_code: Option<String>,
    /// When it is, or was, to be sent next.
    due_at: Timestamp,
    /// Whether a worker holds it right now.
    in_flight: bool,
    attempts: Vec<AttemptOut>,
    created_at: Timestamp,
    settled_at: Option<Timestamp>,
}

impl DeliveryOut {
    pub(crate) fn of(now: Timestamp, it: LoggedDelivery) -> Self {
        let LoggedDelivery { delivery, attempts } = it;
        let in_flight = delivery.in_flight(now);
        let (reason_code, reason) = delivery.reason.map(|reason| (reason.code, reason.sentence)).unzip();
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            postback_id: delivery.postback_id,
            conversion_id: delivery.conversion_id,
            affiliate_id: delivery.affiliate_id,
            state: delivery.state,
            reason,
            reason_code,
            due_at: delivery.due_at,
            in_flight,
            attempts: attempts.into_iter().map(AttemptOut::from).collect(),
            created_at: delivery.created_at,
            settled_at: delivery.settled_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeliveryFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    postback_id: Option<PostbackId>,
    conversion_id: Option<ConversionId>,
    event_id: Option<EventId>,
    state: Option<DeliveryState>,
}

/// List deliveries with their attempts, newest first.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "deliveries", params(DeliveryFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<DeliveryOut>), (status = "default", body = Problem)))]
pub async fn list_deliveries(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<DeliveryFilter>,
) -> ApiResult<Json<PageOut<DeliveryOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    let filter = storage::delivery::deliveries::Filter {
        owner: None,
        postback_id: it.postback_id,
        conversion_id: it.conversion_id,
        event_id: it.event_id,
        state: it.state,
    };
    let page = deliveries::list(&app, actor, filter, page).await?;
    let now = app.clock.now();
    Ok(Json(PageOut::of(page, |it| DeliveryOut::of(now, it))))
}

/// Read a delivery with its attempts.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "deliveries", params(("id" = DeliveryId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = DeliveryOut), (status = "default", body = Problem)))]
pub async fn get_delivery(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<DeliveryId>,
) -> ApiResult<Json<DeliveryOut>> {
    Ok(Json(DeliveryOut::of(app.clock.now(), deliveries::get(&app, actor, id).await?)))
}

/// Send a delivery again, now. Its retry schedule starts anew and the rules are judged again.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/retry", tag = "deliveries", params(("id" = DeliveryId, Path)),
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 202, body = DeliveryOut), (status = "default", body = Problem)))]
pub async fn retry_delivery(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<DeliveryId>,
) -> ApiResult<(StatusCode, Extension<AuditedChanges>, Json<DeliveryOut>)> {
    let changed = deliveries::retry(&app, actor, id).await?;
    let now = app.clock.now();
    let changed = changed.map(|it| DeliveryOut::of(now, it));
    // Why it ended is an adapter's own words, which may quote a person; its code is not.
    let told = changed.fields().into_iter().filter(|it| ["state", "due_at", "reason_code"].contains(&&*it.field));
    Ok((StatusCode::ACCEPTED, AuditedChanges::many(told), Json(changed.now)))
}
