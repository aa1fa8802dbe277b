//! `/postbacks/new`: a new postback.

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use domain::people::actor::Actor;
use engine::Error;
use engine::app::App;
use engine::delivery::postbacks::{self, Acceptance, Preview, PreviewOptions, TestTerms};
use serde_json::json;
use web::auth::Caller;
use web::errors::Problem;

use super::draft::Draft;
use super::pairs::Pairs;
use super::preview::{EstimatePart, PreviewCard, PreviewPart, TestCard, TestPart, events_of};
use super::{Editor, Surroundings, choose, estimate, paste, rule};
use crate::form::{self, Fields};
use crate::parts::list::ListUrl;
use crate::shell::nav::has_page;
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// `GET /postbacks/new`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let url = ListUrl::of(&uri);
    let (draft, around) = match (url.get("template"), url.get("adapter"), url.get("url")) {
        (Some(id), ..) => (Draft::of_template(&app, id).await?, Surroundings::default()),
        (None, Some(adapter), Some(pasted)) => {
            (Draft::of_adapter(&app, adapter, json!({ "url": pasted })).await?, Surroundings::default())
        }
        (None, Some(adapter), None) => (Draft::of_adapter(&app, adapter, json!({})).await?, Surroundings::default()),
        (None, None, Some(pasted)) => match paste::draft_of(&app, pasted).await {
            Ok((draft, notes)) => (draft, Surroundings { notes, ..Surroundings::default() }),
            Err(error) => return Ok(choose::reply(&app, &viewer, pasted, Some(error)).await?.into_response()),
        },
        (None, None, None) => return Ok(choose::reply(&app, &viewer, "", None).await?.into_response()),
    };
    let shown = preview(&app, actor, &draft, false).await;
    Ok(Editor::load(&app, actor, &draft, shown, around).await?.reply(&viewer).into_response())
}

/// The draft of a form: of its template or of its adapter.
async fn draft_of(app: &App, pairs: &Pairs) -> Result<Draft, Error> {
    let draft = match pairs.get("template") {
        "" => Draft::of_adapter(app, pairs.get("adapter"), json!({})).await?,
        id => Draft::of_template(app, id).await?,
    };
    Ok(draft.entered(pairs))
}

async fn preview(app: &App, actor: Actor, draft: &Draft, send: bool) -> Result<Preview, Error> {
    let new = draft.new_postback(app, actor, true).await?;
    postbacks::preview_new(app, actor, new, PreviewOptions { event_id: draft.event, send, click: draft.test_click() })
        .await
}

/// `POST /postbacks/new/preview`: what the form would do. A script asks for a part of the page.
pub async fn look(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    headers: HeaderMap,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let pairs = Pairs(fields);
    if pairs.get("do") == "paste" {
        let pasted = pairs.get("url");
        return match paste::draft_of(&app, pasted).await {
            Ok((draft, notes)) => {
                let shown = preview(&app, actor, &draft, false).await;
                let around = Surroundings { notes, ..Surroundings::default() };
                Ok(Editor::load(&app, actor, &draft, shown, around).await?.reply(&viewer).into_response())
            }
            Err(error) => Ok(choose::reply(&app, &viewer, pasted, Some(error)).await?.into_response()),
        };
    }
    let draft = draft_of(&app, &pairs).await?;
    let is_send = pairs.get("do") == "test";
    let shown = match pairs.get("do") {
        "estimate" => None,
        _ => Some(preview(&app, actor, &draft, is_send).await),
    };
    Ok(looked(&app, &viewer, actor, &draft, &pairs, &headers, shown).await?)
}

/// The answer to a look at a draft: a part for a script, otherwise the page. `shown` is `None` to count.
pub(super) async fn looked(
    app: &App,
    viewer: &Viewer,
    actor: Actor,
    draft: &Draft,
    pairs: &Pairs,
    headers: &HeaderMap,
    shown: Option<Result<Preview, Error>>,
) -> Result<Response, Error> {
    let is_part = headers.contains_key("hx-request");
    let title = || text("editor.preview");
    let word = pairs.get("do");
    let Some(shown) = shown else {
        let estimate = estimate(app, actor, draft).await;
        if is_part {
            let path = draft.look_path();
            return Ok(viewer.page(title(), EstimatePart { estimate, path }).into_response());
        }
        let around = Surroundings { estimate: Some(estimate), ..Surroundings::default() };
        let shown = preview_of(app, actor, draft).await;
        return Ok(Editor::load(app, actor, draft, shown, around).await?.reply(viewer).into_response());
    };
    if word == "test" {
        let test = match shown {
            Ok(preview) => TestCard::of_preview(preview, draft.shown_config()),
            Err(error) => TestCard::refused(error),
        };
        if is_part {
            return Ok(viewer.page(title(), TestPart { test }).into_response());
        }
        let around = Surroundings { test, ..Surroundings::default() };
        let shown = preview_of(app, actor, draft).await;
        return Ok(Editor::load(app, actor, draft, shown, around).await?.reply(viewer).into_response());
    }
    if is_part {
        let events = events_of(app, actor, draft).await?;
        let sentence = match draft.rule.rule(app, actor).await {
            Ok((rule, _)) => Some(rule::sentence(app, actor, &rule).await?),
            Err(_) => None,
        };
        let preview = PreviewCard::new(draft, &events, shown);
        return Ok(viewer.page(title(), PreviewPart { preview, sentence }).into_response());
    }
    let problem = shown.as_ref().err().cloned().map(Problem::from).filter(|_| word != "rows");
    let around = Surroundings { problem, ..Surroundings::default() };
    Ok(Editor::load(app, actor, draft, shown, around).await?.reply(viewer).into_response())
}

/// The preview of a new postback or of a change.
async fn preview_of(app: &App, actor: Actor, draft: &Draft) -> Result<Preview, Error> {
    match &draft.saved {
        None => preview(app, actor, draft, false).await,
        Some(_) => draft.preview_change(app, actor, false).await,
    }
}

/// How a button saves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Saving {
    On,
    Off,
    Unverified,
}

impl Saving {
    pub(super) fn of(pairs: &Pairs) -> Self {
        match pairs.get("do") {
            "off" => Self::Off,
            "unverified" => Self::Unverified,
            _ => Self::On,
        }
    }

    pub(super) fn is_enabled(self) -> bool {
        self != Self::Off
    }

    /// Switched off or after the person read the answer, a postback is saved without being accepted.
    pub(super) fn terms(self, draft: &Draft) -> TestTerms {
        let acceptance = if self == Self::On { Acceptance::Required } else { Acceptance::Optional };
        TestTerms { acceptance, click: draft.test_click() }
    }
}

/// The page after a postback was saved.
pub(super) fn saved_path(id: impl std::fmt::Display, done: &str) -> String {
    let edit = if has_page("/postbacks/{id}") { "" } else { "/edit" };
    format!("/postbacks/{id}{edit}?done={done}")
}

/// The page of a draft that was not saved, with the reason.
pub(super) async fn not_saved(
    app: &App,
    viewer: &Viewer,
    actor: Actor,
    draft: &Draft,
    error: Error,
) -> Result<Response, Error> {
    let test = match &error {
        Error::VerificationFailed(verification) => TestCard::answered((**verification).clone()),
        _ => TestCard::default(),
    };
    let problem = Problem::from(error);
    let shown = preview_of(app, actor, draft).await;
    let around = Surroundings { test, problem: Some(problem.clone()), ..Surroundings::default() };
    let page = Editor::load(app, actor, draft, shown, around).await?.reply(viewer);
    Ok(page.status_of(&problem).into_response())
}

/// `POST /postbacks/new`
pub async fn create(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(fields): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let pairs = Pairs(fields);
    let draft = draft_of(&app, &pairs).await?;
    let saving = Saving::of(&pairs);
    let creating = async {
        let new = draft.new_postback(&app, actor, saving.is_enabled()).await?;
        postbacks::create_with(&app, actor, new, &saving.terms(&draft)).await
    };
    match creating.await {
        Ok(created) => Ok(form::created(created.id, &saved_path(created.id, "created"))),
        Err(error) => Ok(not_saved(&app, &viewer, actor, &draft, error).await?),
    }
}
