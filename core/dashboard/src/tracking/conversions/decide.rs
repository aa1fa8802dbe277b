//! `/conversions/decide`: what approving or rejecting the chosen conversions would change, and the form that does it.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::ids::ConversionId;
use domain::people::actor::Actor;
use domain::program::rejection_reason::NOTE_MAX_CHARS;
use engine::Error;
use engine::app::App;
use engine::program::rejection_reasons;
use engine::tracking::conversions::{self, Decision};
use serde::Serialize;
use web::api::tracking::conversion_decisions::{Answers, IDS_MAX, changes_of, rejection};
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;

use crate::form::Fields;
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::sentence::sentence;
use crate::shell::templates::Sum;
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;
use crate::tracking::rows::offer_name;

#[derive(Debug, Serialize)]
pub struct Decide {
    is_approval: bool,
    action: &'static str,
    /// The conversions that would change.
    rows: Vec<Row>,
    unchanged: Option<Text>,
    /// What happens to the books, in each currency.
    effects: Vec<Effect>,
    reasons: Vec<Reason>,
    reason_error: Option<Text>,
    note: String,
    note_error: Option<Text>,
    note_max: usize,
    button: Text,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    transaction_id: String,
    affiliate: String,
    offer: String,
    status: ShownStatus,
    payout: Option<Sum>,
    /// Why it could not be changed.
    error: Option<Text>,
}

#[derive(Debug, Serialize)]
struct Effect {
    sum: Sum,
}

#[derive(Debug, Serialize)]
struct Reason {
    code: String,
    text: String,
    checked: bool,
}

/// What the pages and forms of a decision say: the conversions, and for a rejection the reason.
#[derive(Clone, Debug, Default)]
struct Asked {
    ids: Vec<ConversionId>,
    is_approval: bool,
    reason: String,
    note: String,
}

impl Asked {
    /// Boxes of several conversions have the same name.
    fn read(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, Problem> {
        let mut asked = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "id" => asked.ids.push(value.parse().map_err(|error: domain::ids::InvalidId| {
                    Problem::bad_request("invalid_parameter", format!("id: {error}"))
                })?),
                "decision" => asked.is_approval = value == "approve",
                "reason" => asked.reason = value,
                "note" => asked.note = value,
                _ => {}
            }
        }
        asked.ids.truncate(IDS_MAX);
        Ok(asked)
    }

    fn decision(&self) -> Result<Decision, Error> {
        match self.is_approval {
            true => Ok(Decision::Approve),
            false => rejection(&self.reason, Some(self.note.clone())).map(Decision::Reject),
        }
    }
}

impl Decide {
    async fn load(app: &App, actor: Actor, asked: &Asked) -> Result<Self, Error> {
        let effects = conversions::effects(app, actor, &asked.ids, asked.is_approval).await?;
        let catalogue = rejection_reasons::catalogue(app).await?;
        let mut rows = Vec::with_capacity(effects.changing.len());
        for conversion in &effects.changing {
            let affiliate = app.catalog.affiliate(conversion.affiliate_id).await?;
            rows.push(Row {
                id: conversion.id.to_string(),
                transaction_id: conversion.transaction_id.clone(),
                affiliate: affiliate.map(|it| it.name.clone()).unwrap_or_default(),
                offer: offer_name(app, conversion).await?,
                status: ShownStatus::from(&conversion.status),
                payout: conversion.payout.map(|it| Sum::new(it.micros.into(), it.currency)),
                error: None,
            });
        }
        let unchanged = effects.unchanged as u64;
        let mut page = Self::new(asked, rows);
        page.unchanged = (unchanged > 0).then(|| text("decide.unchanged").count("count", unchanged));
        page.effects =
            effects.payouts.into_iter().map(|(currency, micros)| Effect { sum: Sum::new(micros, currency) }).collect();
        page.reasons = catalogue
            .offered()
            .map(|it| Reason { checked: it.code == asked.reason, code: it.code.clone(), text: it.text.clone() })
            .collect();
        Ok(page)
    }

    fn new(asked: &Asked, rows: Vec<Row>) -> Self {
        let button = if asked.is_approval { "decide.approve_count" } else { "decide.reject_count" };
        Self {
            is_approval: asked.is_approval,
            action: if asked.is_approval { "/conversions/approve" } else { "/conversions/reject" },
            button: text(button).count("count", rows.len() as u64),
            rows,
            unchanged: None,
            effects: Vec::new(),
            reasons: Vec::new(),
            reason_error: None,
            note: asked.note.clone(),
            note_error: None,
            note_max: NOTE_MAX_CHARS,
        }
    }

    /// Shows a problem at its fields. Returns whether all of it is shown there.
    fn refuse(&mut self, problem: &Problem) -> bool {
        let mut shown = !problem.errors().is_empty();
        for issue in problem.errors() {
            match issue.path.as_str() {
                "/reason" if self.reasons.iter().all(|it| !it.checked) => {
                    self.reason_error = Some(text("decide.choose_reason"));
                }
                "/reason" => self.reason_error = Some(sentence(problem)),
                "/note" => self.note_error = Some(text("decide.note_too_long").count("count", NOTE_MAX_CHARS as u64)),
                _ => shown = false,
            }
        }
        shown
    }
}

impl Page for Decide {
    const TEMPLATE: &'static str = "tracking/decide";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use crate::shell::texts::plain;
        use domain::tracking::conversion::Status;

        let row = |error| Row {
            id: "cnv_06a5xk2m7q8r9stvwxyz012345".into(),
            transaction_id: "HM-<b>".into(),
            affiliate: "Ada <b>".into(),
            offer: "Harbor Pro".into(),
            status: ShownStatus::from(&Status::Pending),
            payout: Some(Sum::new(14_700_000, "USD".parse().expect("a currency"))),
            error,
        };
        let approval = Asked { is_approval: true, ..Asked::default() };
        let rejection = Asked { note: "<b>".into(), ..Asked::default() };
        let sum = || Sum::new(14_700_000, "USD".parse().expect("a currency"));
        let rejecting = Self {
            unchanged: Some(text("decide.unchanged").count("count", 2)),
            effects: vec![Effect { sum: sum() }],
            reasons: vec![Reason { code: "fraud".into(), text: "Signs of <b> fraud.".into(), checked: true }],
            reason_error: Some(text("decide.choose_reason")),
            note_error: Some(text("decide.note_too_long").count("count", 500)),
            ..Self::new(&rejection, vec![row(None), row(Some(plain("It is <b> rejected.")))])
        };
        vec![
            rejecting,
            Self::new(&rejection, vec![row(None)]),
            Self { effects: vec![Effect { sum: sum() }], ..Self::new(&approval, vec![row(None)]) },
            Self::new(&approval, Vec::new()),
        ]
    }
}

fn reply(viewer: &Viewer, page: Decide) -> Reply<Decide> {
    let title = if page.is_approval { "decide.approve_title" } else { "decide.reject_title" };
    let count = page.rows.len() as u64;
    viewer.page(text(title).count("count", count), page).below("/conversions", text("nav.conversions"))
}

/// `GET /conversions/decide`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Decide>, Problem> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let asked = Asked::read(pairs.into_owned())?;
    Ok(reply(&viewer, Decide::load(&app, actor, &asked).await?))
}

/// `POST /conversions/approve`
pub async fn approve(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(pairs): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let asked = Asked { is_approval: true, ..Asked::read(pairs)? };
    decide(&app, &viewer, actor, asked).await
}

/// `POST /conversions/reject`
pub async fn reject(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(pairs): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let asked = Asked { is_approval: false, ..Asked::read(pairs)? };
    decide(&app, &viewer, actor, asked).await
}

async fn decide(app: &App, viewer: &Viewer, actor: Actor, asked: Asked) -> Result<Response, Problem> {
    let deciding = async { conversions::decide_many(app, &asked.ids, asked.decision()?).await };
    match deciding.await {
        Ok(answers) => {
            let changes = AuditedChanges::many(changes_of(&answers));
            Ok((changes, decided(app, viewer, actor, &asked, answers).await?).into_response())
        }
        Err(error) => {
            let problem = Problem::from(error);
            let mut page = Decide::load(app, actor, &asked).await?;
            let is_shown = page.refuse(&problem);
            Ok(reply(viewer, page).refused(&problem, is_shown).into_response())
        }
    }
}

/// Leads to what was decided. If some conversions could not be changed, the page shows them with the reasons.
async fn decided(
    app: &App,
    viewer: &Viewer,
    actor: Actor,
    asked: &Asked,
    answers: Answers,
) -> Result<Response, Problem> {
    let failed: Vec<_> = answers.iter().filter(|(_, answer)| answer.is_err()).map(|(id, _)| *id).collect();
    let done = answers.len() - failed.len();
    if failed.is_empty() {
        let word = if asked.is_approval { "approved" } else { "rejected" };
        let to = match asked.ids.as_slice() {
            [only] => format!("/conversions/{only}?done={word}"),
            _ => format!("/conversions?status={word}&done={word}&count={done}"),
        };
        return Ok(Redirect::to(&to).into_response());
    }
    let again = Asked { ids: failed, ..asked.clone() };
    let mut page = Decide::load(app, actor, &again).await?;
    let errors = answers.into_iter().filter_map(|(id, answer)| Some((id, Problem::from(answer.err()?))));
    let errors: Vec<_> = errors.collect();
    for row in &mut page.rows {
        let error = errors.iter().find(|(id, _)| row.id == id.to_string());
        row.error = error.map(|(_, problem)| sentence(problem));
    }
    let reply = reply(viewer, page);
    let reply = if done > 0 { reply.notice(text("decide.some_done").count("count", done as u64)) } else { reply };
    let first = errors.into_iter().next().map(|(_, problem)| problem);
    Ok(match first {
        Some(problem) => reply.alert(&problem).into_response(),
        None => reply.into_response(),
    })
}
