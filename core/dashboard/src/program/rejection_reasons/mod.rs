//! `/rejection-reasons`: the catalogue of reasons, the form for another one, and the words of networks that are not in it.

pub mod reason;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::people::actor::Actor;
use domain::people::permission::Permission;
use domain::program::rejection_reason::{CODE_MAX_CHARS, RejectionReason, TEXT_MAX_CHARS};
use engine::Error;
use engine::app::App;
use engine::program::rejection_reasons::{self, UnlistedWords};
use serde::{Deserialize, Serialize};
use web::api::program::rejection_reasons::RejectionReasonIn;
use web::auth::Caller;
use web::errors::Problem;

use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct RejectionReasons {
    rows: Vec<Row>,
    may_change: bool,
    form: Form,
    unlisted: Vec<Unlisted>,
    /// Among how many conversions words were looked for.
    examined: Option<Text>,
}

#[derive(Debug, Serialize)]
struct Row {
    code: String,
    text: String,
    status: ShownStatus,
}

/// A word of networks, and how many conversions have it.
#[derive(Debug, Serialize)]
struct Unlisted {
    word: String,
    count: Text,
    url: String,
}

impl Row {
    fn new(reason: &RejectionReason) -> Self {
        Self { code: reason.code.clone(), text: reason.text.clone(), status: status_of(reason) }
    }
}

fn status_of(reason: &RejectionReason) -> ShownStatus {
    match reason.is_offered() {
        true => ShownStatus::of("ok", "circle-check", "reasons.offered"),
        false => ShownStatus::of("off", "circle-slash", "reasons.retired"),
    }
}

/// What the form for another reason sends.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NewReason {
    code: String,
    text: String,
}

impl NewReason {
    fn form(&self) -> Form {
        let code = Field::text("code", "reasons.code").value(&self.code).help("reasons.code_help");
        let text = Field::text("text", "reasons.text").value(&self.text).help("reasons.text_help");
        Form::new([
            code.length(None, CODE_MAX_CHARS as u32).required(),
            text.length(None, TEXT_MAX_CHARS as u32).required(),
        ])
    }
}

impl RejectionReasons {
    async fn load(app: &App, actor: Actor, typed: &NewReason) -> Result<Self, Error> {
        let catalogue = rejection_reasons::catalogue(app).await?;
        let unlisted = match actor.is_staff() {
            true => Some(rejection_reasons::unlisted(app, &catalogue).await?),
            false => None,
        };
        let rows = catalogue.all().iter().map(Row::new).collect();
        Ok(Self::new(rows, actor.may(Permission::ManageSettings), typed, unlisted))
    }

    fn new(rows: Vec<Row>, may_change: bool, typed: &NewReason, unlisted: Option<UnlistedWords>) -> Self {
        let examined = unlisted.as_ref().filter(|it| !it.words.is_empty());
        let examined = examined.map(|it| text("reasons.examined").count("count", it.examined as u64));
        let words = unlisted.map(|it| it.words).unwrap_or_default();
        let words = words.into_iter().map(|(word, count)| Unlisted {
            url: "/conversions?status=rejected".to_owned(),
            word,
            count: text("reasons.times").count("count", count as u64),
        });
        Self { rows, may_change, form: typed.form(), unlisted: words.collect(), examined }
    }
}

impl Page for RejectionReasons {
    const TEMPLATE: &'static str = "program/rejection_reasons";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::timestamp::Timestamp;

        let at = Timestamp::from_millis(0);
        let reason = |code: &str, retired_at| RejectionReason {
            code: code.into(),
            text: "Signs of <b> fraud.".into(),
            retired_at,
            created_at: at,
            updated_at: at,
        };
        let rows = || vec![Row::new(&reason("fraud", None)), Row::new(&reason("old", Some(at)))];
        let unlisted = UnlistedWords { words: vec![("declined <b>".into(), 3)], examined: 20 };
        let typed = NewReason { code: "late".into(), text: "Too <b> late.".into() };
        vec![
            Self::new(rows(), true, &typed, Some(unlisted)),
            Self::new(rows(), false, &NewReason::default(), None),
            Self::new(Vec::new(), true, &NewReason::default(), None),
        ]
    }
}

fn reply(viewer: &Viewer, page: RejectionReasons) -> Reply<RejectionReasons> {
    viewer.page(text("nav.rejection_reasons"), page).lead(text("reasons.lead"))
}

/// The action that redirected here.
#[derive(Deserialize)]
pub struct Redirected {
    done: Option<String>,
}

/// `GET /rejection-reasons`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Query(from): Query<Redirected>,
) -> Result<Reply<RejectionReasons>, Problem> {
    let page = RejectionReasons::load(&app, actor, &NewReason::default()).await?;
    let reply = reply(&viewer, page);
    Ok(match from.done.as_deref() {
        Some("created") => reply.notice(text("reasons.created")),
        Some("saved") => reply.notice(text("account.saved")),
        _ => reply,
    })
}

/// `POST /rejection-reasons`
pub async fn create(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(typed): Fields<NewReason>,
) -> Result<Response, Problem> {
    let creating = async {
        let (code, text) = RejectionReasonIn::read(&typed.code, &typed.text)?;
        rejection_reasons::create(&app, code, text).await
    };
    let error = match creating.await {
        Ok(_) => return Ok(Redirect::to("/rejection-reasons?done=created").into_response()),
        Err(error) => error,
    };
    let problem = Problem::from(error);
    let mut page = RejectionReasons::load(&app, actor, &typed).await?;
    let is_shown = page.form.refuse(&problem);
    Ok(reply(&viewer, page).refused(&problem, is_shown).into_response())
}
