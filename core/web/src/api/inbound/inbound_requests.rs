//! `/api/v1/inbound-requests`

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::delivery::deliveries::{HeaderOut, headers};
use crate::audit::AuditedChanges;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut, PathId};
use domain::delivery::delivery::AdapterLine;
use domain::ids::{ConversionId, InboundRequestId, SourceId};
use domain::inbound::inbound_request::{Item, OutcomeDetails, RawRequest};
use domain::inbound::notification::Outcome;
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_word};
use domain::people::permission::Permission;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::inbound::requests;

/// A request as it came. Buyers are masked for those who may not see them; tokens of guards for everybody.
#[derive(Serialize, ToSchema)]
pub struct RawRequestOut {
    method: String,
    path: String,
    /// As it was written.
    query: String,
    /// Without cookies and authorization.
    headers: Vec<HeaderOut>,
    /// Null in lists.
    body: Option<String>,
    /// It was longer: than 64 KiB, or than the 4 KiB that are kept of what a guard refuses.
    truncated: bool,
    remote_ip: Option<String>,
}

/// What came to a source, and what became of it.
#[derive(Serialize, ToSchema)]
pub struct InboundRequestOut {
    id: InboundRequestId,
    source_id: SourceId,
    received_at: Timestamp,
    outcome: Outcome,
    /// Stable; null for what was accepted.
    code: Option<String>,
    /// The same in a sentence that says what to do.
    reason: Option<String>,
    /// truncated_id: a click was found by the beginning of its id.
    flags: Vec<String>,
    conversion_ids: Vec<ConversionId>,
    /// One for each report in it.
    items: Vec<Item>,
    /// What the adapter logged when it last read the request.
    adapter_log: Vec<AdapterLine>,
    /// How often it was judged.
    tries: u32,
    /// When it is judged again, while it waits.
    due_at: Option<Timestamp>,
    settled_at: Option<Timestamp>,
    /// Of one that was refused: how many more of its source were since the one before, and only counted.
    repeats: i64,
    request: RawRequestOut,
}

impl InboundRequestOut {
    fn of(actor: Actor, shown: requests::RequestWithSecrets, with_body: bool) -> Self {
        let requests::RequestWithSecrets { request, secrets } = shown;
        let it = request.shown(&secrets, !actor.may(Permission::ReadBuyers));
        Self {
            id: it.id,
            source_id: it.source_id,
            received_at: it.received_at,
            flags: it.flags(),
            conversion_ids: it.conversion_ids(),
            outcome: it.result.outcome,
            code: it.result.code,
            reason: it.result.sentence,
            items: it.items,
            adapter_log: it.adapter_log,
            tries: it.tries,
            due_at: it.due_at,
            settled_at: it.settled_at,
            repeats: it.repeats,
            request: raw(it.raw, with_body),
        }
    }
}

fn raw(it: RawRequest, with_body: bool) -> RawRequestOut {
    RawRequestOut {
        method: it.method,
        path: it.path,
        query: it.query,
        headers: headers(it.headers),
        body: with_body.then(|| String::from_utf8_lossy(&it.body).into_owned()),
        truncated: it.truncated,
        remote_ip: it.remote_ip.map(|ip| ip.to_string()),
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InboundRequestFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    source_id: Option<SourceId>,
    outcome: Option<Outcome>,
    /// Such as unknown_status.
    code: Option<String>,
}

/// List what came to sources, newest first, without bodies.
#[utoipa::path(get, path = "/api/v1/inbound-requests", tag = "sources", params(InboundRequestFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<InboundRequestOut>), (status = "default", body = Problem)))]
pub async fn list_inbound_requests(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<InboundRequestFilter>,
) -> ApiResult<Json<PageOut<InboundRequestOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    let filter = storage::inbound::inbound_requests::Filter {
        affiliate_id: None,
        source_id: it.source_id,
        outcome: it.outcome,
        code: it.code,
    };
    let page = requests::list(&app, actor, filter, page).await?;
    Ok(Json(PageOut::of(page, |it| InboundRequestOut::of(actor, it, false))))
}

/// Read a request to a source, as it came.
#[utoipa::path(get, path = "/api/v1/inbound-requests/{id}", tag = "sources", params(("id" = InboundRequestId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = InboundRequestOut), (status = "default", body = Problem)))]
pub async fn get_inbound_request(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<InboundRequestId>,
) -> ApiResult<Json<InboundRequestOut>> {
    let request = requests::get(&app, actor, id).await?;
    Ok(Json(InboundRequestOut::of(actor, request, true)))
}

/// Judge a request again, after something was put right. What was accepted stays as it is.
#[utoipa::path(post, path = "/api/v1/inbound-requests/{id}/replay", tag = "sources",
    params(("id" = InboundRequestId, Path)),
    security(("api_key" = ["manage_sources"])),
    responses((status = 200, body = InboundRequestOut), (status = "default", body = Problem)))]
pub async fn replay_inbound_request(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<InboundRequestId>,
) -> ApiResult<(Extension<AuditedChanges>, Json<InboundRequestOut>)> {
    let Changed { before, now, .. } = requests::replay(&app, actor, id).await?;
    // The request has the result; the log has how it changed.
    let before = before.map(|it| it.request.result).unwrap_or_else(|| now.request.result.clone());
    let result = &now.request.result;
    let code = |it: &OutcomeDetails| it.code.clone().unwrap_or_default();
    let outcome = of_word("outcome", before.outcome.as_str(), result.outcome.as_str());
    let told = AuditedChanges::many(outcome.into_iter().chain(of_word("code", &code(&before), &code(result))));
    Ok((told, Json(InboundRequestOut::of(actor, now, true))))
}
