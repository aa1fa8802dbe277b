//! `/api/v1/rejection-reasons`

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Issues;
use crate::audit::Audited;
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, PageOut};
use domain::program::rejection_reason::{CODE_MAX_CHARS, RejectionReason, TEXT_MAX_CHARS, is_code};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::program::rejection_reasons;

/// A new reason of the catalogue.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectionReasonIn {
    /// The word that conversions, rules and postbacks have. It never changes.
    #[schema(example = "late_payment", min_length = 1, max_length = 50, pattern = "^[a-z0-9_]+$")]
    code: String,
    /// What affiliates read.
    #[schema(example = "The customer paid too late.", min_length = 1, max_length = 200)]
    text: String,
}

impl RejectionReasonIn {
    /// The checked code and text.
    ///
    /// # Errors
    /// One of them is not valid.
    pub fn read(code: &str, text: &str) -> Result<(String, String), Error> {
        let mut issues = Issues::default();
        let code = code.trim();
        if !is_code(code) {
            let message = format!(
                "must have 1 to {CODE_MAX_CHARS} lower-case letters, digits or underscores, such as late_payment"
            );
            issues.add("/code", "invalid_field", message);
        }
        let text = issues.text("/text", text, TEXT_MAX_CHARS);
        issues.result().map(|()| (code.to_owned(), text))
    }
}

/// What can be changed of a reason.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectionReasonChangeIn {
    /// What affiliates read.
    #[schema(min_length = 1, max_length = 200)]
    text: String,
    /// Whether the reason is no longer offered. Conversions and rules keep it.
    retired: bool,
}

impl RejectionReasonChangeIn {
    fn of(reason: &RejectionReason) -> Self {
        Self { text: reason.text.clone(), retired: !reason.is_offered() }
    }

    /// The checked text, and whether the reason is retired.
    ///
    /// # Errors
    /// The text is not valid.
    pub fn read(text: &str, retired: bool) -> Result<(String, bool), Error> {
        let mut issues = Issues::default();
        let text = issues.text("/text", text, TEXT_MAX_CHARS);
        issues.result().map(|()| (text, retired))
    }
}

/// A reason for which conversions are rejected.
#[derive(Serialize, ToSchema)]
pub struct RejectionReasonOut {
    /// The word that conversions, rules and postbacks have.
    #[schema(example = "fraud")]
    code: String,
    /// What affiliates read.
    #[schema(example = "The sale shows signs of fraud.")]
    text: String,
    /// When the reason was retired; null if it is offered.
    retired_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<RejectionReason> for RejectionReasonOut {
    fn from(reason: RejectionReason) -> Self {
        let RejectionReason { code, text, retired_at, created_at, updated_at } = reason;
        Self { code, text, retired_at, created_at, updated_at }
    }
}

/// List the reasons of the catalogue, by code. All are on one page.
///
/// `reject_conversion` takes these reasons, except for retired ones. Conversions that networks report as rejected keep
/// the networks' words, which need not be in the catalogue.
#[utoipa::path(get, path = "/api/v1/rejection-reasons", tag = "conversions",
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<RejectionReasonOut>), (status = "default", body = Problem)))]
pub async fn list_rejection_reasons(State(app): State<App>) -> ApiResult<Json<PageOut<RejectionReasonOut>>> {
    let catalogue = rejection_reasons::catalogue(&app).await?;
    let items = catalogue.all().iter().cloned().map(RejectionReasonOut::from).collect();
    Ok(Json(PageOut { items, next: None }))
}

/// Add a reason to the catalogue.
#[utoipa::path(post, path = "/api/v1/rejection-reasons", tag = "conversions", request_body = RejectionReasonIn,
    security(("api_key" = ["manage_settings"])),
    responses((status = 201, body = RejectionReasonOut), (status = "default", body = Problem)))]
pub async fn create_rejection_reason(
    State(app): State<App>,
    ApiJson(body): ApiJson<RejectionReasonIn>,
) -> ApiResult<(StatusCode, Json<RejectionReasonOut>)> {
    let (code, text) = RejectionReasonIn::read(&body.code, &body.text)?;
    let reason = rejection_reasons::create(&app, code, text).await?;
    Ok((StatusCode::CREATED, Json(reason.into())))
}

/// Change the text of a reason, retire it, or offer it again.
///
/// The body is a merge patch (RFC 7396). A retired reason is kept, because conversions and rules name it.
#[utoipa::path(patch, path = "/api/v1/rejection-reasons/{code}", tag = "conversions",
    params(("code" = String, Path, description = "The code of the reason.", example = "fraud")),
    request_body = RejectionReasonChangeIn,
    security(("api_key" = ["manage_settings"])),
    responses((status = 200, body = RejectionReasonOut), (status = "default", body = Problem)))]
pub async fn change_rejection_reason(
    State(app): State<App>,
    Path(code): Path<String>,
    patch: Patch,
) -> ApiResult<Audited<RejectionReasonOut>> {
    let edit = |reason: &RejectionReason| {
        let changed: RejectionReasonChangeIn = patch.apply(&RejectionReasonChangeIn::of(reason))?;
        RejectionReasonChangeIn::read(&changed.text, changed.retired)
    };
    Ok(Audited(rejection_reasons::change(&app, &code, edit).await?.map(RejectionReasonOut::from)))
}
