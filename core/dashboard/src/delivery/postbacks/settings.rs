//! `/settings/postbacks`: whether postbacks of affiliates need approval.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::delivery::approval::PostbackSettings;
use engine::app::App;
use engine::delivery::postbacks::approval;
use serde::{Deserialize, Serialize};
use web::audit::AuditedChanges;
use web::errors::Problem;

use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct Settings {
    form: Form,
}

impl Settings {
    fn new(settings: PostbackSettings) -> Self {
        let name = "affiliates_need_approval";
        let field = Field::checkbox(name, "postback_settings.need_approval", settings.affiliates_need_approval);
        Self { form: Form::new([field]) }
    }
}

impl Page for Settings {
    const TEMPLATE: &'static str = "delivery/postback_settings";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        [true, false].map(|affiliates_need_approval| Self::new(PostbackSettings { affiliates_need_approval })).into()
    }
}

/// `GET /settings/postbacks`
pub async fn show(State(app): State<App>, viewer: Viewer, uri: Uri) -> Result<Reply<Settings>, Problem> {
    let page = Settings::new(approval::settings(&app).await?);
    let reply = viewer.page(text("postback_settings.title"), page).lead(text("postback_settings.lead"));
    let reply = reply.below("/postbacks", text("nav.postbacks"));
    Ok(match ListUrl::of(&uri).get("done") {
        Some("saved") => reply.notice(text("postback_settings.saved")),
        _ => reply,
    })
}

/// The form of `POST /settings/postbacks`. A browser leaves out a checkbox that is not checked.
#[derive(Deserialize)]
pub struct SettingsForm {
    affiliates_need_approval: Option<String>,
}

/// `POST /settings/postbacks`
pub async fn save(State(app): State<App>, Fields(form): Fields<SettingsForm>) -> Result<Response, Problem> {
    let settings = PostbackSettings { affiliates_need_approval: form.affiliates_need_approval.is_some() };
    let changed = approval::change_settings(&app, settings).await?;
    let changes = AuditedChanges::many(changed.fields());
    Ok((changes, Redirect::to("/settings/postbacks?done=saved")).into_response())
}
