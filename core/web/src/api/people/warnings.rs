//! `/api/v1/warnings`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::errors::{ApiResult, Problem};
use crate::extract::PageOut;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::warnings::Warning;

/// A problem that the operator should fix.
#[derive(Serialize, ToSchema)]
pub struct WarningOut {
    /// Stable; programs may rely on it.
    #[schema(example = "unlisted_proxy")]
    code: &'static str,
    /// The problem, and how to fix it.
    message: String,
    /// The first occurrence.
    first_at: Timestamp,
    /// The last occurrence.
    last_at: Timestamp,
    /// The number of occurrences since the process started.
    times: u64,
}

impl From<Warning> for WarningOut {
    fn from(warning: Warning) -> Self {
        Self {
            code: warning.code,
            message: warning.sentence,
            first_at: warning.first_at,
            last_at: warning.last_at,
            times: warning.times,
        }
    }
}

/// List the problems that the operator should fix and that occurred in the last 24 hours. Each process has its own
/// list; the response has that of the process that answers.
#[utoipa::path(get, path = "/api/v1/warnings", tag = "settings",
    security(("api_key" = ["manage_settings"])),
    responses((status = 200, body = PageOut<WarningOut>), (status = "default", body = Problem)))]
pub async fn list_warnings(State(app): State<App>) -> ApiResult<Json<PageOut<WarningOut>>> {
    let items = app.warnings.list(app.clock.now()).into_iter().map(WarningOut::from).collect();
    Ok(Json(PageOut { items, next: None }))
}
