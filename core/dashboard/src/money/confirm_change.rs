//! `/confirm-change/{token}`: a link from a message confirms a change of payout details. The GET changes nothing.

use axum::extract::{Path, State};
use engine::app::App;
use engine::money::payout_details::{self, Proposal};
use serde::Serialize;
use web::auth::RequestClient;
use web::errors::Problem;

use crate::shell::page::{Message, Page, Reply};
use crate::shell::problem::refused;
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// A change that is not confirmed yet.
#[derive(Debug, Serialize)]
pub struct ConfirmChange {
    affiliate: String,
    method: String,
    /// The details are removed, not set.
    removes: bool,
    details: Vec<Detail>,
}

#[derive(Debug, Serialize)]
struct Detail {
    label: String,
    value: String,
}

impl ConfirmChange {
    fn of(proposal: Proposal) -> Self {
        let Proposal { affiliate, method, removes, details } = proposal;
        let details = details.into_iter().map(|(label, value)| Detail { label, value }).collect();
        Self { affiliate, method, removes, details }
    }
}

impl Page for ConfirmChange {
    const TEMPLATE: &'static str = "money/confirm_change";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let sample = |removes| Self {
            affiliate: "Ann <b>& Co".into(),
            method: "SEPA transfer".into(),
            removes,
            details: vec![Detail { label: "IBAN".into(), value: "DE•• •••• 3000".into() }],
        };
        vec![sample(false), sample(true)]
    }
}

/// `GET /confirm-change/{token}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path(token): Path<String>,
) -> Result<Reply<ConfirmChange>, Reply<Message>> {
    match payout_details::change_of_link(&app, &token).await {
        Ok(proposal) => Ok(viewer.entry(text("confirm_change.title"), ConfirmChange::of(proposal))),
        Err(error) => Err(viewer.entry(text("entry.link_used"), Message::default()).alert(&error.into())),
    }
}

/// `POST /confirm-change/{token}`
pub async fn confirm(
    State(app): State<App>,
    viewer: Viewer,
    RequestClient(visitor): RequestClient,
    Path(token): Path<String>,
) -> Reply<Message> {
    match payout_details::confirm(&app, &visitor, &token).await {
        Ok(()) => viewer.entry(text("confirm_change.done_title"), Message::new("confirm_change.done")),
        Err(error) => refused(&viewer, &Problem::from(error)),
    }
}
