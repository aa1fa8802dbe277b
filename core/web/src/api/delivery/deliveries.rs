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
use crate::filters::{Period, PeriodIn, TestFilter};
use domain::delivery::answer::AnswerFilter;
use domain::delivery::delivery::{AdapterLine, Attempt, AttemptOutcome, DeliveryState};
use domain::ids::{AffiliateId, ClickId, ConversionId, DeliveryId, EventId, OfferId, PostbackId};
use domain::people::changes::Changed;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::delivery::deliveries::{self, LoggedDelivery};

/// A header of a request or response.
#[derive(Serialize, ToSchema)]
pub struct HeaderOut {
    /// The name.
    name: String,
    /// The value.
    value: String,
}

/// Headers from pairs of name and value.
pub fn headers(pairs: Vec<(String, String)>) -> Vec<HeaderOut> {
    pairs.into_iter().map(|(name, value)| HeaderOut { name, value }).collect()
}

/// One request of a delivery, with its response.
///
/// Secrets, and the data of the buyer that the caller may not see, are replaced by `***`. If the event was deleted, a
/// caller who may not see all data of buyers sees neither URL nor headers nor bodies.
#[derive(Serialize, ToSchema)]
pub struct AttemptOut {
    /// The number of the attempt, counted from 1.
    number: i32,
    /// When the request was sent.
    at: Timestamp,
    /// How long the attempt took, in milliseconds.
    duration_ms: i32,
    /// The HTTP method; empty if the adapter could not build a request.
    method: String,
    /// The URL of the request.
    url: String,
    /// The headers of the request.
    request_headers: Vec<HeaderOut>,
    /// The body of the request; null if it has none.
    request_body: Option<String>,
    /// The HTTP status of the response; null if there was no response.
    http_status: Option<i32>,
    /// The headers of the response; empty if there was no response.
    response_headers: Vec<HeaderOut>,
    /// The first 16 KiB of the response, decompressed; null if there was no response.
    response_body: Option<String>,
    /// Whether a part of the request or response was too long to be stored. Of URL and bodies 16 KiB each are stored,
    /// and up to 64 headers of at most 2 KiB each, 16 KiB together.
    truncated: bool,
    /// How the attempt ended.
    outcome: AttemptOutcome,
    /// A stable code of the error; null without an error.
    error_code: Option<String>,
    /// The error as a sentence; null without an error.
    error: Option<String>,
    /// The lines that the adapter logged while it built the request and read the response.
    adapter_log: Vec<AdapterLine>,
}

impl From<Attempt> for AttemptOut {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            at: attempt.at,
            duration_ms: attempt.duration_ms,
            method: attempt.method,
            url: attempt.url,
            request_headers: headers(attempt.request_headers),
            request_body: attempt.request_body,
            http_status: attempt.status,
            response_headers: headers(attempt.response_headers),
            response_body: attempt.response_body,
            truncated: attempt.truncated,
            outcome: attempt.outcome,
            error_code: attempt.error_code,
            error: attempt.error,
            adapter_log: attempt.adapter_log,
        }
    }
}

/// One event for one postback, with its attempts.
#[derive(Serialize, ToSchema)]
pub struct DeliveryOut {
    id: DeliveryId,
    event_id: EventId,
    postback_id: PostbackId,
    /// The conversion of the event; null for clicks and impressions.
    conversion_id: Option<ConversionId>,
    /// The affiliate of the event.
    affiliate_id: AffiliateId,
    /// Whether it belongs to a test conversion.
    test: bool,
    status: DeliveryState,
    /// Why the delivery has its status, as a sentence; null if there is nothing to explain.
    reason: Option<String>,
    /// A stable code of the reason.
    #[schema(example = "destination_paused")]
    reason_code: Option<String>,
    /// When the delivery is sent or checked next. With a final status: when it was due last.
    due_at: Timestamp,
    /// Whether the delivery is being processed now.
    in_flight: bool,
    /// All attempts so far.
    attempts: Vec<AttemptOut>,
    /// When the delivery was created.
    created_at: Timestamp,
    /// When the delivery got a final status; null while it is pending.
    settled_at: Option<Timestamp>,
}

impl DeliveryOut {
    pub(crate) fn of(now: Timestamp, LoggedDelivery { delivery, is_test, attempts }: LoggedDelivery) -> Self {
        let in_flight = delivery.in_flight(now);
        let (reason_code, reason) = delivery.reason.map(|reason| (reason.code, reason.sentence)).unzip();
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            postback_id: delivery.postback_id,
            conversion_id: delivery.conversion_id,
            affiliate_id: delivery.affiliate_id,
            test: is_test,
            status: delivery.state,
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
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only deliveries of this postback.
    postback_id: Option<PostbackId>,
    /// Only deliveries of this conversion.
    conversion_id: Option<ConversionId>,
    /// Only deliveries of this event.
    event_id: Option<EventId>,
    /// Only deliveries with this status.
    status: Option<DeliveryState>,
    /// Only deliveries of events of this affiliate.
    affiliate_id: Option<AffiliateId>,
    /// Only deliveries of events of this offer. Events that exceeded the retention are not found.
    offer_id: Option<OfferId>,
    /// Only deliveries of conversions with this transaction id.
    transaction_id: Option<String>,
    /// Only deliveries of this click and its conversions.
    click_id: Option<ClickId>,
    /// Only deliveries with this answer to their last attempt.
    http_status: Option<AnswerFilter>,
    /// Only deliveries that ended without an attempt (`true`): they were cancelled or superseded before, or could not be
    /// sent. All if absent.
    not_sent: Option<bool>,
    /// Only deliveries whose reason has this code.
    #[param(example = "destination_paused")]
    reason_code: Option<String>,
    /// Only deliveries whose reason contains this text, with A to Z in any case.
    reason: Option<String>,
    /// Without deliveries of test conversions (`false`), only these (`true`), or all (`any`); `any` if absent, because
    /// they were really sent.
    #[param(inline)]
    test: Option<TestFilter>,
}

/// List deliveries with their attempts, newest first.
///
/// Affiliates see the deliveries of their own postbacks. The period is that of the events. A page can be short or empty
/// although more deliveries match: a filter by status, answer, affiliate, offer or reason examines at most 20,000 deliveries for
/// each page. Continue with `next` until it is null.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "deliveries", params(DeliveryFilter, PeriodIn),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = PageOut<DeliveryOut>), (status = "default", body = Problem)))]
pub async fn list_deliveries(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<DeliveryFilter>,
) -> ApiResult<Json<PageOut<DeliveryOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let filter = storage::delivery::deliveries::Filter {
        owner: None,
        postback_id: params.postback_id,
        conversion_id: params.conversion_id,
        event_id: params.event_id,
        state: params.status,
        affiliate_id: params.affiliate_id,
        offer_id: params.offer_id,
        transaction_id: given(params.transaction_id),
        click_id: params.click_id,
        http_status: params.http_status,
        not_sent: params.not_sent.unwrap_or_default(),
        reason_code: given(params.reason_code),
        reason: given(params.reason),
        test: params.test.and_then(TestFilter::condition),
    };
    let page = deliveries::list(&app, actor, filter, page).await?;
    let now = app.clock.now();
    Ok(Json(PageOut::of(page, |it| DeliveryOut::of(now, it))))
}

/// Read a delivery with its attempts.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "deliveries", params(("id" = DeliveryId, Path)),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = DeliveryOut), (status = "default", body = Problem)))]
pub async fn get_delivery(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<DeliveryId>,
) -> ApiResult<Json<DeliveryOut>> {
    Ok(Json(DeliveryOut::of(app.clock.now(), deliveries::get(&app, actor, id).await?)))
}

/// Retry a delivery immediately.
///
/// The delivery is pending again, and its retry schedule starts from the beginning. The rule of the postback is checked
/// again before the request is sent. If the destination is paused, the delivery is the next probe. Deliveries that were
/// accepted or superseded, or that are being sent, cannot be retried (409).
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/retry", tag = "deliveries", params(("id" = DeliveryId, Path)),
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 202, body = DeliveryOut, description = "The delivery will be sent."), (status = "default", body = Problem)))]
pub async fn retry_delivery(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<DeliveryId>,
) -> ApiResult<(StatusCode, Extension<AuditedChanges>, Json<DeliveryOut>)> {
    let changed = deliveries::retry(&app, actor, id).await?;
    let (changed, audited) = audited(app.clock.now(), changed);
    Ok((StatusCode::ACCEPTED, audited, Json(changed.now)))
}

/// The delivery before and after a retry, and its changes for the audit log. They have no reason: it is a text of the
/// adapter, which can contain personal data.
pub fn audited(now: Timestamp, changed: Changed<LoggedDelivery>) -> (Changed<DeliveryOut>, Extension<AuditedChanges>) {
    let changed = changed.map(|it| DeliveryOut::of(now, it));
    let fields = changed.fields().into_iter().filter(|it| ["status", "due_at", "reason_code"].contains(&&*it.field));
    let audited = AuditedChanges::many(fields);
    (changed, audited)
}
