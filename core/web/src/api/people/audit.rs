//! `/api/v1/audit`

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::audit::AuditedChanges;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut};
use crate::filters::{Period, PeriodIn};
use domain::ids::{AuditId, UserId};
use domain::people::audit::{Outcome, Record};
use domain::people::changes::FieldChange;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::audit;
use storage::people::audit::Filter;

/// One record of the audit log: a change or an export that a caller requested, with its outcome.
#[derive(Serialize, ToSchema)]
pub struct AuditRecordOut {
    id: AuditId,
    /// When the operation began.
    at: Timestamp,
    /// The caller: the id of a key, user or affiliate, `bootstrap`, or `command line`.
    actor: String,
    /// The person, also if a key of that person was used.
    user_id: Option<UserId>,
    /// The caller's role.
    #[schema(example = "admin")]
    role: String,
    /// The `operationId` of the API description.
    #[schema(example = "reject_conversion")]
    operation: String,
    /// The id of the changed or created object.
    object: Option<String>,
    /// The fields of the request: its body, or the parameters of an export. Secrets and personal data are hidden.
    fields: serde_json::Value,
    outcome: AuditOutcomeOut,
    /// The changed fields, at most 50. Secrets and personal data are hidden. Empty for a created object: `object` has
    /// its id.
    changes: Vec<FieldChange>,
    /// The HTTP status of the response; null if it is unknown.
    http_status: Option<u16>,
    /// The caller's IP address.
    address: Option<String>,
    /// The `x-request-id` of the request.
    request_id: Option<String>,
}

/// The outcome of a recorded operation. `done`: it succeeded. `refused`: it was refused, and nothing changed.
/// `repeated`: the response of an earlier request with the same Idempotency-Key was repeated, and nothing changed
/// again. `failed`: it failed by an internal error. `unknown`: it is still running, or the server stopped before its
/// end; read the object to see its state.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AuditOutcomeOut {
    Done,
    Refused,
    Repeated,
    Failed,
    Unknown,
}

impl From<Outcome> for AuditOutcomeOut {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Refused => Self::Refused,
            Outcome::Repeated => Self::Repeated,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl From<Record> for AuditRecordOut {
    fn from(mut record: Record) -> Self {
        Self {
            outcome: record.ending.as_ref().map_or(AuditOutcomeOut::Unknown, |ending| ending.outcome.into()),
            http_status: record.ending.as_ref().and_then(|ending| ending.status),
            changes: record.ending.as_mut().map(|ending| std::mem::take(&mut ending.changes)).unwrap_or_default(),
            object: record.object.or(record.ending.and_then(|ending| ending.object)),
            id: record.id,
            at: record.at,
            actor: record.actor,
            user_id: record.user_id,
            role: record.role,
            operation: record.operation,
            fields: record.fields,
            address: record.address,
            request_id: record.request_id,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// The id of a key, user or affiliate, `bootstrap`, or `command line`.
    actor: Option<String>,
    user_id: Option<UserId>,
    /// The `operationId` of the API description.
    operation: Option<String>,
    /// The id of an object.
    object: Option<String>,
}

/// List the audit log, newest first: the changes and exports that callers requested, with their outcomes.
///
/// Records are never changed, and only an owner can delete old ones. Created conversions and events and the
/// notifications of networks are not in it, because they are stored with their own history.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditFilter, PeriodIn),
    security(("api_key" = ["read_audit"])),
    responses((status = 200, body = PageOut<AuditRecordOut>), (status = "default", body = Problem)))]
pub async fn list_audit(
    State(app): State<App>,
    period: Period,
    ApiQuery(filter): ApiQuery<AuditFilter>,
) -> ApiResult<Json<PageOut<AuditRecordOut>>> {
    let page = period.of(&PageIn { limit: filter.limit, cursor: filter.cursor })?;
    let filter =
        Filter { actor: filter.actor, user_id: filter.user_id, operation: filter.operation, object: filter.object };
    Ok(Json(PageOut::of(audit::list(&app, filter, page).await?, AuditRecordOut::from)))
}

/// Which audit records are deleted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditPruningIn {
    /// The minimum age of deleted records, in days: 30 to 36,500.
    #[schema(example = 400, minimum = 30, maximum = 36_500)]
    older_than_days: u32,
}

/// The result of deleting audit records.
#[derive(Serialize, ToSchema)]
pub struct AuditPruningOut {
    /// The number of deleted records.
    pruned: u64,
    /// Records before this time were deleted.
    older_than: Timestamp,
    /// Whether more records of that age remain, because one request deletes at most 100,000. Repeat the request.
    more: bool,
}

/// Delete audit records by age. The log gets a record with the number of deleted records.
#[utoipa::path(post, path = "/api/v1/audit/prune", tag = "audit", request_body = AuditPruningIn,
    security(("api_key" = ["prune_audit"])),
    responses((status = 200, body = AuditPruningOut), (status = "default", body = Problem)))]
pub async fn prune_audit(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<AuditPruningIn>,
) -> ApiResult<(Extension<AuditedChanges>, Json<AuditPruningOut>)> {
    let pruned = audit::prune(&app, actor, body.older_than_days).await?;
    let result =
        |field: &str, to: serde_json::Value| FieldChange { field: field.into(), from: serde_json::Value::Null, to };
    let changes = [result("pruned", pruned.records.into()), result("older_than", pruned.older_than.to_string().into())];
    let out = AuditPruningOut { pruned: pruned.records, older_than: pruned.older_than, more: pruned.more };
    Ok((AuditedChanges::many(changes), Json(out)))
}
