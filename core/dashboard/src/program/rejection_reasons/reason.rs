//! `/rejection-reasons/{code}`: the text of a reason, and whether it is offered.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::program::rejection_reason::{RejectionReason, TEXT_MAX_CHARS};
use engine::Error;
use engine::app::App;
use engine::program::rejection_reasons;
use serde::{Deserialize, Serialize};
use web::api::program::rejection_reasons::{RejectionReasonChangeIn, RejectionReasonOut};
use web::audit::AuditedChanges;
use web::errors::Problem;

use super::status_of;
use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{plain, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct ReasonPage {
    /// The code, as `parts/object` names it.
    id: String,
    status: ShownStatus,
    form: Form,
}

impl ReasonPage {
    fn new(reason: &RejectionReason, typed: &ReasonForm) -> Self {
        let field = Field::text("text", "reasons.text").value(&typed.text).help("reasons.text_help");
        let retired = Field::checkbox("retired", "reasons.retire", typed.retired.is_some());
        let form = Form::new([field.length(None, TEXT_MAX_CHARS as u32).required(), retired]);
        Self { id: reason.code.clone(), status: status_of(reason), form }
    }
}

impl Page for ReasonPage {
    const TEMPLATE: &'static str = "program/rejection_reason";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let at = domain::timestamp::Timestamp::from_millis(0);
        let reason = RejectionReason {
            code: "fraud".into(),
            text: String::new(),
            retired_at: None,
            created_at: at,
            updated_at: at,
        };
        vec![Self::new(&reason, &ReasonForm { text: "Signs of <b> fraud.".into(), retired: Some("yes".into()) })]
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct ReasonForm {
    text: String,
    /// Present if the box is checked.
    retired: Option<String>,
}

async fn find(app: &App, code: &str) -> Result<RejectionReason, Error> {
    let catalogue = rejection_reasons::catalogue(app).await?;
    let found = catalogue.all().iter().find(|it| it.code == code).cloned();
    found.ok_or_else(|| Error::not_found("rejection reason", code))
}

fn reply(viewer: &Viewer, page: ReasonPage) -> Reply<ReasonPage> {
    let title = plain(&page.id);
    viewer.page(title, page).below("/rejection-reasons", text("nav.rejection_reasons"))
}

/// `GET /rejection-reasons/{code}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path(code): Path<String>,
) -> Result<Reply<ReasonPage>, Problem> {
    let reason = find(&app, &code).await?;
    let retired = reason.retired_at.map(|_| "yes".to_owned());
    let typed = ReasonForm { text: reason.text.clone(), retired };
    Ok(reply(&viewer, ReasonPage::new(&reason, &typed)))
}

/// `POST /rejection-reasons/{code}`
pub async fn save(
    State(app): State<App>,
    viewer: Viewer,
    Path(code): Path<String>,
    Fields(typed): Fields<ReasonForm>,
) -> Result<Response, Problem> {
    let edit = |_: &RejectionReason| RejectionReasonChangeIn::read(&typed.text, typed.retired.is_some());
    match rejection_reasons::change(&app, &code, edit).await {
        Ok(changed) => {
            let changes = AuditedChanges::many(changed.map(RejectionReasonOut::from).fields());
            Ok((changes, Redirect::to("/rejection-reasons?done=saved")).into_response())
        }
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => {
            let problem = Problem::from(error);
            let mut page = ReasonPage::new(&find(&app, &code).await?, &typed);
            let is_shown = page.form.refuse(&problem);
            Ok(reply(&viewer, page).refused(&problem, is_shown).into_response())
        }
    }
}
