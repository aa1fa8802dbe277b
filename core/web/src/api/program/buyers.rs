//! `/api/v1/settings/buyers`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiJson;
use domain::program::buyer_visibility::BuyerVisibility;
use engine::app::App;
use engine::program::buyers;

/// The setting of the data of buyers.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BuyerSettings)]
pub struct BuyerSettingsBody {
    /// What affiliates see of buyers in answers, exports and logs, and what their own postbacks and sources get; `all`
    /// until it is set. Postbacks and sources of the program always get all.
    affiliates_see: BuyerVisibility,
}

impl From<BuyerVisibility> for BuyerSettingsBody {
    fn from(affiliates_see: BuyerVisibility) -> Self {
        Self { affiliates_see }
    }
}

/// Read what affiliates see of buyers.
#[utoipa::path(get, path = "/api/v1/settings/buyers", tag = "conversions",
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = BuyerSettingsBody), (status = "default", body = Problem)))]
pub async fn get_buyer_settings(State(app): State<App>, _: Caller) -> ApiResult<Json<BuyerSettingsBody>> {
    Ok(Json(buyers::visibility(&app).await?.into()))
}

/// Set what affiliates see of buyers.
///
/// It holds from now on, also for older conversions and for the log of requests that are already sent. Other processes
/// follow within `CATALOG_MAX_AGE_SECS`. If a postback of an affiliate requires a hidden value, its delivery is cancelled
/// with the reason `value_missing`.
#[utoipa::path(put, path = "/api/v1/settings/buyers", tag = "conversions", request_body = BuyerSettingsBody,
    security(("api_key" = ["manage_settings"])),
    responses((status = 200, body = BuyerSettingsBody), (status = "default", body = Problem)))]
pub async fn set_buyer_settings(
    State(app): State<App>,
    _: Caller,
    ApiJson(body): ApiJson<BuyerSettingsBody>,
) -> ApiResult<Audited<BuyerSettingsBody>> {
    Ok(Audited(buyers::change_visibility(&app, body.affiliates_see).await?.map(Into::into)))
}
