//! `/api/v1/postbacks/{id}/explanations`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageOut, PathId};
use domain::delivery::rules::check::{Check, CheckName, CheckResult};
use domain::delivery::rules::explanation::{Configuration, Outcome};
use domain::ids::{ClickId, ConversionId, DeliveryId, EventId, PostbackId};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use engine::app::App;
use engine::delivery::explanations::{self, ExplainedEvent, Subject};

/// One condition for a request, and whether the event meets it.
#[derive(Serialize, ToSchema)]
pub struct CheckOut {
    name: CheckName,
    result: CheckResult,
    /// The value that the postback wants; null if nothing is compared.
    #[schema(example = "approved")]
    expected: Option<String>,
    /// The value that the event has; null if nothing is compared.
    #[schema(example = "pending")]
    actual: Option<String>,
    /// The result as a sentence.
    #[schema(example = "fires on approved, the conversion is pending")]
    detail: String,
    /// What would have to change; null unless the check failed.
    #[schema(example = "set firing_status to pending or any, or wait until the conversion is approved")]
    change: Option<String>,
}

impl From<Check> for CheckOut {
    fn from(check: Check) -> Self {
        Self {
            name: check.name,
            result: check.result,
            expected: check.expected,
            actual: check.actual,
            detail: check.detail,
            change: check.change,
        }
    }
}

/// Why an event was sent to a postback, or why not.
#[derive(Serialize, ToSchema)]
pub struct ExplanationOut {
    postback_id: PostbackId,
    /// The event; null for a click or an impression for which no event was recorded.
    event_id: Option<EventId>,
    /// The kind of the event.
    action: Action,
    /// When the event happened.
    occurred_at: Timestamp,
    /// The click or impression of the event.
    click_id: Option<ClickId>,
    /// The conversion of the event; null for clicks and impressions.
    conversion_id: Option<ConversionId>,
    /// The revision of the conversion; 0 for clicks and impressions.
    revision: i32,
    /// The answer as one sentence.
    #[schema(example = "It did not fire: fires on approved, the conversion is pending.")]
    summary: String,
    outcome: Outcome,
    /// The delivery of the event to the postback; null if there is none.
    delivery_id: Option<DeliveryId>,
    /// Whether the event passes all checks up to `required_value`, with the explained configuration; null if the adapter
    /// cannot be asked now.
    fires: Option<bool>,
    configuration: Configuration,
    /// When the explained configuration was saved.
    configured_at: Timestamp,
    /// Every check, in the order of the pipeline.
    checks: Vec<CheckOut>,
    /// What would have to change for the request to be sent; empty if it was sent.
    #[schema(example = json!(["set firing_status to pending or any, or wait until the conversion is approved"]))]
    changes: Vec<String>,
}

impl ExplanationOut {
    fn of(postback_id: PostbackId, explained: ExplainedEvent) -> Self {
        let ExplainedEvent { event, is_recorded, delivery_id, configured_at, explanation } = explained;
        Self {
            postback_id,
            event_id: is_recorded.then_some(event.id),
            action: event.action,
            occurred_at: event.occurred_at,
            click_id: event.click_id,
            conversion_id: event.conversion_id,
            revision: event.revision,
            summary: explanation.summary,
            outcome: explanation.outcome,
            delivery_id,
            fires: explanation.fires,
            configuration: explanation.configuration,
            configured_at,
            checks: explanation.checks.into_iter().map(CheckOut::from).collect(),
            changes: explanation.changes,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExplanationFilter {
    /// Explain this event.
    event_id: Option<EventId>,
    /// Explain the events of this conversion, at most the latest 50.
    conversion_id: Option<ConversionId>,
    /// Explain this click or impression.
    click_id: Option<ClickId>,
}

impl ExplanationFilter {
    fn subject(&self) -> Result<Subject, Problem> {
        match (self.event_id, self.conversion_id, self.click_id) {
            (Some(id), None, None) => Ok(Subject::Event(id)),
            (None, Some(id), None) => Ok(Subject::Conversion(id)),
            (None, None, Some(id)) => Ok(Subject::Click(id)),
            _ => Err(Problem::bad_request("invalid_parameter", "send one of event_id, conversion_id and click_id")),
        }
    }
}

/// Explain why an event was sent to a postback, or why not.
///
/// Send one of the parameters. All checks are made again, with the configuration of the postback as it was when the
/// event was routed, and nothing is sent or stored. If that configuration is not known, `configuration` says so, and the
/// present one is used. The newest event comes first. Events that exceeded the retention are left out. Affiliates can ask
/// about their own postbacks and events.
#[utoipa::path(get, path = "/api/v1/postbacks/{id}/explanations", tag = "postbacks",
    params(("id" = PostbackId, Path), ExplanationFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<ExplanationOut>), (status = "default", body = Problem)))]
pub async fn explain_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    ApiQuery(params): ApiQuery<ExplanationFilter>,
) -> ApiResult<Json<PageOut<ExplanationOut>>> {
    let explained = explanations::explain(&app, actor, id, params.subject()?).await?;
    let items = explained.into_iter().map(|it| ExplanationOut::of(id, it)).collect();
    Ok(Json(PageOut { items, next: None }))
}
