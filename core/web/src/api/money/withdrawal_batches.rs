//! `/api/v1/withdrawal-batches`

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::audit::{Audited, AuditedChanges};
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, OptionalJson, PageIn, PageOut, PathId, body_problem};
use crate::filters::{Period, PeriodIn};
use domain::amounts::{Amount, Currency};
use domain::ids::WithdrawalBatchId;
use domain::money::payout_method::FileFormat;
use domain::money::withdrawal_batch::{Progress, WithdrawalBatch};
use domain::people::changes::{Changed, of_word};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::money::withdrawal_batches::{self, Effect};

/// A batch of approved withdrawals by one method in one currency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalBatchIn {
    /// The id of a payout method.
    #[schema(example = "sepa")]
    method: String,
    currency: Currency,
}

/// Withdrawals that are paid with one payment file.
#[derive(Serialize, ToSchema)]
pub struct WithdrawalBatchOut {
    id: WithdrawalBatchId,
    method: String,
    currency: Currency,
    /// The number of withdrawals when it was created.
    count: i32,
    /// The sum of the net amounts.
    net: Amount,
    #[serde(flatten)]
    progress: Progress,
    /// The id of the key or user who created it.
    created_by: String,
    /// When its file was first downloaded; null if it was not.
    exported_at: Option<Timestamp>,
    /// When it was dissolved; null if it was not.
    dissolved_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl WithdrawalBatchOut {
    fn of((batch, progress): (WithdrawalBatch, Progress)) -> Self {
        Self {
            id: batch.id,
            method: batch.method,
            currency: batch.currency,
            count: batch.count,
            net: Amount::from_micros(batch.net_micros).unwrap_or_default(),
            progress,
            created_by: batch.created_by,
            exported_at: batch.exported_at,
            dissolved_at: batch.dissolved_at,
            created_at: batch.created_at,
        }
    }
}

/// Create a batch of approved withdrawals by one method in one currency that are in no batch, at most 5,000.
/// Withdrawals whose affiliate has a debt that was not accepted are left out.
#[utoipa::path(post, path = "/api/v1/withdrawal-batches", tag = "withdrawals", request_body = WithdrawalBatchIn,
    security(("api_key" = ["pay_withdrawals"])),
    responses((status = 201, body = WithdrawalBatchOut), (status = "default", body = Problem)))]
pub async fn create_withdrawal_batch(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<WithdrawalBatchIn>,
) -> ApiResult<(StatusCode, Json<WithdrawalBatchOut>)> {
    let batch = withdrawal_batches::create(&app, actor, &body.method, body.currency).await?;
    Ok((StatusCode::CREATED, Json(WithdrawalBatchOut::of(batch))))
}

/// List batches, newest first.
#[utoipa::path(get, path = "/api/v1/withdrawal-batches", tag = "withdrawals", params(PageIn, PeriodIn),
    security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = PageOut<WithdrawalBatchOut>), (status = "default", body = Problem)))]
pub async fn list_withdrawal_batches(
    State(app): State<App>,
    period: Period,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<WithdrawalBatchOut>>> {
    let page = withdrawal_batches::list(&app, period.of(&page)?).await?;
    Ok(Json(PageOut::of(page, WithdrawalBatchOut::of)))
}

/// Read a batch with its progress.
#[utoipa::path(get, path = "/api/v1/withdrawal-batches/{id}", tag = "withdrawals",
    params(("id" = WithdrawalBatchId, Path)), security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalBatchOut), (status = "default", body = Problem)))]
pub async fn get_withdrawal_batch(
    State(app): State<App>,
    PathId(id): PathId<WithdrawalBatchId>,
) -> ApiResult<Json<WithdrawalBatchOut>> {
    Ok(Json(WithdrawalBatchOut::of(withdrawal_batches::get(&app, id).await?)))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportFilter {
    /// The default format of the method if absent.
    format: Option<FileFormat>,
}

/// Download the payment file of the open withdrawals of a batch, with unmasked details: pain.001.001.09 for a bank, or
/// CSV.
#[utoipa::path(get, path = "/api/v1/withdrawal-batches/{id}/export", tag = "withdrawals",
    params(("id" = WithdrawalBatchId, Path), ExportFilter), security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, description = "The file, in the format of the payout method.", content((String = "application/xml"), (String = "text/csv"))),
        (status = "default", body = Problem)))]
pub async fn export_withdrawal_batch(
    State(app): State<App>,
    PathId(id): PathId<WithdrawalBatchId>,
    ApiQuery(filter): ApiQuery<ExportFilter>,
) -> ApiResult<Response> {
    let file = withdrawal_batches::export(&app, id, filter.format).await?;
    let headers = [
        (header::CONTENT_TYPE, file.content_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file.name)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, file.text).into_response())
}

/// The confirmation of dissolving a batch.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalBatchDissolutionIn {
    /// Confirms that the payment file was not sent to the bank. Required if the file was downloaded.
    #[serde(default)]
    never_sent: bool,
}

/// Dissolve a batch that was not sent to the bank. Its withdrawals stay approved and are in no batch.
#[utoipa::path(post, path = "/api/v1/withdrawal-batches/{id}/dissolve", tag = "withdrawals",
    request_body = Option<WithdrawalBatchDissolutionIn>, params(("id" = WithdrawalBatchId, Path)),
    security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalBatchOut), (status = "default", body = Problem)))]
pub async fn dissolve_withdrawal_batch(
    State(app): State<App>,
    PathId(id): PathId<WithdrawalBatchId>,
    OptionalJson(body): OptionalJson<WithdrawalBatchDissolutionIn>,
) -> ApiResult<Audited<WithdrawalBatchOut>> {
    Ok(Audited(withdrawal_batches::dissolve(&app, id, body.never_sent).await?.map(WithdrawalBatchOut::of)))
}

/// The result of one line of the file.
#[derive(Serialize, ToSchema)]
pub struct PaymentResultLineOut {
    /// The number of the line; the heading is line 1.
    line: usize,
    /// The id as it is in the file.
    withdrawal_id: String,
    /// `paid`, `failed`, `returned`, `unchanged` (the withdrawal had this status already), or `error`.
    result: &'static str,
    /// The code of the error; null without an error.
    code: Option<&'static str>,
    /// The error as a sentence; null without an error.
    message: Option<String>,
}

/// The results of an imported file.
#[derive(Serialize, ToSchema)]
pub struct PaymentResultsOut {
    /// The number of lines with this result.
    paid: usize,
    /// The number of lines with this result.
    failed: usize,
    /// The number of lines with this result.
    returned: usize,
    /// The number of lines with a status that the withdrawal had already.
    unchanged: usize,
    /// The number of lines with an error.
    errors: usize,
    lines: Vec<PaymentResultLineOut>,
    /// The progress of the batch after the results.
    batch: Progress,
}

/// Import the results of a batch from a bank or PayPal: CSV whose first line names the columns withdrawal_id (or
/// end_to_end_id, customer_id), status (paid, failed or returned), reference and reason.
///
/// Valid lines are applied together. Other lines are listed with an error. The same file again changes nothing.
#[utoipa::path(post, path = "/api/v1/withdrawal-batches/{id}/results", tag = "withdrawals",
    request_body(content = String, content_type = "text/csv"), params(("id" = WithdrawalBatchId, Path)),
    security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = PaymentResultsOut), (status = "default", body = Problem)))]
pub async fn take_withdrawal_results(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalBatchId>,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<(Extension<AuditedChanges>, Json<PaymentResultsOut>)> {
    let body = body.map_err(body_problem)?;
    let text = String::from_utf8_lossy(&body);
    let (effects, batch) = withdrawal_batches::apply_results(&app, actor, id, &text).await?;
    let steps = effects.iter().filter_map(|(_, effect)| match effect {
        Effect::Applied(id, Changed { before, now, .. }) => {
            of_word(format!("{id}.status"), before.as_ref()?.word(), now.word())
        }
        Effect::Unchanged(_) | Effect::Wrong(_) => None,
    });
    let changes = AuditedChanges::many(steps);
    let lines: Vec<_> = effects
        .into_iter()
        .map(|(line, effect)| {
            let (result, code, message) = match effect {
                Effect::Applied(_, status) => (status.now.word(), None, None),
                Effect::Unchanged(_) => ("unchanged", None, None),
                Effect::Wrong(error) => ("error", Some(error.code()), Some(error.to_string())),
            };
            PaymentResultLineOut { line: line.number, withdrawal_id: line.withdrawal_id, result, code, message }
        })
        .collect();
    let count = |result: &str| lines.iter().filter(|it| it.result == result).count();
    let results = PaymentResultsOut {
        paid: count("paid"),
        failed: count("failed"),
        returned: count("returned"),
        unchanged: count("unchanged"),
        errors: count("error"),
        lines,
        batch,
    };
    Ok((changes, Json(results)))
}
