//! `/api/v1/payout-details`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::people::auth::{CONFIRM_BY_EMAIL, EmailSentOut};
use crate::audit::{Audited, Deleted};
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, OptionalJson, PageIn, PageOut, PathId};
use domain::ids::{AffiliateId, PayoutDetailsId};
use domain::money::payout_details::{Fields, PayoutDetails};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::payout_details::{self, ChangeOutcome};
use engine::people::auth::step_up::StepUpProof;

/// The payout details of an affiliate for one method.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutDetailsIn {
    /// Required for staff; optional for callers of an affiliate.
    affiliate_id: Option<AffiliateId>,
    /// The id of a payout method.
    #[schema(example = "sepa")]
    method: String,
    /// The fields of the method's schema. All values are text.
    #[schema(value_type = BTreeMap<String, String>)]
    details: Fields,
    /// Your password. Required for sessions, ignored for API keys.
    password: Option<String>,
    /// A code of your second factor, or a recovery code. Required for sessions of people with a second factor.
    code: Option<String>,
}

/// Payout details to be checked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutDetailsCheckIn {
    /// The id of a payout method.
    #[schema(example = "sepa")]
    method: String,
    /// The fields of the method's schema. All values are text.
    #[schema(value_type = BTreeMap<String, String>)]
    details: Fields,
}

/// The payout details of an affiliate for one method, masked.
#[derive(Serialize, ToSchema)]
pub struct PayoutDetailsOut {
    id: PayoutDetailsId,
    affiliate_id: AffiliateId,
    method: String,
    /// Masked, such as DE89 **** 3000. Only payment files have the unmasked details.
    #[schema(value_type = BTreeMap<String, String>)]
    details: Fields,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<PayoutDetails> for PayoutDetailsOut {
    fn from(details: PayoutDetails) -> Self {
        Self {
            id: details.id,
            affiliate_id: details.affiliate_id,
            method: details.method,
            details: details.masked,
            created_at: details.created_at,
            updated_at: details.updated_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PayoutDetailsFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
}

/// Set the payout details of an affiliate for one method, in place of the former ones. Earlier withdrawals keep the
/// details of their request. The affiliate gets an e-mail about the change.
///
/// Sessions must send the password, and a code of the second factor if there is one. For a customer who signed in by a
/// login link, the change takes effect when the link in an e-mail to the affiliate is confirmed (202).
#[utoipa::path(put, path = "/api/v1/payout-details", tag = "withdrawals", request_body = PayoutDetailsIn,
    security(("api_key" = ["request_withdrawals"])),
    responses((status = 200, body = PayoutDetailsOut), (status = 202, body = EmailSentOut),
        (status = "default", body = Problem)))]
pub async fn set_payout_details(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<PayoutDetailsIn>,
) -> ApiResult<Response> {
    let affiliate_id = body.affiliate_id.or(actor.confined_to());
    let affiliate_id = affiliate_id.ok_or_else(|| Error::invalid("/affiliate_id", "affiliate_id is missing"))?;
    let proof = StepUpProof { password: body.password, code: body.code };
    Ok(match payout_details::set(&app, actor, proof, affiliate_id, &body.method, &body.details).await? {
        ChangeOutcome::Done(changed) => Audited(changed.map(PayoutDetailsOut::from)).into_response(),
        ChangeOutcome::Mailed => confirm_by_email(),
    })
}

/// Check payout details without storing them, such as while a person types. Nothing is recorded.
///
/// Details that are not valid are answered with the same errors as when they are set.
#[utoipa::path(post, path = "/api/v1/payout-details/check", tag = "withdrawals", request_body = PayoutDetailsCheckIn,
    security(("api_key" = ["request_withdrawals"])),
    responses((status = 204, description = "The details are valid."), (status = "default", body = Problem)))]
pub async fn check_payout_details(
    State(app): State<App>,
    ApiJson(body): ApiJson<PayoutDetailsCheckIn>,
) -> ApiResult<StatusCode> {
    payout_details::check(&app, &body.method, &body.details).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List payout details, newest first.
#[utoipa::path(get, path = "/api/v1/payout-details", tag = "withdrawals", params(PayoutDetailsFilter),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<PayoutDetailsOut>), (status = "default", body = Problem)))]
pub async fn list_payout_details(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(filter): ApiQuery<PayoutDetailsFilter>,
) -> ApiResult<Json<PageOut<PayoutDetailsOut>>> {
    let page = PageIn { limit: filter.limit, cursor: filter.cursor }.request()?;
    let page = payout_details::list(&app, actor, filter.affiliate_id, page).await?;
    Ok(Json(PageOut::of(page, Into::into)))
}

/// The step-up authentication of a person.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepUpProofIn {
    /// Your password. Required for sessions, ignored for API keys.
    password: Option<String>,
    /// A code of your second factor, or a recovery code. Required for sessions of people with a second factor.
    code: Option<String>,
}

fn confirm_by_email() -> Response {
    (StatusCode::ACCEPTED, Json(CONFIRM_BY_EMAIL)).into_response()
}

/// Remove payout details. Earlier withdrawals keep the details of their request. Requires the same password and code as
/// setting them.
#[utoipa::path(delete, path = "/api/v1/payout-details/{id}", tag = "withdrawals", params(("id" = PayoutDetailsId, Path)),
    request_body = Option<StepUpProofIn>,
    security(("api_key" = ["request_withdrawals"])),
    responses((status = 204, description = "The payout details are removed."), (status = 202, body = EmailSentOut), (status = "default", body = Problem)))]
pub async fn remove_payout_details(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PayoutDetailsId>,
    OptionalJson(body): OptionalJson<StepUpProofIn>,
) -> ApiResult<Response> {
    let proof = StepUpProof { password: body.password, code: body.code };
    Ok(match payout_details::remove(&app, actor, proof, id).await? {
        ChangeOutcome::Done(details) => Deleted(PayoutDetailsOut::from(details)).into_response(),
        ChangeOutcome::Mailed => confirm_by_email(),
    })
}
