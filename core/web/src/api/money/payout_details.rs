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
use engine::money::payout_details;
use engine::money::payout_details::ChangeOutcome;
use engine::people::auth::step_up::StepUpProof;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutDetailsIn {
    /// Optional for keys and people of an affiliate.
    affiliate_id: Option<AffiliateId>,
    #[schema(example = "sepa")]
    method: String,
    /// The fields of the method's schema. All values are text.
    details: Fields,
    /// Your password, if you are signed in with one.
    password: Option<String>,
    /// The code of your second factor, if you have one.
    code: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct PayoutDetailsOut {
    id: PayoutDetailsId,
    affiliate_id: AffiliateId,
    method: String,
    /// Masked, such as DE89 **** 3000. The API never returns the whole details.
    details: Fields,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<PayoutDetails> for PayoutDetailsOut {
    fn from(it: PayoutDetails) -> Self {
        Self {
            id: it.id,
            affiliate_id: it.affiliate_id,
            method: it.method,
            details: it.masked,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PayoutDetailsFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
}

/// Set the payout details of an affiliate for one method, in place of the former ones. Earlier withdrawals keep the
/// details of their request. A person sends the password too; a customer with a login link confirms by a link that is
/// sent to the affiliate (202). The affiliate gets an e-mail about the change.
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
    let given = StepUpProof { password: body.password, code: body.code };
    Ok(match payout_details::set(&app, actor, given, affiliate_id, &body.method, &body.details).await? {
        ChangeOutcome::Done(changed) => Audited(changed.map(PayoutDetailsOut::from)).into_response(),
        ChangeOutcome::Mailed => mailed(),
    })
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

/// A second proof of the person.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofIn {
    /// Your password, if you are signed in with one.
    password: Option<String>,
    /// The code of your second factor, if you have one.
    code: Option<String>,
}

fn mailed() -> Response {
    (StatusCode::ACCEPTED, Json(CONFIRM_BY_EMAIL)).into_response()
}

/// Remove payout details. Earlier withdrawals keep their own copy. It requires the same proof as setting them.
#[utoipa::path(delete, path = "/api/v1/payout-details/{id}", tag = "withdrawals", params(("id" = PayoutDetailsId, Path)),
    request_body = Option<ProofIn>,
    security(("api_key" = ["request_withdrawals"])),
    responses((status = 204, description = "They are gone."), (status = 202, body = EmailSentOut), (status = "default", body = Problem)))]
pub async fn remove_payout_details(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PayoutDetailsId>,
    OptionalJson(body): OptionalJson<ProofIn>,
) -> ApiResult<Response> {
    let given = StepUpProof { password: body.password, code: body.code };
    Ok(match payout_details::remove(&app, actor, given, id).await? {
        ChangeOutcome::Done(details) => Deleted(PayoutDetailsOut::from(details)).into_response(),
        ChangeOutcome::Mailed => mailed(),
    })
}
