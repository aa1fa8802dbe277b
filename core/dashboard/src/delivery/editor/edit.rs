//! `/postbacks/{id}/edit`: changes a saved postback. Secrets that are left empty stay.

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use domain::delivery::postback::{Ordering, Postback};
use domain::delivery::rules::{Delay, FiringStatus, Scope};
use domain::ids::PostbackId;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use engine::app::App;
use engine::delivery::postbacks;
use serde::Serialize;
use serde_json::Value;
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::draft::Draft;
use super::new::{Saving, looked, not_saved, saved_path};
use super::pairs::Pairs;
use super::{Editor, Surroundings};
use crate::form::Fields;
use crate::parts::list::ListUrl;
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// `GET /postbacks/{id}/edit`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    uri: Uri,
) -> Result<Response, Problem> {
    let draft = Draft::of_saved(&app, actor, id).await?;
    let shown = draft.preview_change(&app, actor, false).await;
    let page = Editor::load(&app, actor, &draft, shown, Surroundings::default()).await?.reply(&viewer);
    Ok(match ListUrl::of(&uri).get("done") {
        Some(done @ ("created" | "saved")) => page.notice(text(&format!("postback_done.{done}"))).into_response(),
        _ => page.into_response(),
    })
}

/// `POST /postbacks/{id}/edit/preview`
pub async fn look(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    headers: HeaderMap,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let pairs = Pairs(fields);
    let draft = Draft::of_saved(&app, actor, id).await?.entered(&pairs);
    let shown = match pairs.get("do") {
        "estimate" => None,
        word => Some(draft.preview_change(&app, actor, word == "test").await),
    };
    Ok(looked(&app, &viewer, actor, &draft, &pairs, &headers, shown).await?)
}

/// The fields of a postback as the API names them, for the audit log.
#[derive(Serialize)]
struct Recorded {
    name: String,
    config: Value,
    action: Action,
    scope: Scope,
    firing_status: FiringStatus,
    rejection_reasons: Vec<String>,
    delay: Option<Delay>,
    ordering: Ordering,
    enabled: bool,
    verified_at: Option<Timestamp>,
}

impl From<Postback> for Recorded {
    fn from(postback: Postback) -> Self {
        let rule = postback.rule;
        Self {
            name: postback.name,
            config: postback.config,
            action: rule.action,
            scope: rule.scope,
            firing_status: rule.firing_status,
            rejection_reasons: rule.rejection_reasons,
            delay: rule.delay,
            ordering: postback.ordering,
            enabled: postback.enabled,
            verified_at: postback.verified_at,
        }
    }
}

/// `POST /postbacks/{id}/edit`
pub async fn save(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let pairs = Pairs(fields);
    let draft = Draft::of_saved(&app, actor, id).await?.entered(&pairs);
    let saving = Saving::of(&pairs);
    let changing = async {
        let data = draft.change(&app, actor, saving.is_enabled()).await?;
        postbacks::change_with(&app, actor, id, |_| Ok(data.clone()), &saving.terms(&draft)).await
    };
    match changing.await {
        Ok(changed) => {
            let changes = AuditedChanges::many(changed.map(Recorded::from).fields());
            Ok((changes, Redirect::to(&saved_path(id, "saved"))).into_response())
        }
        Err(error) => Ok(not_saved(&app, &viewer, actor, &draft, error).await?),
    }
}
