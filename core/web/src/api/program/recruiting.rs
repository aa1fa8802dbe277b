//! `/api/v1/recruiting` and `/api/v1/recruits`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Issues;
use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut};
use domain::amounts::{Currency, Percent, SignedAmount};
use domain::ids::AffiliateId;
use domain::program::recruiting::{LEVELS_MAX, PaidFrom, Recruiting};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::program::recruiting::{self, Recruit};

/// Commissions for recruiting: shares of the payout, the first for the recruiter, the second for the recruiter's
/// recruiter, and so on. An empty list switches them off.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecruitingBody {
    #[schema(example = json!(["10", "5"]), max_items = 10)]
    tiers: Vec<Percent>,
    /// On top of the payout, or out of it.
    #[serde(default)]
    paid_from: PaidFrom,
}

impl From<Recruiting> for RecruitingBody {
    fn from(it: Recruiting) -> Self {
        Self { tiers: it.tiers, paid_from: it.paid_from }
    }
}

/// Read what recruiting brings.
#[utoipa::path(get, path = "/api/v1/recruiting", tag = "money",
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = RecruitingBody), (status = "default", body = Problem)))]
pub async fn get_recruiting(State(app): State<App>, _: Caller) -> ApiResult<Json<RecruitingBody>> {
    Ok(Json(recruiting::get(&app).await?.into()))
}

/// Change what recruiting brings, for conversions that are approved from now on.
#[utoipa::path(put, path = "/api/v1/recruiting", tag = "money", request_body = RecruitingBody,
    security(("api_key" = ["manage_money"])),
    responses((status = 200, body = RecruitingBody), (status = "default", body = Problem)))]
pub async fn change_recruiting(
    State(app): State<App>,
    _: Caller,
    ApiJson(body): ApiJson<RecruitingBody>,
) -> ApiResult<Audited<RecruitingBody>> {
    let mut issues = Issues::default();
    let sum: i64 = body.tiers.iter().take(LEVELS_MAX).map(|tier| tier.micros()).fold(0, i64::saturating_add);
    if body.tiers.len() > LEVELS_MAX {
        issues.add(
            "/tiers",
            "invalid_field",
            format!("{} levels are too many; {LEVELS_MAX} at most", body.tiers.len()),
        );
    }
    if sum > 100_000_000 {
        issues.add("/tiers", "invalid_amount", "together they are more than the whole; 100 percent at most");
    }
    issues.result()?;
    let changed = recruiting::change(&app, Recruiting { tiers: body.tiers, paid_from: body.paid_from }).await?;
    Ok(Audited(changed.map(Into::into)))
}

#[derive(Serialize, ToSchema)]
pub struct RecruitOut {
    affiliate_id: AffiliateId,
    name: String,
    #[schema(example = "AF12345")]
    referral_code: String,
    /// Since when it counts as recruited.
    since: Option<Timestamp>,
    /// What its conversions have brought the recruiter in each currency, less what was taken back.
    commissions: Vec<SumOut>,
}

/// A sum, which may be larger than any amount.
#[derive(Serialize, ToSchema)]
pub struct SumOut {
    amount: SignedAmount,
    currency: Currency,
}

impl From<(Currency, i128)> for SumOut {
    fn from((currency, micros): (Currency, i128)) -> Self {
        Self { amount: SignedAmount(micros), currency }
    }
}

impl From<Recruit> for RecruitOut {
    fn from(Recruit { affiliate: it, commissions }: Recruit) -> Self {
        Self {
            affiliate_id: it.id,
            name: it.name,
            referral_code: it.referral_code,
            since: it.recruited_at,
            commissions: commissions.into_iter().map(SumOut::from).collect(),
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RecruitFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    /// The recruiter; an affiliate's key reads its own without it.
    affiliate_id: Option<AffiliateId>,
}

/// List whom an affiliate recruited, newest first, with what each has brought it.
#[utoipa::path(get, path = "/api/v1/recruits", tag = "money", params(RecruitFilter),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<RecruitOut>), (status = "default", body = Problem)))]
pub async fn list_recruits(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<RecruitFilter>,
) -> ApiResult<Json<PageOut<RecruitOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    let recruiter = it
        .affiliate_id
        .or(actor.confined_to())
        .ok_or_else(|| Problem::bad_request("invalid_parameter", "say whose recruits: give affiliate_id"))?;
    Ok(Json(PageOut::of(recruiting::recruits(&app, actor, recruiter, page).await?, RecruitOut::from)))
}
