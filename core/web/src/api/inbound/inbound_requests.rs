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
use crate::filters::{Period, PeriodIn};
use domain::delivery::delivery::AdapterLine;
use domain::ids::{ClickId, ConversionId, InboundRequestId, SourceId};
use domain::inbound::inbound_request::{Item, OutcomeDetails, RawRequest};
use domain::inbound::notification::Outcome;
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_word};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::inbound::requests;

/// An HTTP request as it was received. The key of the source and the secrets of its guards are masked. Personal data is
/// masked for callers without the permission `read_buyers`, and for affiliates unless the setting `affiliates_see` is
/// `all`.
#[derive(Serialize, ToSchema)]
pub struct RawRequestOut {
    /// The HTTP method.
    method: String,
    /// The path.
    path: String,
    /// The query as it was sent, without "?".
    query: String,
    /// The headers, without cookies and authorization.
    headers: Vec<HeaderOut>,
    /// The body as text; null in lists.
    body: Option<String>,
    /// Whether only a part is stored, because the body is larger than 64 KiB, or because a guard refused the request
    /// and it is larger than 4 KiB.
    truncated: bool,
    /// The address of the sender; null if it is not known.
    remote_ip: Option<String>,
}

/// One notification of a request, with its result.
#[derive(Serialize, ToSchema)]
pub struct NotificationOut {
    outcome: Outcome,
    /// A stable code of the reason; null if the notification was accepted without a remark.
    reason_code: Option<String>,
    /// The reason of the outcome, as a sentence; null if the notification was accepted without a remark.
    reason: Option<String>,
    /// What was not used as the network sent it. `truncated_id`: the click was found by the beginning of its id.
    /// `left_out`: a field could not be read or stands for nothing. `shortened`: a text was too long. `rounded`: an
    /// amount had more than six decimals. `unmatched_rejection`: a rejection names no known sale, and other sales of its
    /// click stay approved.
    flags: Vec<String>,
    /// What was not used as the network sent it, and why: a sentence for each case.
    notes: Vec<String>,
    /// The transaction id of the conversion. If the network sends none, it is derived from the click; null if the
    /// notification was not processed so far.
    transaction_id: Option<String>,
    /// The status word that the network sent; null if it sent none.
    status: Option<String>,
    /// The click that was found; null if none was found.
    click_id: Option<ClickId>,
    /// The conversion that was found, recorded or changed; null if there is none.
    conversion_id: Option<ConversionId>,
}

impl From<Item> for NotificationOut {
    fn from(item: Item) -> Self {
        Self {
            outcome: item.result.outcome,
            reason_code: item.result.code,
            reason: item.result.sentence,
            flags: item.flags,
            notes: item.notes,
            transaction_id: item.transaction_id,
            status: item.status,
            click_id: item.click_id,
            conversion_id: item.conversion_id,
        }
    }
}

/// A request to a source, with its notifications and outcome.
#[derive(Serialize, ToSchema)]
pub struct InboundRequestOut {
    id: InboundRequestId,
    source_id: SourceId,
    /// When the request was received.
    received_at: Timestamp,
    /// The outcome of the whole request: of several notifications, the outcome that needs attention first.
    outcome: Outcome,
    /// A stable code of the reason; null if the request was accepted without a remark.
    #[schema(example = "unknown_status")]
    reason_code: Option<String>,
    /// The reason of the outcome, as a sentence that says what to do.
    reason: Option<String>,
    /// The flags of all items.
    flags: Vec<String>,
    /// The conversions that the request created or changed, or that it reports again.
    conversion_ids: Vec<ConversionId>,
    /// The results, one for each notification in the request.
    items: Vec<NotificationOut>,
    /// The lines that the adapter logged when it last read the request, at most 20.
    adapter_log: Vec<AdapterLine>,
    /// The number of times that the request was processed.
    tries: u32,
    /// When the request is processed again; null if it does not wait.
    due_at: Option<Timestamp>,
    /// When the request got its outcome; null while it waits.
    settled_at: Option<Timestamp>,
    /// Of a refused request: how many refused requests of the same source were only counted since the previous stored
    /// one. More than 30 from one address, or 120 in all, in a minute are only counted.
    repeats: i64,
    /// The request as it was received.
    request: RawRequestOut,
}

impl InboundRequestOut {
    fn of(actor: Actor, shown: requests::RequestWithSecrets, with_body: bool) -> Self {
        let requests::RequestWithSecrets { request, secrets } = shown;
        let request = request.shown(&secrets, actor.buyers().hides());
        Self {
            id: request.id,
            source_id: request.source_id,
            received_at: request.received_at,
            flags: request.flags(),
            conversion_ids: request.conversion_ids(),
            outcome: request.result.outcome,
            reason_code: request.result.code,
            reason: request.result.sentence,
            items: request.items.into_iter().map(NotificationOut::from).collect(),
            adapter_log: request.adapter_log,
            tries: request.tries,
            due_at: request.due_at,
            settled_at: request.settled_at,
            repeats: request.repeats,
            request: raw_request_out(request.raw, with_body),
        }
    }
}

fn raw_request_out(request: RawRequest, with_body: bool) -> RawRequestOut {
    RawRequestOut {
        method: request.method,
        path: request.path,
        query: request.query,
        headers: headers(request.headers),
        body: with_body.then(|| String::from_utf8_lossy(&request.body).into_owned()),
        truncated: request.truncated,
        remote_ip: request.remote_ip.map(|ip| ip.to_string()),
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InboundRequestFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only requests to this source.
    source_id: Option<SourceId>,
    /// Only requests with this outcome.
    outcome: Option<Outcome>,
    /// Only requests whose reason has this code.
    #[param(example = "unknown_status")]
    reason_code: Option<String>,
    /// Only requests that report this transaction id, or that have it as a parameter of the query.
    transaction_id: Option<String>,
}

/// List the requests to sources, newest first, without bodies. Affiliates see the requests to their own sources.
#[utoipa::path(get, path = "/api/v1/inbound-requests", tag = "sources", params(InboundRequestFilter, PeriodIn),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = PageOut<InboundRequestOut>), (status = "default", body = Problem)))]
pub async fn list_inbound_requests(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<InboundRequestFilter>,
) -> ApiResult<Json<PageOut<InboundRequestOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let filter = storage::inbound::inbound_requests::Filter {
        affiliate_id: None,
        source_id: params.source_id,
        outcome: params.outcome,
        code: params.reason_code,
        transaction_id: params.transaction_id.filter(|id| !id.is_empty()),
        is_replayable: false,
    };
    let page = requests::list(&app, actor, filter, page).await?;
    Ok(Json(PageOut::of(page, |it| InboundRequestOut::of(actor, it, false))))
}

/// Read a request to a source with its body.
#[utoipa::path(get, path = "/api/v1/inbound-requests/{id}", tag = "sources", params(("id" = InboundRequestId, Path)),
    security(("api_key" = ["read_program"]), ("api_key" = ["read_program", "read_buyers"])),
    responses((status = 200, body = InboundRequestOut), (status = "default", body = Problem)))]
pub async fn get_inbound_request(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<InboundRequestId>,
) -> ApiResult<Json<InboundRequestOut>> {
    let request = requests::get(&app, actor, id).await?;
    Ok(Json(InboundRequestOut::of(actor, request, true)))
}

/// Process a request to a source again, with the current settings.
///
/// An accepted request or a duplicate is not changed. Of a request with several notifications, the accepted ones are
/// not changed. The waiting time counts from the arrival: a notification that still waits after 24 hours (30 days for
/// an unknown status) fails.
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
    // The audit log gets only the change of the outcome, because the request itself shows its result.
    let before = before.map(|it| it.request.result).unwrap_or_else(|| now.request.result.clone());
    let result = &now.request.result;
    let code = |it: &OutcomeDetails| it.code.clone().unwrap_or_default();
    let outcome = of_word("outcome", before.outcome.as_str(), result.outcome.as_str());
    let changes =
        AuditedChanges::many(outcome.into_iter().chain(of_word("reason_code", &code(&before), &code(result))));
    Ok((changes, Json(InboundRequestOut::of(actor, now, true))))
}
