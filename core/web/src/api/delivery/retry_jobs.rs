//! `/api/v1/retry-jobs`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use domain::delivery::answer::AnswerFilter;
use domain::delivery::retry_job::{RetryFilter, RetryJob, RetryJobStatus, RetryableStatus};
use domain::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId, PostbackId, RetryJobId};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::delivery::retry_jobs;

/// The deliveries to count or to retry.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryFilterIn {
    /// How the deliveries ended; `failed` if absent. Pending deliveries are tried again by themselves.
    #[serde(default)]
    status: RetryableStatus,
    /// Only deliveries of this postback.
    postback_id: Option<PostbackId>,
    /// Only deliveries of this conversion.
    conversion_id: Option<ConversionId>,
    /// Only deliveries of this event.
    event_id: Option<EventId>,
    /// Only deliveries of events of this affiliate.
    affiliate_id: Option<AffiliateId>,
    /// Only deliveries of events of this offer.
    offer_id: Option<OfferId>,
    /// Only deliveries of conversions with this transaction id.
    transaction_id: Option<String>,
    /// Only deliveries of this click and its conversions.
    click_id: Option<ClickId>,
    /// Only deliveries with this answer to their last attempt.
    http_status: Option<AnswerFilter>,
    /// Only deliveries that ended without an attempt (`true`), or all; all if absent.
    #[serde(default)]
    not_sent: bool,
    /// Only deliveries whose reason has this code.
    #[schema(example = "http_503")]
    reason_code: Option<String>,
    /// Only deliveries whose reason contains this text, with A to Z in any case.
    reason: Option<String>,
    /// Only deliveries of events since this time.
    from: Option<Timestamp>,
    /// Only deliveries of events before this time; the present time if absent.
    until: Option<Timestamp>,
}

impl RetryFilterIn {
    fn filter(self, now: Timestamp) -> RetryFilter {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        RetryFilter {
            status: self.status,
            postback_id: self.postback_id,
            conversion_id: self.conversion_id,
            event_id: self.event_id,
            affiliate_id: self.affiliate_id,
            offer_id: self.offer_id,
            transaction_id: given(self.transaction_id),
            click_id: self.click_id,
            http_status: self.http_status,
            not_sent: self.not_sent,
            reason_code: given(self.reason_code),
            reason: given(self.reason),
            from: self.from,
            until: self.until.unwrap_or(now),
        }
    }
}

/// The number of deliveries that match.
#[derive(Serialize, ToSchema)]
pub struct RetryCountOut {
    /// How many deliveries match. Send this number as `expected`.
    #[schema(example = 240)]
    matching: u32,
    /// Whether there can be more than were counted. A job retries at most the counted number; create another one then.
    capped: bool,
    /// The end of the counted period. Send it in the filter of the job, so that it retries what was counted.
    until: Timestamp,
}

/// A job that retries all deliveries that match a filter.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryJobIn {
    /// The deliveries to retry. Affiliates retry deliveries of their own postbacks only.
    filter: RetryFilterIn,
    /// The number of deliveries that the caller has confirmed. If more match now, nothing is retried (409).
    #[schema(example = 240)]
    expected: u32,
}

/// A job that retries many deliveries.
#[derive(Serialize, ToSchema)]
pub struct RetryJobOut {
    id: RetryJobId,
    status: RetryJobStatus,
    /// The deliveries that it retries.
    filter: RetryFilterIn,
    /// The affiliate whose postbacks' deliveries it retries; null for all.
    owner_affiliate_id: Option<AffiliateId>,
    /// How many deliveries matched when it was created. It retries no more.
    #[schema(example = 240)]
    matching: u32,
    /// How many deliveries it has retried.
    #[schema(example = 200)]
    retried: u32,
    /// How many deliveries it left out, because they had changed before it reached them.
    #[schema(example = 3)]
    skipped: u32,
    /// When it was created.
    created_at: Timestamp,
    /// When it ended or was cancelled; null while it is running.
    settled_at: Option<Timestamp>,
}

impl From<RetryJob> for RetryJobOut {
    fn from(job: RetryJob) -> Self {
        let filter = job.filter;
        Self {
            id: job.id,
            status: job.status,
            filter: RetryFilterIn {
                status: filter.status,
                postback_id: filter.postback_id,
                conversion_id: filter.conversion_id,
                event_id: filter.event_id,
                affiliate_id: filter.affiliate_id,
                offer_id: filter.offer_id,
                transaction_id: filter.transaction_id,
                click_id: filter.click_id,
                http_status: filter.http_status,
                not_sent: filter.not_sent,
                reason_code: filter.reason_code,
                reason: filter.reason,
                from: filter.from,
                until: Some(filter.until),
            },
            owner_affiliate_id: job.owner,
            matching: job.matching,
            retried: job.retried,
            skipped: job.skipped,
            created_at: job.created_at,
            settled_at: job.settled_at,
        }
    }
}

/// Count the deliveries that a retry job would retry.
///
/// At most 100,000 are counted.
#[utoipa::path(post, path = "/api/v1/retry-jobs/count", tag = "deliveries", request_body = RetryFilterIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = RetryCountOut), (status = "default", body = Problem)))]
pub async fn count_retries(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<RetryFilterIn>,
) -> ApiResult<Json<RetryCountOut>> {
    let filter = body.filter(app.clock.now());
    let count = retry_jobs::count(&app, actor, &filter).await?;
    Ok(Json(RetryCountOut { matching: count.matching, capped: count.is_capped, until: filter.until }))
}

/// Retry all deliveries that match, as a job in the background.
///
/// Count them first, and send the number as `expected`. The job examines each delivery once, the newest first, and makes
/// it due immediately, as a single retry does: at most 100 per second, or as many per minute as an affiliate may retry
/// one by one. It continues after a restart. An affiliate has one running job at a time.
#[utoipa::path(post, path = "/api/v1/retry-jobs", tag = "deliveries", request_body = RetryJobIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 201, body = RetryJobOut), (status = "default", body = Problem)))]
pub async fn create_retry_job(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<RetryJobIn>,
) -> ApiResult<(StatusCode, Json<RetryJobOut>)> {
    let filter = body.filter.filter(app.clock.now());
    let job = retry_jobs::create(&app, actor, filter, body.expected).await?;
    Ok((StatusCode::CREATED, Json(job.into())))
}

/// List retry jobs, newest first. Affiliates see their own.
#[utoipa::path(get, path = "/api/v1/retry-jobs", tag = "deliveries", params(PageIn),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<RetryJobOut>), (status = "default", body = Problem)))]
pub async fn list_retry_jobs(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<RetryJobOut>>> {
    let page = retry_jobs::list(&app, actor, page.request()?).await?;
    Ok(Json(PageOut::of(page, RetryJobOut::from)))
}

/// Read a retry job with its progress.
#[utoipa::path(get, path = "/api/v1/retry-jobs/{id}", tag = "deliveries", params(("id" = RetryJobId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = RetryJobOut), (status = "default", body = Problem)))]
pub async fn get_retry_job(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<RetryJobId>,
) -> ApiResult<Json<RetryJobOut>> {
    Ok(Json(retry_jobs::get(&app, actor, id).await?.into()))
}

/// Cancel a running retry job. Deliveries that it has retried stay retried.
#[utoipa::path(post, path = "/api/v1/retry-jobs/{id}/cancel", tag = "deliveries", params(("id" = RetryJobId, Path)),
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = RetryJobOut), (status = "default", body = Problem)))]
pub async fn cancel_retry_job(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<RetryJobId>,
) -> ApiResult<Audited<RetryJobOut>> {
    Ok(Audited(retry_jobs::cancel(&app, actor, id).await?.map(Into::into)))
}
