//! `/`: the start page. Affiliates see their dashboard, staff see warnings for the operator.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use domain::people::permission::Permission;
use engine::app::App;
use serde::Serialize;
use web::auth::Caller;
use web::errors::Problem;

use crate::program::dashboard;
use crate::shell::page::Page;
use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

/// The start page of staff.
#[derive(Debug, Serialize)]
pub struct Home {
    /// Conditions that the operator should fix.
    warnings: Vec<Text>,
    sees_warnings: bool,
}

impl Page for Home {
    const TEMPLATE: &'static str = "people/home";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let home = |warnings, sees_warnings| Self { warnings, sees_warnings };
        vec![home(vec![plain("The disk is almost full.")], true), home(vec![], true), home(vec![], false)]
    }
}

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
    let sees_warnings = actor.may(Permission::ManageSettings);
    let warnings = if sees_warnings { app.warnings.list(app.clock.now()) } else { Vec::new() };
    let warnings = warnings.iter().map(|it| plain(as_sentence(&it.sentence))).collect();
    let heading = text("home.greeting").with("name", person.name());
    let page = viewer.page(text("nav.overview"), Home { warnings, sees_warnings });
    Ok(page.heading(heading).into_response())
}
