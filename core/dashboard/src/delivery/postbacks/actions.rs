//! The buttons of a postback: test, copy, switch on and off, delete, approve and refuse.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use domain::delivery::postback::Postback;
use domain::ids::PostbackId;
use domain::people::actor::Actor;
use domain::people::changes::{Changed, deleted};
use engine::Error;
use engine::app::App;
use engine::delivery::postbacks::{self, PostbackData, TestClick, approval};
use serde::Deserialize;
use web::api::delivery::postbacks::PostbackOut;
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::config::data_of;
use super::postback::PostbackPage;
use crate::form::{self, Fields};
use crate::shell::viewer::Viewer;

/// Leads back to the page of the postback, which says what was done.
pub fn done(id: PostbackId, changed: Changed<Postback>, word: &str) -> Response {
    let changes = AuditedChanges::many(changed.map(PostbackOut::from).fields());
    (changes, Redirect::to(&format!("/postbacks/{id}?done={word}"))).into_response()
}

/// The page of the postback with an error.
async fn refused(app: &App, viewer: &Viewer, actor: Actor, id: PostbackId, error: Error) -> Result<Response, Problem> {
    let page = PostbackPage::load(app, actor, id).await?;
    // The destination did not accept the test: the page shows its answer.
    if let Error::VerificationFailed(verification) = &error {
        let page = page.with_test((**verification).clone());
        return Ok(page.reply(viewer).status_of(&Problem::from(error)).into_response());
    }
    Ok(page.reply(viewer).alert(&Problem::from(error)).into_response())
}

/// The form of `POST /postbacks/{id}/test`.
#[derive(Deserialize)]
pub struct TestForm {
    test_click_id: Option<String>,
}

/// `POST /postbacks/{id}/test`
pub async fn test(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    Fields(form): Fields<TestForm>,
) -> Result<Response, Problem> {
    match postbacks::test(&app, actor, id, &TestClick::of(form.test_click_id.as_deref())).await {
        Ok(verification) => {
            let page = PostbackPage::load(&app, actor, id).await?.with_test(verification);
            Ok(page.reply(&viewer).into_response())
        }
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}

/// `POST /postbacks/{id}/duplicate`
pub async fn duplicate(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
) -> Result<Response, Problem> {
    match postbacks::duplicate(&app, actor, id).await {
        Ok(copy) => Ok(form::created(copy.id, &format!("/postbacks/{}?done=duplicated", copy.id))),
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}

/// The form of `POST /postbacks/{id}/status`.
#[derive(Deserialize)]
pub struct StatusForm {
    enabled: bool,
}

/// `POST /postbacks/{id}/status`
pub async fn set_status(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    Fields(StatusForm { enabled }): Fields<StatusForm>,
) -> Result<Response, Problem> {
    let edit = |postback: &Postback| Ok(PostbackData { enabled, ..data_of(postback) });
    match postbacks::change(&app, actor, id, edit).await {
        Ok(changed) => Ok(done(id, changed, if enabled { "on" } else { "off" })),
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}

/// `POST /postbacks/{id}/archive`
pub async fn archive(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
) -> Result<Response, Problem> {
    match postbacks::archive(&app, actor, id).await {
        Ok(before) => {
            let changes = AuditedChanges::many(deleted(&PostbackOut::from(before)));
            Ok((changes, Redirect::to("/postbacks?done=archived")).into_response())
        }
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}

/// The form of `POST /postbacks/{id}/approve`.
#[derive(Deserialize)]
pub struct ApprovalForm {
    /// The version that the reader saw.
    version: i32,
    /// The form is on the list.
    #[serde(default)]
    in_list: bool,
}

/// `POST /postbacks/{id}/approve`
pub async fn approve(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    Fields(form): Fields<ApprovalForm>,
) -> Result<Response, Problem> {
    match approval::approve(&app, actor, id, form.version).await {
        Ok(changed) if form.in_list => {
            let changes = AuditedChanges::many(changed.map(PostbackOut::from).fields());
            Ok((changes, Redirect::to("/postbacks?done=approved")).into_response())
        }
        Ok(changed) => Ok(done(id, changed, "approved")),
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}

/// The form of `POST /postbacks/{id}/refuse`.
#[derive(Deserialize)]
pub struct RefusalForm {
    /// The version that the reader saw.
    version: i32,
    #[serde(default)]
    reason: String,
}

/// `POST /postbacks/{id}/refuse`
pub async fn refuse(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    Fields(form): Fields<RefusalForm>,
) -> Result<Response, Problem> {
    let RefusalForm { version, reason } = form;
    match approval::refuse(&app, actor, id, version, reason.clone()).await {
        Ok(changed) => Ok(done(id, changed, "refused")),
        Err(error) => {
            let problem = Problem::from(error);
            let mut page = PostbackPage::load(&app, actor, id).await?;
            let is_shown = page.refuse(&reason, &problem);
            Ok(page.reply(&viewer).refused(&problem, is_shown).into_response())
        }
    }
}
