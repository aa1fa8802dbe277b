//! `/api/v1/withdrawals`

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{AmountIn, Issues};
use crate::audit::{Audited, AuditedChanges};
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, OptionalJson, PageIn, PageOut, PathId};
use crate::filters::{Period, PeriodIn};
use crate::idempotency;
use domain::amounts::{Amount, Currency, Money};
use domain::ids::{AffiliateId, WithdrawalBatchId, WithdrawalId};
use domain::money::payment_results::NOTE_MAX_CHARS;
use domain::money::payout_details::Fields;
use domain::money::withdrawal::{RequestedAmount, Status, WithdrawalSettings};
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_word};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::withdrawals::{self, ApprovalError, RequestOutcome, WithdrawalRequest, WithdrawalWithDebt};
use storage::money::withdrawals::Filter;

/// The maximum number of ids in one bulk approval.
const BULK_IDS_MAX: usize = 1_000;

/// A withdrawal request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalIn {
    /// Required for staff; optional for callers of an affiliate.
    affiliate_id: Option<AffiliateId>,
    /// The id of a payout method.
    #[schema(example = "sepa")]
    method: String,
    /// An amount, or `all` for the available balance. The fee is deducted from it.
    #[schema(value_type = String, example = "100.00", pattern = r"^(all|[0-9]{1,20}(\.[0-9]{1,6})?)$")]
    amount: AmountIn,
    currency: Currency,
}

/// A step of a withdrawal: a change of its status.
#[derive(Serialize, ToSchema)]
pub struct WithdrawalStepOut {
    /// The status after the step.
    status: String,
    at: Timestamp,
    /// The id of the key or user who did the step; affiliates see only `affiliate` or `program`.
    by: String,
    /// The reference of the payment, or the reason of a refusal, failure or return; null otherwise.
    note: Option<String>,
}

/// A withdrawal: the payment of available money to an affiliate.
#[derive(Serialize, ToSchema)]
pub struct WithdrawalOut {
    id: WithdrawalId,
    affiliate_id: AffiliateId,
    method: String,
    /// The amount that leaves the balance.
    amount: Amount,
    /// The part of the amount that the program keeps.
    fee: Amount,
    /// The amount that is paid.
    net: Amount,
    currency: Currency,
    /// requested, approved, paid, refused, failed, returned or cancelled
    status: String,
    /// The reference of the payment at the bank or PayPal; null if it is not paid.
    reference: Option<String>,
    /// The reason of a refusal, failure or return; null otherwise.
    reason: Option<String>,
    /// The payout details at the time of the request, masked.
    #[schema(value_type = BTreeMap<String, String>)]
    details: Fields,
    /// The last change of these details before the request.
    details_changed_at: Timestamp,
    /// The debt of the affiliate in this currency; null without a debt, or if the withdrawal is not open.
    debt: Option<Amount>,
    /// The debt that was accepted. A larger debt stops the withdrawal. Not shown to affiliates.
    accepted_debt: Option<Amount>,
    /// The batch with which it is paid; null if it is in no batch.
    batch_id: Option<WithdrawalBatchId>,
    /// The steps, oldest first. The first is the request.
    history: Vec<WithdrawalStepOut>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl WithdrawalOut {
    fn of(actor: Actor, WithdrawalWithDebt { withdrawal, debt }: WithdrawalWithDebt) -> Self {
        // The first step is the request. Affiliates do not see which of the program's people did a step.
        let requested_by = withdrawal.history.first().map(|step| step.by.clone()).unwrap_or_default();
        let by = |by: String| match actor.is_staff() {
            true => by,
            false if by == actor.name() || by == requested_by => "affiliate".to_owned(),
            false => "program".to_owned(),
        };
        let history = withdrawal.history.iter().cloned();
        let history = history
            .map(|step| WithdrawalStepOut { status: step.status, at: step.at, by: by(step.by), note: step.note })
            .collect();
        let note = withdrawal.status.note().map(str::to_owned);
        let is_paid = matches!(withdrawal.status, Status::Paid { .. });
        Self {
            id: withdrawal.id,
            affiliate_id: withdrawal.affiliate_id,
            amount: withdrawal.amount.amount(),
            fee: withdrawal.fee.amount(),
            net: withdrawal.net().amount(),
            currency: withdrawal.amount.currency,
            status: withdrawal.status.word().to_owned(),
            reference: note.clone().filter(|_| is_paid),
            reason: note.filter(|_| !is_paid),
            method: withdrawal.method,
            details: withdrawal.masked_details,
            details_changed_at: withdrawal.details_changed_at,
            debt: debt.map(Money::amount),
            accepted_debt: Some(withdrawal.accepted_debt.amount()).filter(|it| it.micros() > 0 && actor.is_staff()),
            batch_id: withdrawal.batch_id,
            history,
            created_at: withdrawal.created_at,
            updated_at: withdrawal.updated_at,
        }
    }
}

/// Request a withdrawal. The amount is reserved immediately, and is available again if the withdrawal is refused, fails
/// or is cancelled.
///
/// A double click counts once: without an Idempotency-Key, the response to the same request within ten seconds is the
/// withdrawal of the first one (200). Requests with different keys are different withdrawals.
#[utoipa::path(post, path = "/api/v1/withdrawals", tag = "withdrawals", request_body = WithdrawalIn,
    security(("api_key" = ["request_withdrawals"])),
    responses((status = 201, body = WithdrawalOut), (status = 200, body = WithdrawalOut, description = "The withdrawal of the same request within ten seconds before."),
        (status = "default", body = Problem)))]
pub async fn request_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    headers: HeaderMap,
    ApiJson(body): ApiJson<WithdrawalIn>,
) -> ApiResult<(StatusCode, Json<WithdrawalOut>)> {
    let mut issues = Issues::default();
    let affiliate_id = body.affiliate_id.or(actor.confined_to());
    if affiliate_id.is_none() {
        issues.add("/affiliate_id", "invalid_field", "affiliate_id is missing");
    }
    let amount = match body.amount.word() {
        Some("all") => Some(RequestedAmount::All),
        _ => AmountIn::read(Some(body.amount), "/amount", &mut issues).map(RequestedAmount::Exactly),
    };
    issues.result()?;
    let (Some(affiliate_id), Some(amount)) = (affiliate_id, amount) else {
        return Err(Error::invalid("/amount", "use an amount such as \"100.00\", or \"all\"").into());
    };
    let has_key = idempotency::has_key(&headers);
    let request = WithdrawalRequest { affiliate_id, method: body.method, amount, currency: body.currency, has_key };
    let (status, withdrawal) = match withdrawals::request(&app, actor, request).await? {
        RequestOutcome::Created(withdrawal) => (StatusCode::CREATED, withdrawal),
        RequestOutcome::Duplicate(withdrawal) => (StatusCode::OK, withdrawal),
    };
    Ok((status, Json(WithdrawalOut::of(actor, withdrawal))))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WithdrawalFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
    /// requested, approved, paid, refused, failed, returned or cancelled
    status: Option<String>,
    method: Option<String>,
    #[param(value_type = Option<String>)]
    currency: Option<Currency>,
    batch_id: Option<WithdrawalBatchId>,
}

/// List withdrawals, newest first.
#[utoipa::path(get, path = "/api/v1/withdrawals", tag = "withdrawals", params(WithdrawalFilter, PeriodIn),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<WithdrawalOut>), (status = "default", body = Problem)))]
pub async fn list_withdrawals(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<WithdrawalFilter>,
) -> ApiResult<Json<PageOut<WithdrawalOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    if let Some(status) = params.status.as_deref().filter(|status| !Status::WORDS.contains(status)) {
        let status: String = status.chars().take(40).collect();
        let detail = format!("\"{status}\" is not a valid status; use one of: {}", Status::WORDS.join(", "));
        return Err(Problem::bad_request("invalid_parameter", detail));
    }
    let filter = Filter {
        affiliate_id: params.affiliate_id,
        status: params.status,
        method: params.method,
        currency: params.currency,
        batch_id: params.batch_id,
    };
    let page = withdrawals::list(&app, actor, filter, page).await?;
    Ok(Json(PageOut::of(page, |it| WithdrawalOut::of(actor, it))))
}

/// Read a withdrawal with the time of each step.
#[utoipa::path(get, path = "/api/v1/withdrawals/{id}", tag = "withdrawals", params(("id" = WithdrawalId, Path)),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn get_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
) -> ApiResult<Json<WithdrawalOut>> {
    Ok(Json(WithdrawalOut::of(actor, withdrawals::get(&app, actor, id).await?)))
}

/// The payment of a withdrawal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalPaymentIn {
    /// The reference of the payment at the bank or PayPal.
    #[schema(min_length = 1, max_length = 200)]
    reference: String,
    /// Accepts the present debt of the affiliate.
    #[serde(default)]
    despite_debt: bool,
}

/// The approval of a withdrawal.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalApprovalIn {
    /// Accepts the present debt of the affiliate, also for a withdrawal that is approved already. A larger debt stops
    /// the withdrawal again.
    #[serde(default)]
    despite_debt: bool,
}

/// The reason of a refusal, failure or return.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalReasonIn {
    /// Shown to the affiliate.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

async fn return_to_balance(
    app: &App,
    actor: Actor,
    id: WithdrawalId,
    status: Status,
) -> ApiResult<Audited<WithdrawalOut>> {
    Ok(Audited(withdrawals::return_to_balance(app, actor, id, status).await?.map(|it| WithdrawalOut::of(actor, it))))
}

fn note(path: &str, text: &str) -> Result<String, Error> {
    let mut issues = Issues::default();
    let text = issues.text(path, text, NOTE_MAX_CHARS);
    issues.result()?;
    Ok(text)
}

/// Approve a withdrawal, so that it can be paid. If its affiliate has a debt, this requires `despite_debt`.
#[utoipa::path(post, path = "/api/v1/withdrawals/{id}/approve", tag = "withdrawals", request_body = Option<WithdrawalApprovalIn>,
    params(("id" = WithdrawalId, Path)), security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn approve_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
    OptionalJson(body): OptionalJson<WithdrawalApprovalIn>,
) -> ApiResult<Audited<WithdrawalOut>> {
    let changed = withdrawals::approve_or_pay(&app, actor, id, Status::Approved, body.despite_debt).await?;
    Ok(Audited(changed.map(|it| WithdrawalOut::of(actor, it))))
}

/// Refuse a requested withdrawal, with a reason. The money is available again.
#[utoipa::path(post, path = "/api/v1/withdrawals/{id}/refuse", tag = "withdrawals", request_body = WithdrawalReasonIn,
    params(("id" = WithdrawalId, Path)), security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn refuse_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
    ApiJson(body): ApiJson<WithdrawalReasonIn>,
) -> ApiResult<Audited<WithdrawalOut>> {
    let reason = note("/reason", &body.reason)?;
    return_to_balance(&app, actor, id, Status::Refused { reason }).await
}

/// Record that an approved withdrawal was paid. If its affiliate has a debt, this requires `despite_debt`.
#[utoipa::path(post, path = "/api/v1/withdrawals/{id}/pay", tag = "withdrawals", request_body = WithdrawalPaymentIn,
    params(("id" = WithdrawalId, Path)), security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn pay_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
    ApiJson(body): ApiJson<WithdrawalPaymentIn>,
) -> ApiResult<Audited<WithdrawalOut>> {
    let reference = note("/reference", &body.reference)?;
    let changed = withdrawals::approve_or_pay(&app, actor, id, Status::Paid { reference }, body.despite_debt).await?;
    Ok(Audited(changed.map(|it| WithdrawalOut::of(actor, it))))
}

/// Record that the payment of an approved withdrawal failed, with a reason. The money is available again.
#[utoipa::path(post, path = "/api/v1/withdrawals/{id}/fail", tag = "withdrawals", request_body = WithdrawalReasonIn,
    params(("id" = WithdrawalId, Path)), security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn fail_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
    ApiJson(body): ApiJson<WithdrawalReasonIn>,
) -> ApiResult<Audited<WithdrawalOut>> {
    let reason = note("/reason", &body.reason)?;
    return_to_balance(&app, actor, id, Status::Failed { reason }).await
}

/// Record that the bank returned the payment of a paid withdrawal, with a reason. The whole amount is available again,
/// including the fee.
#[utoipa::path(post, path = "/api/v1/withdrawals/{id}/return", tag = "withdrawals", request_body = WithdrawalReasonIn,
    params(("id" = WithdrawalId, Path)), security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn return_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
    ApiJson(body): ApiJson<WithdrawalReasonIn>,
) -> ApiResult<Audited<WithdrawalOut>> {
    let reason = note("/reason", &body.reason)?;
    return_to_balance(&app, actor, id, Status::Returned { reason }).await
}

/// Cancel a requested withdrawal that is not approved yet.
#[utoipa::path(post, path = "/api/v1/withdrawals/{id}/cancel", tag = "withdrawals",
    params(("id" = WithdrawalId, Path)), security(("api_key" = ["request_withdrawals"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn cancel_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
) -> ApiResult<Audited<WithdrawalOut>> {
    return_to_balance(&app, actor, id, Status::Cancelled).await
}

/// The approval of several withdrawals.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalApprovalsIn {
    /// 1 to 1,000 ids.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Vec<WithdrawalId>,
    /// Accepts the present debts of the affiliates.
    #[serde(default)]
    despite_debt: bool,
}

/// The result of the approval for one withdrawal.
#[derive(Serialize, ToSchema)]
pub struct WithdrawalApprovalOut {
    id: WithdrawalId,
    /// `approved`, or `error`.
    result: &'static str,
    /// The code of the error; null without an error.
    code: Option<&'static str>,
    /// The error as a sentence; null without an error.
    message: Option<String>,
}

/// The results of the approval of several withdrawals.
#[derive(Serialize, ToSchema)]
pub struct WithdrawalApprovalsOut {
    /// The number of withdrawals without an error.
    approved: usize,
    /// One item for each id of the request.
    items: Vec<WithdrawalApprovalOut>,
}

/// Approve many withdrawals at once. Withdrawals that cannot be approved are listed with an error; the others are
/// approved.
#[utoipa::path(post, path = "/api/v1/withdrawals/approve", tag = "withdrawals", request_body = WithdrawalApprovalsIn,
    security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalApprovalsOut), (status = "default", body = Problem)))]
pub async fn approve_withdrawals(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<WithdrawalApprovalsIn>,
) -> ApiResult<(Extension<AuditedChanges>, Json<WithdrawalApprovalsOut>)> {
    if body.ids.is_empty() || body.ids.len() > BULK_IDS_MAX {
        return Err(Error::invalid("/ids", format!("send 1 to {BULK_IDS_MAX} ids")).into());
    }
    let approvals = withdrawals::approve_many(&app, actor, &body.ids, body.despite_debt).await?;
    let steps = approvals.iter().filter_map(|(id, result)| {
        let Changed { before, now, .. } = result.as_ref().ok()?;
        of_word(format!("{id}.status"), before.as_ref()?.status.word(), now.status.word())
    });
    let changes = AuditedChanges::many(steps);
    let items: Vec<_> = approvals
        .into_iter()
        .map(|(id, result)| match result {
            Ok(_) => WithdrawalApprovalOut { id, result: "approved", code: None, message: None },
            Err(error) => {
                let code = match &error {
                    ApprovalError::NotFound(_) => "not_found",
                    ApprovalError::Step(error) => error.code(),
                };
                WithdrawalApprovalOut { id, result: "error", code: Some(code), message: Some(error.to_string()) }
            }
        })
        .collect();
    Ok((changes, Json(WithdrawalApprovalsOut { approved: items.iter().filter(|it| it.code.is_none()).count(), items })))
}

/// Read the settings of withdrawals.
#[utoipa::path(get, path = "/api/v1/settings/withdrawals", tag = "withdrawals", security(("api_key" = ["read_money"])),
    responses((status = 200, body = WithdrawalSettings), (status = "default", body = Problem)))]
pub async fn get_withdrawal_settings(State(app): State<App>) -> ApiResult<Json<WithdrawalSettings>> {
    Ok(Json(withdrawals::settings(&app).await?))
}

/// Set the minimum withdrawal in each currency. A payout method can have a higher minimum.
#[utoipa::path(put, path = "/api/v1/settings/withdrawals", tag = "withdrawals", request_body = WithdrawalSettings,
    security(("api_key" = ["manage_money"])),
    responses((status = 200, body = WithdrawalSettings), (status = "default", body = Problem)))]
pub async fn set_withdrawal_settings(
    State(app): State<App>,
    ApiJson(body): ApiJson<WithdrawalSettings>,
) -> ApiResult<Audited<WithdrawalSettings>> {
    Ok(Audited(withdrawals::change_settings(&app, body).await?))
}
