//! `/api/v1/payout-methods`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Issues;
use crate::audit::Audited;
use crate::auth::Caller;
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, PageOut};
use domain::amounts::Currency;
use domain::money::payout_method::{Definition, FileFormat, Payer, PayoutMethod, Terms, is_id};
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::payout_methods::{self, PayoutMethodData};

/// A payout method.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutMethodIn {
    /// Lower-case letters, digits and hyphens. It cannot be changed.
    #[schema(example = "revolut", min_length = 1, max_length = 40)]
    id: String,
    #[schema(example = "Revolut", min_length = 1, max_length = 100)]
    name: String,
    /// The processing time, for affiliates.
    #[schema(example = "1 to 2 working days after approval", min_length = 1, max_length = 200)]
    processing_time: String,
    /// A JSON Schema of the details: an object of texts, each with a title. Additional formats: iban, sepa-iban, bic,
    /// email, country, bitcoin-address, ethereum-address, tron-address. Built-in methods keep their schema.
    #[schema(value_type = Object)]
    schema: serde_json::Value,
    /// The currencies of the method, with minimum and fee.
    #[schema(value_type = BTreeMap<String, Terms>)]
    currencies: BTreeMap<Currency, Terms>,
    /// The default format of its payment files.
    file: FileFormat,
    /// The account from which payments are made; required for pain001.
    #[serde(default)]
    payer: Option<Payer>,
    /// Whether affiliates can use it; true if absent.
    #[serde(default = "crate::api::default_true")]
    enabled: bool,
}

impl PayoutMethodIn {
    fn data(self) -> Result<PayoutMethodData, Error> {
        let mut issues = Issues::default();
        if !is_id(&self.id) {
            issues.add("/id", "invalid_field", "use 1 to 40 lower-case letters, digits and hyphens");
        }
        let definition = Definition {
            id: self.id,
            name: issues.text("/name", &self.name, 100),
            processing_time: issues.text("/processing_time", &self.processing_time, 200),
            file: self.file,
            currencies: self.currencies,
            schema: self.schema,
        };
        issues.result()?;
        Ok(PayoutMethodData { definition, payer: self.payer, enabled: self.enabled })
    }

    fn of(method: &PayoutMethod) -> Self {
        Self {
            id: method.id.clone(),
            name: method.name.clone(),
            processing_time: method.processing_time.clone(),
            schema: method.schema.clone(),
            currencies: method.currencies.clone(),
            file: method.file,
            payer: method.payer.clone(),
            enabled: method.enabled,
        }
    }
}

/// A payout method: how affiliates are paid.
#[derive(Serialize, ToSchema)]
pub struct PayoutMethodOut {
    id: String,
    name: String,
    /// The processing time, for affiliates.
    processing_time: String,
    /// The JSON Schema of the payout details.
    #[schema(value_type = Object)]
    schema: serde_json::Value,
    /// The currencies of the method, with minimum and fee.
    #[schema(value_type = BTreeMap<String, Terms>)]
    currencies: BTreeMap<Currency, Terms>,
    /// The default format of its payment files.
    file: FileFormat,
    /// The account from which payments are made. Null for affiliates.
    payer: Option<Payer>,
    enabled: bool,
    /// Whether it is one of Postrider's own methods.
    built_in: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl PayoutMethodOut {
    fn of(actor: Actor, method: PayoutMethod) -> Self {
        Self {
            id: method.id,
            name: method.name,
            processing_time: method.processing_time,
            schema: method.schema,
            currencies: method.currencies,
            file: method.file,
            payer: method.payer.filter(|_| actor.is_staff()),
            enabled: method.enabled,
            built_in: method.built_in,
            created_at: method.created_at,
            updated_at: method.updated_at,
        }
    }
}

/// Add a payout method.
#[utoipa::path(post, path = "/api/v1/payout-methods", tag = "withdrawals", request_body = PayoutMethodIn,
    security(("api_key" = ["manage_money"])),
    responses((status = 201, body = PayoutMethodOut), (status = "default", body = Problem)))]
pub async fn create_payout_method(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<PayoutMethodIn>,
) -> ApiResult<(StatusCode, Json<PayoutMethodOut>)> {
    let method = payout_methods::create(&app, body.data()?).await?;
    Ok((StatusCode::CREATED, Json(PayoutMethodOut::of(actor, method))))
}

/// List the payout methods. Affiliates see those that are enabled.
#[utoipa::path(get, path = "/api/v1/payout-methods", tag = "withdrawals", security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<PayoutMethodOut>), (status = "default", body = Problem)))]
pub async fn list_payout_methods(
    State(app): State<App>,
    Caller(actor): Caller,
) -> ApiResult<Json<PageOut<PayoutMethodOut>>> {
    let methods = payout_methods::list(&app, actor).await?;
    let items = methods.into_iter().map(|it| PayoutMethodOut::of(actor, it)).collect();
    Ok(Json(PageOut { items, next: None }))
}

/// Read a payout method.
#[utoipa::path(get, path = "/api/v1/payout-methods/{id}", tag = "withdrawals", params(("id" = String, Path)),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PayoutMethodOut), (status = "default", body = Problem)))]
pub async fn get_payout_method(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<PayoutMethodOut>> {
    Ok(Json(PayoutMethodOut::of(actor, payout_methods::get(&app, actor, &id).await?)))
}

/// Change a payout method: its terms, the account that pays, or whether it is enabled.
///
/// The body is a merge patch (RFC 7396).
#[utoipa::path(patch, path = "/api/v1/payout-methods/{id}", tag = "withdrawals", params(("id" = String, Path)),
    request_body = PayoutMethodIn, security(("api_key" = ["manage_money"])),
    responses((status = 200, body = PayoutMethodOut), (status = "default", body = Problem)))]
pub async fn change_payout_method(
    State(app): State<App>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    patch: Patch,
) -> ApiResult<Audited<PayoutMethodOut>> {
    let changed = payout_methods::change(&app, &id, |it| patch.apply(&PayoutMethodIn::of(it))?.data()).await?;
    Ok(Audited(changed.map(|it| PayoutMethodOut::of(actor, it))))
}
