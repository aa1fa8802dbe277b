//! `/api/v1/postbacks/preview` and `/api/v1/postbacks/estimate`: what a postback would do before it is saved.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::deliveries::{HeaderOut, headers};
use super::explanations::CheckOut;
use super::postbacks::{PostbackIn, default_action, default_firing_status, reasons};
use crate::api::Issues;
use crate::auth::Caller;
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PathId};
use crate::verification::VerificationOut;
use domain::delivery::rules::{Delay, FiringStatus, Rule, Scope};
use domain::ids::{EventId, PostbackId};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use engine::Error;
use engine::app::App;
use engine::delivery::estimates;
use engine::delivery::postbacks::{self, Preview, PreviewOptions, TestClick};

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PreviewIn {
    /// The past event for which the request is built; a sample that matches the rule if absent.
    event_id: Option<EventId>,
    /// Whether the request is sent as a test; false if absent.
    send: Option<bool>,
}

impl PreviewIn {
    fn options(&self, click: TestClick) -> PreviewOptions {
        PreviewOptions { event_id: self.event_id, send: self.send.unwrap_or_default(), click }
    }
}

/// A request as it would be sent.
#[derive(Serialize, ToSchema)]
pub struct PreviewedRequestOut {
    /// The HTTP method.
    method: String,
    /// The URL, with secrets masked.
    url: String,
    /// The headers, with secrets masked.
    headers: Vec<HeaderOut>,
    /// The body, with secrets masked; null if it has none.
    body: Option<String>,
    /// Whether a part of the request is too long to be shown.
    truncated: bool,
}

/// What an unsaved postback would send.
#[derive(Serialize, ToSchema)]
pub struct PreviewOut {
    /// The event for which the request was built; null for a sample.
    event_id: Option<EventId>,
    /// The rule as one sentence.
    #[schema(example = "A request is sent 2 minutes after a conversion of any affiliate for any offer is approved.")]
    summary: String,
    /// The request; null if the adapter builds none for this event.
    request: Option<PreviewedRequestOut>,
    /// A stable code of the adapter's error; null without an error.
    error_code: Option<String>,
    /// The adapter's error as a sentence; null without an error.
    error: Option<String>,
    /// Whether the postback would be fired for the event; null if the adapter cannot be asked now.
    fires: Option<bool>,
    /// The checks of the rule and of the adapter, in the order of the pipeline.
    checks: Vec<CheckOut>,
    /// The response of the destination; null if the request was not sent.
    verification: Option<VerificationOut>,
}

impl From<Preview> for PreviewOut {
    fn from(preview: Preview) -> Self {
        let (request, error) = match preview.request {
            Ok(request) => (Some(request), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            event_id: preview.event_id,
            summary: preview.summary,
            request: request.map(|it| PreviewedRequestOut {
                method: it.method,
                url: it.url,
                headers: headers(it.headers),
                body: it.body,
                truncated: it.cut,
            }),
            error_code: error.as_ref().map(|it| it.code().to_owned()),
            error: error.map(|it| it.to_string()),
            fires: preview.fires,
            checks: preview.checks.into_iter().map(CheckOut::from).collect(),
            verification: preview.answer.map(VerificationOut::from),
        }
    }
}

/// Show what a new postback would send, without saving it.
///
/// The adapter builds the request for a past event or for a sample. With `send=true` the request is sent as a test, and
/// the response is in `verification`. A past event of another affiliate than the owner of the postback is not found.
#[utoipa::path(post, path = "/api/v1/postbacks/preview", tag = "postbacks", params(PreviewIn),
    request_body = PostbackIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = PreviewOut), (status = "default", body = Problem)))]
pub async fn preview_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(params): ApiQuery<PreviewIn>,
    ApiJson(body): ApiJson<PostbackIn>,
) -> ApiResult<Json<PreviewOut>> {
    let options = params.options(body.test_click());
    Ok(Json(postbacks::preview_new(&app, actor, body.into_new()?, options).await?.into()))
}

/// Show what a postback would send after a change, without saving it.
///
/// The body is a merge patch (RFC 7396), the same as for the change itself. Secrets that are not sent keep their values.
#[utoipa::path(post, path = "/api/v1/postbacks/{id}/preview", tag = "postbacks",
    params(("id" = PostbackId, Path), PreviewIn),
    request_body(content((PostbackIn = "application/json"), (PostbackIn = "application/merge-patch+json"))),
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = PreviewOut), (status = "default", body = Problem)))]
pub async fn preview_postback_change(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    ApiQuery(params): ApiQuery<PreviewIn>,
    patch: Patch,
) -> ApiResult<Json<PreviewOut>> {
    let options = params.options(TestClick::of(patch.get("test_click_id").and_then(Value::as_str)));
    let shown = postbacks::preview_change(&app, actor, id, |it| PostbackIn::patched(it, &patch), options).await?;
    Ok(Json(shown.into()))
}

/// A rule of a postback.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleIn {
    /// The kind of events; `conversion` if absent.
    #[serde(default = "default_action")]
    action: Action,
    /// The affiliate and offer whose events are sent; all if absent. Affiliates always estimate their own events.
    #[serde(default)]
    scope: Scope,
    /// The status of conversions that are sent; `any` if absent.
    #[serde(default = "default_firing_status")]
    firing_status: FiringStatus,
    /// Of rejected conversions only those with one of these reasons are sent, in any case; all if empty. At most 50
    /// reasons of 1 to 100 characters.
    #[serde(default)]
    #[schema(max_items = 50)]
    rejection_reasons: Vec<String>,
    /// How long a delivery waits before it is sent; it is sent immediately if absent or null.
    #[serde(default)]
    delay: Option<Delay>,
}

impl RuleIn {
    fn rule(self) -> Result<Rule, Error> {
        let mut issues = Issues::default();
        let rejection_reasons = reasons(&self.rejection_reasons, &mut issues);
        issues.result()?;
        let Self { action, scope, firing_status, delay, .. } = self;
        Ok(Rule { scope, action, firing_status, rejection_reasons, delay: delay.filter(|delay| delay.value > 0) })
    }
}

/// How often a rule would have been fired in the last seven days.
#[derive(Serialize, ToSchema)]
pub struct EstimateOut {
    /// The rule as one sentence.
    #[schema(example = "A request is sent as soon as a conversion of any affiliate for any offer is approved.")]
    summary: String,
    /// How many of the examined events match the rule. The adapter can skip some of them.
    #[schema(example = 41)]
    fired: u64,
    /// The number of examined events, the latest first: at most 10,000, or 100,000 clicks or impressions.
    #[schema(example = 380)]
    examined: u64,
    /// Whether the period has more events than were examined. If so, `fired` is the number among the examined ones.
    capped: bool,
    /// The start of the period.
    from: Timestamp,
    /// The end of the period.
    until: Timestamp,
}

/// Estimate how often a rule would have been fired in the last seven days.
///
/// Nothing is stored. The decisions of adapters are not part of the estimate.
#[utoipa::path(post, path = "/api/v1/postbacks/estimate", tag = "postbacks", request_body = RuleIn,
    security(("api_key" = ["manage_postbacks"])),
    responses((status = 200, body = EstimateOut), (status = "default", body = Problem)))]
pub async fn estimate_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<RuleIn>,
) -> ApiResult<Json<EstimateOut>> {
    let rule = body.rule()?;
    let summary = rule.sentence();
    let estimate = estimates::estimate(&app, actor, rule).await?;
    Ok(Json(EstimateOut {
        summary,
        fired: estimate.fired,
        examined: estimate.examined,
        capped: estimate.is_capped,
        from: estimate.from,
        until: estimate.until,
    }))
}
