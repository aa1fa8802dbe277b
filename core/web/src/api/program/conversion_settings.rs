//! `/api/v1/settings/conversions`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiJson;
use domain::program::order_scope::OrderScope;
use engine::app::App;
use engine::program::order_scope;

/// The settings of conversions.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConversionSettings)]
pub struct ConversionSettingsBody {
    /// How often one order, by its transaction id, may count: once for each offer, which is the default, or once in the
    /// program. A second conversion is refused with `transaction_of_another_offer`.
    one_order_per: OrderScope,
}

impl From<OrderScope> for ConversionSettingsBody {
    fn from(one_order_per: OrderScope) -> Self {
        Self { one_order_per }
    }
}

/// Read how often one order may count.
#[utoipa::path(get, path = "/api/v1/settings/conversions", tag = "conversions",
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = ConversionSettingsBody), (status = "default", body = Problem)))]
pub async fn get_conversion_settings(State(app): State<App>, _: Caller) -> ApiResult<Json<ConversionSettingsBody>> {
    Ok(Json(order_scope::get(&app).await?.into()))
}

/// Set how often one order may count.
///
/// It holds for conversions that are recorded from now on. Other processes follow within `CATALOG_MAX_AGE_SECS`.
#[utoipa::path(put, path = "/api/v1/settings/conversions", tag = "conversions", request_body = ConversionSettingsBody,
    security(("api_key" = ["manage_settings"])),
    responses((status = 200, body = ConversionSettingsBody), (status = "default", body = Problem)))]
pub async fn set_conversion_settings(
    State(app): State<App>,
    _: Caller,
    ApiJson(body): ApiJson<ConversionSettingsBody>,
) -> ApiResult<Audited<ConversionSettingsBody>> {
    Ok(Audited(order_scope::change(&app, body.one_order_per).await?.map(Into::into)))
}
