//! `/api/v1/audit`

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::audit::AuditedChanges;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut};
use domain::ids::{AuditId, UserId};
use domain::people::audit::{Outcome, Record};
use domain::people::changes::FieldChange;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::audit;
use storage::people::audit::Filter;

/// One change: who, what, when and from where.
#[derive(Serialize, ToSchema)]
pub struct AuditOut {
    id: AuditId,
    at: Timestamp,
    /// The id of a key or of a user, "bootstrap", or "command line".
    actor: String,
    /// The person, also when a key of theirs was used.
    user_id: Option<UserId>,
    #[schema(example = "admin")]
    role: String,
    #[schema(example = "reject_conversion")]
    operation: String,
    /// What was changed or made.
    object: Option<String>,
    /// What was asked for; secrets and personal data are hidden.
    #[schema(value_type = Object)]
    fields: serde_json::Value,
    outcome: OutcomeOut,
    /// What is not as it was, field by field. Of what was made there is only the id; secrets and personal data are hidden.
    changes: Vec<FieldChange>,
    /// The status of the answer, where one is known.
    status: Option<u16>,
    address: Option<String>,
    request_id: Option<String>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OutcomeOut {
    Done,
    /// Nothing was changed.
    Refused,
    /// The answer of an earlier request with the same Idempotency-Key; nothing was changed again.
    Repeated,
    /// Something broke on our side.
    Failed,
    /// It is under way, or the server broke off; look at the object itself.
    Unknown,
}

impl From<Outcome> for OutcomeOut {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Refused => Self::Refused,
            Outcome::Repeated => Self::Repeated,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl From<Record> for AuditOut {
    fn from(mut it: Record) -> Self {
        Self {
            outcome: it.ending.as_ref().map_or(OutcomeOut::Unknown, |ending| ending.outcome.into()),
            status: it.ending.as_ref().and_then(|ending| ending.status),
            changes: it.ending.as_mut().map(|ending| std::mem::take(&mut ending.changes)).unwrap_or_default(),
            object: it.object.or(it.ending.and_then(|ending| ending.object)),
            id: it.id,
            at: it.at,
            actor: it.actor,
            user_id: it.user_id,
            role: it.role,
            operation: it.operation,
            fields: it.fields,
            address: it.address,
            request_id: it.request_id,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    actor: Option<String>,
    user_id: Option<UserId>,
    /// The `operationId` of this description.
    operation: Option<String>,
    object: Option<String>,
    /// From this moment on.
    from: Option<Timestamp>,
    /// Before this moment.
    until: Option<Timestamp>,
}

/// List what was to be changed or exported by whom, newest first, and what came of it. Nothing in it is changed, and only an
/// owner prunes what is old. Reports in bulk (conversions, events, what
/// networks send) are not in it row by row: they are their own record.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditFilter),
    security(("api_key" = ["read_audit"])),
    responses((status = 200, body = PageOut<AuditOut>), (status = "default", body = Problem)))]
pub async fn list_audit(
    State(app): State<App>,
    ApiQuery(filter): ApiQuery<AuditFilter>,
) -> ApiResult<Json<PageOut<AuditOut>>> {
    let page = PageIn { limit: filter.limit, cursor: filter.cursor }.request()?;
    let filter = Filter {
        actor: filter.actor,
        user_id: filter.user_id,
        operation: filter.operation,
        object: filter.object,
        from: filter.from,
        until: filter.until,
    };
    Ok(Json(PageOut::of(audit::list(&app, filter, page).await?, AuditOut::from)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PruningIn {
    /// At least 30.
    #[schema(example = 400, minimum = 30)]
    older_than_days: u32,
}

#[derive(Serialize, ToSchema)]
pub struct PruningOut {
    /// Records that are gone.
    pruned: u64,
    /// From here on the log is whole.
    older_than: Timestamp,
    /// More is that old; ask again.
    more: bool,
}

/// Prune the audit log by age. The log has a record of it, which says how many records went.
#[utoipa::path(post, path = "/api/v1/audit/prune", tag = "audit", request_body = PruningIn,
    security(("api_key" = ["prune_audit"])),
    responses((status = 200, body = PruningOut), (status = "default", body = Problem)))]
pub async fn prune_audit(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<PruningIn>,
) -> ApiResult<(Extension<AuditedChanges>, Json<PruningOut>)> {
    let pruned = audit::prune(&app, actor, body.older_than_days).await?;
    let told =
        |field: &str, to: serde_json::Value| FieldChange { field: field.into(), from: serde_json::Value::Null, to };
    let changes = [told("pruned", pruned.records.into()), told("older_than", pruned.older_than.to_string().into())];
    let out = PruningOut { pruned: pruned.records, older_than: pruned.older_than, more: pruned.more };
    Ok((AuditedChanges::many(changes), Json(out)))
}
