//! `/`: the start page. Affiliates see their dashboard, staff the overview of the program.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use engine::app::App;
use web::auth::Caller;
use web::errors::Problem;

use crate::program::{dashboard, overview};
use crate::shell::viewer::Viewer;

/// `GET /`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let person = viewer.person.as_ref().ok_or_else(Problem::unauthorized)?;
    if let Some(affiliate) = &person.affiliate {
        return Ok(dashboard::show(&app, &viewer, actor, affiliate, &uri).await?.into_response());
    }
    Ok(overview::show(&app, &viewer, actor, person, &uri).await?.into_response())
}
