//! `/api/v1/settings/sub-affiliates` and `/api/v1/sub-affiliates`

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
use domain::program::sub_affiliate::{LEVELS_MAX, PaidFrom, SubAffiliateSettings};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::program::sub_affiliates::{self, SubAffiliate};

/// The settings of second-tier commissions.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubAffiliateSettings)]
pub struct SubAffiliateSettingsBody {
    /// The commission of each level, in percent of the payout: the first for the parent affiliate, the second for the
    /// parent affiliate of that one, and so on. Together at most 100; no commissions if empty.
    #[schema(example = json!(["10", "5"]), max_items = 10)]
    tiers: Vec<Percent>,
    /// Who pays the commissions; `program` if absent.
    #[serde(default)]
    paid_from: PaidFrom,
}

impl From<SubAffiliateSettings> for SubAffiliateSettingsBody {
    fn from(settings: SubAffiliateSettings) -> Self {
        Self { tiers: settings.tiers, paid_from: settings.paid_from }
    }
}

/// Read the second-tier commissions.
#[utoipa::path(get, path = "/api/v1/settings/sub-affiliates", tag = "money",
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = SubAffiliateSettingsBody), (status = "default", body = Problem)))]
pub async fn get_sub_affiliate_settings(
    State(app): State<App>,
    _: Caller,
) -> ApiResult<Json<SubAffiliateSettingsBody>> {
    Ok(Json(sub_affiliates::settings(&app).await?.into()))
}

/// Set the second-tier commissions of conversions that are approved from now on.
#[utoipa::path(put, path = "/api/v1/settings/sub-affiliates", tag = "money", request_body = SubAffiliateSettingsBody,
    security(("api_key" = ["manage_money"])),
    responses((status = 200, body = SubAffiliateSettingsBody), (status = "default", body = Problem)))]
pub async fn set_sub_affiliate_settings(
    State(app): State<App>,
    _: Caller,
    ApiJson(body): ApiJson<SubAffiliateSettingsBody>,
) -> ApiResult<Audited<SubAffiliateSettingsBody>> {
    let mut issues = Issues::default();
    let sum: i64 = body.tiers.iter().take(LEVELS_MAX).map(|tier| tier.micros()).fold(0, i64::saturating_add);
    if body.tiers.len() > LEVELS_MAX {
        issues.add("/tiers", "invalid_field", format!("has {} levels; send at most {LEVELS_MAX}", body.tiers.len()));
    }
    if sum > 100_000_000 {
        issues.add("/tiers", "invalid_amount", "the commissions add up to more than 100 percent");
    }
    issues.result()?;
    let changed =
        sub_affiliates::change_settings(&app, SubAffiliateSettings { tiers: body.tiers, paid_from: body.paid_from })
            .await?;
    Ok(Audited(changed.map(Into::into)))
}

/// A sub-affiliate of an affiliate.
#[derive(Serialize, ToSchema)]
pub struct SubAffiliateOut {
    affiliate_id: AffiliateId,
    /// The name of the sub-affiliate.
    name: String,
    /// The referral code of the sub-affiliate.
    #[schema(example = "AF12345")]
    referral_code: String,
    /// When its current parent affiliate was set; null if that is not known.
    since: Option<Timestamp>,
    /// The commissions that its conversions earned for the parent affiliate, less reversals; one sum per currency.
    commissions: Vec<AmountSumOut>,
}

/// A sum of amounts. It can exceed the maximum of a single amount.
#[derive(Serialize, ToSchema)]
pub struct AmountSumOut {
    /// The sum.
    amount: SignedAmount,
    /// Its currency.
    currency: Currency,
}

impl From<(Currency, i128)> for AmountSumOut {
    fn from((currency, micros): (Currency, i128)) -> Self {
        Self { amount: SignedAmount(micros), currency }
    }
}

impl From<SubAffiliate> for SubAffiliateOut {
    fn from(SubAffiliate { affiliate, commissions }: SubAffiliate) -> Self {
        Self {
            affiliate_id: affiliate.id,
            name: affiliate.name,
            referral_code: affiliate.referral_code,
            since: affiliate.parent_since,
            commissions: commissions.into_iter().map(AmountSumOut::from).collect(),
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SubAffiliateFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// The parent affiliate. Required for staff; an affiliate lists its own sub-affiliates without it.
    parent_affiliate_id: Option<AffiliateId>,
}

/// List the sub-affiliates of an affiliate, newest first, with the commissions that each of them earned for it.
#[utoipa::path(get, path = "/api/v1/sub-affiliates", tag = "money", params(SubAffiliateFilter),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<SubAffiliateOut>), (status = "default", body = Problem)))]
pub async fn list_sub_affiliates(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(params): ApiQuery<SubAffiliateFilter>,
) -> ApiResult<Json<PageOut<SubAffiliateOut>>> {
    let page = PageIn { limit: params.limit, cursor: params.cursor }.request()?;
    let parent = params
        .parent_affiliate_id
        .or(actor.confined_to())
        .ok_or_else(|| Problem::bad_request("invalid_parameter", "parent_affiliate_id is missing"))?;
    Ok(Json(PageOut::of(sub_affiliates::list(&app, actor, parent, page).await?, SubAffiliateOut::from)))
}
