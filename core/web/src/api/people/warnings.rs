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

/// Something that the operator should put right.
#[derive(Serialize, ToSchema)]
pub struct WarningOut {
    /// Stable.
    #[schema(example = "unlisted_proxy")]
    code: &'static str,
    /// What it is and what to do.
    message: String,
    first_at: Timestamp,
    last_at: Timestamp,
    /// How often it came up since this process began.
    times: u64,
}

impl From<Warning> for WarningOut {
    fn from(it: Warning) -> Self {
        Self { code: it.code, message: it.sentence, first_at: it.first_at, last_at: it.last_at, times: it.times }
    }
}

/// List what the process that answers noticed in the last day and the operator should put right.
#[utoipa::path(get, path = "/api/v1/warnings", tag = "settings",
    security(("api_key" = ["manage_settings"])),
    responses((status = 200, body = PageOut<WarningOut>), (status = "default", body = Problem)))]
pub async fn list_warnings(State(app): State<App>) -> ApiResult<Json<PageOut<WarningOut>>> {
    let items = app.warnings.list(app.clock.now()).into_iter().map(WarningOut::from).collect();
    Ok(Json(PageOut { items, next: None }))
}
