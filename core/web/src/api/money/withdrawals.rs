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
use crate::idempotency;
use domain::amounts::{Amount, Currency, Money};
use domain::ids::{AffiliateId, WithdrawalBatchId, WithdrawalId};
use domain::money::payment_results::LONGEST;
use domain::money::payout_details::Fields;
use domain::money::withdrawal::{Asked, Status, WithdrawalSettings};
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_word};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::withdrawals::{self, AdvanceError, Requested, Shown, Wanted};
use storage::money::withdrawals::Filter;

/// Ids in one bulk approval.
const MOST_AT_ONCE: usize = 1_000;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalIn {
    /// An affiliate's key may leave it out.
    affiliate_id: Option<AffiliateId>,
    #[schema(example = "sepa")]
    method: String,
    /// An amount, or "all" for everything that is available.
    #[schema(value_type = String, example = "100.00")]
    amount: AmountIn,
    currency: Currency,
}

/// One step of a withdrawal.
#[derive(Serialize, ToSchema)]
pub struct StepOut {
    status: String,
    at: Timestamp,
    /// Who did it: the key or person; for an affiliate "affiliate" or "program".
    by: String,
    /// The reference of the payment, or the reason why there is none.
    note: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct WithdrawalOut {
    id: WithdrawalId,
    affiliate_id: AffiliateId,
    method: String,
    /// What leaves the balance.
    amount: Amount,
    /// The part of it that the program keeps.
    fee: Amount,
    /// What arrives.
    net: Amount,
    currency: Currency,
    /// requested, approved, paid, refused, failed, returned or cancelled
    status: String,
    /// What the bank or PayPal calls the payment.
    reference: Option<String>,
    /// Why it was refused, failed or was returned.
    reason: Option<String>,
    /// Where the money goes, masked, as it was when the withdrawal was requested.
    details: Fields,
    /// When these details were last changed before the request.
    details_changed_at: Timestamp,
    /// What the affiliate owes in this currency by now; null when it owes nothing, or the withdrawal is not under way.
    debt: Option<Amount>,
    /// The withdrawal goes on while its affiliate owes no more than this; not shown to affiliates.
    accepted_debt: Option<Amount>,
    batch_id: Option<WithdrawalBatchId>,
    history: Vec<StepOut>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl WithdrawalOut {
    fn of(actor: Actor, it: Shown) -> Self {
        let Shown { withdrawal: it, debt } = it;
        // The first step is the request; an affiliate need not know who works for the program.
        let asked_by = it.history.first().map(|step| step.by.clone()).unwrap_or_default();
        let by = |by: String| match actor.is_staff() {
            true => by,
            false if by == actor.name() || by == asked_by => "affiliate".to_owned(),
            false => "program".to_owned(),
        };
        let history = it.history.iter().cloned();
        let history = history
            .map(|step| StepOut { status: step.status, at: step.at, by: by(step.by), note: step.note })
            .collect();
        let note = it.status.note().map(str::to_owned);
        let is_paid = matches!(it.status, Status::Paid { .. });
        Self {
            id: it.id,
            affiliate_id: it.affiliate_id,
            amount: it.amount.amount(),
            fee: it.fee.amount(),
            net: it.net().amount(),
            currency: it.amount.currency,
            status: it.status.word().to_owned(),
            reference: note.clone().filter(|_| is_paid),
            reason: note.filter(|_| !is_paid),
            method: it.method,
            details: it.masked_details,
            details_changed_at: it.details_changed_at,
            debt: debt.map(Money::amount),
            accepted_debt: Some(it.accepted_debt.amount()).filter(|it| it.micros() > 0 && actor.is_staff()),
            batch_id: it.batch_id,
            history,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

/// Ask for money. It is reserved at once, and comes back if the withdrawal is refused, fails or is cancelled.
///
/// One click twice is one request: repeated within ten seconds without an Idempotency-Key, the same request is answered with
/// the withdrawal that it made (200). With a key of its own each request is a withdrawal of its own.
#[utoipa::path(post, path = "/api/v1/withdrawals", tag = "withdrawals", request_body = WithdrawalIn,
    security(("api_key" = ["request_withdrawals"])),
    responses((status = 201, body = WithdrawalOut), (status = 200, body = WithdrawalOut, description = "The same click again."),
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
        issues.add("/affiliate_id", "invalid_field", "say whose withdrawal it is");
    }
    let asked = match body.amount.word() {
        Some("all") => Some(Asked::All),
        _ => AmountIn::read(Some(body.amount), "/amount", &mut issues).map(Asked::This),
    };
    issues.result()?;
    let (Some(affiliate_id), Some(asked)) = (affiliate_id, asked) else {
        return Err(Error::invalid("/amount", "write an amount such as \"100.00\", or \"all\"").into());
    };
    let has_key = idempotency::has_key(&headers);
    let wanted = Wanted { affiliate_id, method: body.method, asked, currency: body.currency, has_key };
    let (status, withdrawal) = match withdrawals::request(&app, actor, wanted).await? {
        Requested::New(withdrawal) => (StatusCode::CREATED, withdrawal),
        Requested::Known(withdrawal) => (StatusCode::OK, withdrawal),
    };
    Ok((status, Json(WithdrawalOut::of(actor, withdrawal))))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WithdrawalFilter {
    limit: Option<u64>,
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
#[utoipa::path(get, path = "/api/v1/withdrawals", tag = "withdrawals", params(WithdrawalFilter),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<WithdrawalOut>), (status = "default", body = Problem)))]
pub async fn list_withdrawals(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<WithdrawalFilter>,
) -> ApiResult<Json<PageOut<WithdrawalOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    if let Some(status) = it.status.as_deref().filter(|status| !Status::WORDS.contains(status)) {
        let status: String = status.chars().take(40).collect();
        let detail = format!("\"{status}\" is no status; use one of: {}", Status::WORDS.join(", "));
        return Err(Problem::bad_request("invalid_parameter", detail));
    }
    let filter = Filter {
        affiliate_id: it.affiliate_id,
        status: it.status,
        method: it.method,
        currency: it.currency,
        batch_id: it.batch_id,
    };
    let page = withdrawals::list(&app, actor, filter, page).await?;
    Ok(Json(PageOut::of(page, |it| WithdrawalOut::of(actor, it))))
}

/// Read a withdrawal, with each step and its time.
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

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentIn {
    /// What the bank or PayPal calls the payment.
    #[schema(max_length = 200)]
    reference: String,
    /// Although the affiliate owes money by now.
    #[serde(default)]
    despite_debt: bool,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalIn {
    /// Accepts what the affiliate owes by now; also of a withdrawal that is approved already. If it comes to owe more, the
    /// withdrawal stops again.
    #[serde(default)]
    despite_debt: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalReasonIn {
    /// The affiliate reads it.
    #[schema(max_length = 200)]
    reason: String,
}

async fn advance(app: &App, actor: Actor, id: WithdrawalId, wanted: Status) -> ApiResult<Audited<WithdrawalOut>> {
    Ok(Audited(withdrawals::advance(app, actor, id, wanted).await?.map(|it| WithdrawalOut::of(actor, it))))
}

fn note(path: &str, text: &str) -> Result<String, Error> {
    let mut issues = Issues::default();
    let text = issues.text(path, text, LONGEST);
    issues.result()?;
    Ok(text)
}

/// Approve a withdrawal: it may be paid. If its affiliate came to owe money since it asked, that takes `despite_debt`.
#[utoipa::path(post, path = "/api/v1/withdrawals/{id}/approve", tag = "withdrawals", request_body = Option<ApprovalIn>,
    params(("id" = WithdrawalId, Path)), security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn approve_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
    OptionalJson(body): OptionalJson<ApprovalIn>,
) -> ApiResult<Audited<WithdrawalOut>> {
    let changed = withdrawals::proceed(&app, actor, id, Status::Approved, body.despite_debt).await?;
    Ok(Audited(changed.map(|it| WithdrawalOut::of(actor, it))))
}

/// Refuse a withdrawal that was requested, with a reason. The money goes back to the balance.
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
    advance(&app, actor, id, Status::Refused { reason }).await
}

/// Record that an approved withdrawal was paid. If its affiliate owes money by now, that takes `despite_debt`.
#[utoipa::path(post, path = "/api/v1/withdrawals/{id}/pay", tag = "withdrawals", request_body = PaymentIn,
    params(("id" = WithdrawalId, Path)), security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn pay_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
    ApiJson(body): ApiJson<PaymentIn>,
) -> ApiResult<Audited<WithdrawalOut>> {
    let reference = note("/reference", &body.reference)?;
    let changed = withdrawals::proceed(&app, actor, id, Status::Paid { reference }, body.despite_debt).await?;
    Ok(Audited(changed.map(|it| WithdrawalOut::of(actor, it))))
}

/// Record that the payment of an approved withdrawal failed, with a reason. The money goes back to the balance.
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
    advance(&app, actor, id, Status::Failed { reason }).await
}

/// Record that the bank sent back the payment of a paid withdrawal, with a reason. All of it is available again, the fee too.
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
    advance(&app, actor, id, Status::Returned { reason }).await
}

/// Take back a request that nobody has approved yet.
#[utoipa::path(post, path = "/api/v1/withdrawals/{id}/cancel", tag = "withdrawals",
    params(("id" = WithdrawalId, Path)), security(("api_key" = ["request_withdrawals"])),
    responses((status = 200, body = WithdrawalOut), (status = "default", body = Problem)))]
pub async fn cancel_withdrawal(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
) -> ApiResult<Audited<WithdrawalOut>> {
    advance(&app, actor, id, Status::Cancelled).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsIn {
    /// At most 1,000.
    ids: Vec<WithdrawalId>,
    /// Accepts what their affiliates owe by now.
    #[serde(default)]
    despite_debt: bool,
}

/// What became of one of them.
#[derive(Serialize, ToSchema)]
pub struct ApprovalOut {
    id: WithdrawalId,
    /// approved, or error
    result: &'static str,
    code: Option<&'static str>,
    message: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ApprovalsOut {
    approved: usize,
    items: Vec<ApprovalOut>,
}

/// Approve many withdrawals at once. What can't be approved is told of and leaves the others alone.
#[utoipa::path(post, path = "/api/v1/withdrawals/approve", tag = "withdrawals", request_body = ApprovalsIn,
    security(("api_key" = ["pay_withdrawals"])),
    responses((status = 200, body = ApprovalsOut), (status = "default", body = Problem)))]
pub async fn approve_withdrawals(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<ApprovalsIn>,
) -> ApiResult<(Extension<AuditedChanges>, Json<ApprovalsOut>)> {
    if body.ids.is_empty() || body.ids.len() > MOST_AT_ONCE {
        return Err(Error::invalid("/ids", format!("send 1 to {MOST_AT_ONCE} ids")).into());
    }
    let advanced = withdrawals::approve_many(&app, actor, &body.ids, body.despite_debt).await?;
    let steps = advanced.iter().filter_map(|(id, result)| {
        let Changed { before, now, .. } = result.as_ref().ok()?;
        of_word(format!("{id}.status"), before.as_ref()?.status.word(), now.status.word())
    });
    let told = AuditedChanges::many(steps);
    let items: Vec<_> = advanced
        .into_iter()
        .map(|(id, result)| match result {
            Ok(_) => ApprovalOut { id, result: "approved", code: None, message: None },
            Err(error) => {
                let code = match &error {
                    AdvanceError::NotFound(_) => "not_found",
                    AdvanceError::Step(error) => error.code(),
                };
                ApprovalOut { id, result: "error", code: Some(code), message: Some(error.to_string()) }
            }
        })
        .collect();
    Ok((told, Json(ApprovalsOut { approved: items.iter().filter(|it| it.code.is_none()).count(), items })))
}

/// Read what the program asks of every withdrawal.
#[utoipa::path(get, path = "/api/v1/settings/withdrawals", tag = "withdrawals", security(("api_key" = ["read_money"])),
    responses((status = 200, body = WithdrawalSettings), (status = "default", body = Problem)))]
pub async fn get_withdrawal_settings(State(app): State<App>) -> ApiResult<Json<WithdrawalSettings>> {
    Ok(Json(withdrawals::settings(&app).await?))
}

/// Set the least that can be withdrawn in each currency. A method may ask for more.
#[utoipa::path(put, path = "/api/v1/settings/withdrawals", tag = "withdrawals", request_body = WithdrawalSettings,
    security(("api_key" = ["manage_money"])),
    responses((status = 200, body = WithdrawalSettings), (status = "default", body = Problem)))]
pub async fn set_withdrawal_settings(
    State(app): State<App>,
    ApiJson(body): ApiJson<WithdrawalSettings>,
) -> ApiResult<Audited<WithdrawalSettings>> {
    Ok(Audited(withdrawals::change_settings(&app, body).await?))
}
