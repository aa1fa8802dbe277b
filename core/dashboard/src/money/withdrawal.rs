//! `/withdrawals/{id}`: the progress of a withdrawal, where it goes, and what to do next.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::amounts::Money;
use domain::ids::WithdrawalId;
use domain::money::payout_method::PayoutMethod;
use domain::money::withdrawal::{Status, Withdrawal};
use domain::people::actor::Actor;
use domain::people::changes::of_word;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::{payout_methods, withdrawals};
use serde::{Deserialize, Serialize};
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::{joined, may_request};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::templates::Sum;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct WithdrawalPage {
    id: String,
    status: ShownStatus,
    progress: Progress,
    method: String,
    details: Vec<Detail>,
    processing_time: String,
    affiliate: Option<String>,
    history: Vec<HistoryStep>,
    can_cancel: bool,
    /// The money came back, and the affiliate can ask again.
    can_ask_again: bool,
}

#[derive(Debug, Serialize)]
struct Detail {
    name: String,
    value: String,
}

#[derive(Debug, Serialize)]
struct HistoryStep {
    status: Text,
    at: Timestamp,
    by: Text,
    note: Option<String>,
}

/// How far a withdrawal is: `parts/progress` shows it.
#[derive(Debug, Serialize)]
pub struct Progress {
    id: String,
    status: ShownStatus,
    net: Sum,
    amount: Sum,
    fee: Sum,
    details: String,
    stages: Vec<Stage>,
    /// What the reader should know about its state.
    note: StateNote,
}

/// A stage: `done`, `now`, `next`, or `bad` if the withdrawal ended there.
#[derive(Debug, Serialize)]
struct Stage {
    kind: &'static str,
    icon: Option<&'static str>,
    name: Text,
    at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct StateNote {
    kind: &'static str,
    icon: &'static str,
    role: &'static str,
    text: Text,
}

impl Progress {
    pub fn of(withdrawal: &Withdrawal) -> Self {
        let sum = |money: Money| Sum::new(money.micros.into(), money.currency);
        Self {
            id: withdrawal.id.to_string(),
            status: ShownStatus::from(&withdrawal.status),
            net: sum(withdrawal.net()),
            amount: sum(withdrawal.amount),
            fee: sum(withdrawal.fee),
            details: joined(&withdrawal.masked_details),
            stages: stages(withdrawal),
            note: note(withdrawal),
        }
    }
}

/// The stages that are over, then those that follow.
fn stages(withdrawal: &Withdrawal) -> Vec<Stage> {
    let named = |word: &str| text(&format!("withdrawal.{word}"));
    let mut stages: Vec<_> = withdrawal
        .history
        .iter()
        .map(|step| {
            let came_back = !matches!(step.status.as_str(), "requested" | "approved" | "paid");
            let (kind, icon) = if came_back { ("bad", "x") } else { ("done", "check") };
            Stage { kind, icon: Some(icon), name: named(&step.status), at: Some(step.at) }
        })
        .collect();
    let following: &[&str] = match withdrawal.status {
        Status::Requested => &["approved", "paid"],
        Status::Approved => &["paid"],
        _ => &[],
    };
    stages.extend(following.iter().enumerate().map(|(at, word)| {
        let kind = if at == 0 { "now" } else { "next" };
        Stage { kind, icon: None, name: named(word), at: None }
    }));
    stages
}

fn note(withdrawal: &Withdrawal) -> StateNote {
    let (kind, icon, text) = match &withdrawal.status {
        Status::Requested => ("info", "clock", text("withdrawal_page.requested")),
        Status::Approved => ("info", "info", text("withdrawal_page.approved")),
        Status::Paid { reference } => ("ok", "circle-check", text("withdrawal_page.paid").with("reference", reference)),
        Status::Refused { reason } => ("bad", "circle-x", text("withdrawal_page.refused").with("reason", reason)),
        Status::Failed { reason } => ("bad", "circle-x", text("withdrawal_page.failed").with("reason", reason)),
        Status::Returned { reason } => ("bad", "undo-2", text("withdrawal_page.returned").with("reason", reason)),
        Status::Cancelled => ("info", "circle-slash", text("withdrawal_page.cancelled")),
    };
    StateNote { kind, icon, role: "note", text }
}

/// The name of a method, or its id if it is disabled or deleted.
pub fn method_name(methods: &[PayoutMethod], id: &str) -> String {
    methods.iter().find(|it| it.id == id).map_or_else(|| id.to_owned(), |it| it.name.clone())
}

impl WithdrawalPage {
    fn of(actor: Actor, withdrawal: &Withdrawal, methods: &[PayoutMethod], affiliate: Option<String>) -> Self {
        let method = methods.iter().find(|it| it.id == withdrawal.method);
        let label = |name: &str| {
            let title = method.and_then(|it| it.schema["properties"][name]["title"].as_str());
            title.map_or_else(|| name.replace('_', " "), str::to_owned)
        };
        let details = withdrawal.masked_details.iter();
        let details = details.map(|(name, value)| Detail { name: label(name), value: value.clone() });
        let can_ask_again = may_request(actor) && !actor.is_staff();
        let came_back = withdrawal.status.settles() && !matches!(withdrawal.status, Status::Paid { .. });
        Self {
            id: withdrawal.id.to_string(),
            status: ShownStatus::from(&withdrawal.status),
            progress: Progress::of(withdrawal),
            method: method_name(methods, &withdrawal.method),
            details: details.collect(),
            processing_time: method.map(|it| it.processing_time.clone()).unwrap_or_default(),
            affiliate,
            history: history(actor, withdrawal),
            can_cancel: may_request(actor) && withdrawal.status == Status::Requested,
            can_ask_again: can_ask_again && came_back,
        }
    }
}

/// The steps. An affiliate does not see which of the program's people did one.
fn history(actor: Actor, withdrawal: &Withdrawal) -> Vec<HistoryStep> {
    let requested_by = withdrawal.history.first().map(|step| step.by.as_str()).unwrap_or_default();
    let by = |by: &str| match actor.is_staff() {
        true => plain(by),
        false if by == actor.name() || by == requested_by => text("withdrawal_page.by_you"),
        false => text("withdrawal_page.by_program"),
    };
    let step = |step: &domain::money::withdrawal::Step| HistoryStep {
        status: text(&format!("withdrawal.{}", step.status)),
        at: step.at,
        by: by(&step.by),
        note: step.note.clone(),
    };
    withdrawal.history.iter().map(step).collect()
}

/// The action that redirected here: `requested` or `cancelled`.
#[derive(Deserialize)]
pub struct Redirected {
    done: Option<String>,
}

async fn load(app: &App, viewer: &Viewer, actor: Actor, id: WithdrawalId) -> Result<Reply<WithdrawalPage>, Error> {
    let withdrawal = withdrawals::get(app, actor, id).await?.withdrawal;
    let methods = payout_methods::list(app, actor).await?;
    let affiliate = match actor.is_staff() {
        true => app.catalog.affiliate(withdrawal.affiliate_id).await?.map(|it| it.name.clone()),
        false => None,
    };
    let title = text("withdrawal_page.title").money("amount", withdrawal.amount);
    let page = WithdrawalPage::of(actor, &withdrawal, &methods, affiliate);
    Ok(viewer.page(title, page).below("/withdrawals", text("nav.withdrawals")))
}

/// `GET /withdrawals/{id}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
    Query(from): Query<Redirected>,
) -> Result<Reply<WithdrawalPage>, Problem> {
    let page = load(&app, &viewer, actor, id).await?;
    Ok(match from.done.as_deref() {
        Some("requested") => page.notice(text("withdrawal_page.done_requested")),
        Some("cancelled") => page.notice(text("withdrawal_page.done_cancelled")),
        _ => page,
    })
}

/// `POST /withdrawals/{id}/cancel`
pub async fn cancel(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<WithdrawalId>,
) -> Result<Response, Problem> {
    match withdrawals::return_to_balance(&app, actor, id, Status::Cancelled).await {
        Ok(changed) => {
            let before = changed.before.as_ref().map_or("", |before| before.withdrawal.status.word());
            let step = of_word("status", before, changed.now.withdrawal.status.word());
            let to = Redirect::to(&format!("/withdrawals/{id}?done=cancelled"));
            Ok((AuditedChanges::many(step), to).into_response())
        }
        // It was approved meanwhile: the page shows its present state.
        Err(error @ Error::Step(_)) => Ok(load(&app, &viewer, actor, id).await?.alert(&error.into()).into_response()),
        Err(error) => Err(error.into()),
    }
}

impl Page for WithdrawalPage {
    const TEMPLATE: &'static str = "money/withdrawal";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let of = |it: &Withdrawal| Self::of(Actor::bootstrap(), it, &[], Some("Ada <b>".into()));
        let mut samples: Vec<_> = samples::all().iter().map(of).collect();
        samples[0].can_cancel = true;
        samples[3].can_ask_again = true;
        samples[3].affiliate = None;
        samples[4].processing_time = "2 days".into();
        samples
    }
}

#[cfg(test)]
pub mod samples {
    use domain::ids::AffiliateId;
    use domain::money::withdrawal::Step;

    use super::*;

    /// A withdrawal in each status.
    pub fn all() -> Vec<Withdrawal> {
        let why = || "closed <b>".to_owned();
        let paid = Status::Paid { reference: "TX-<b>".into() };
        vec![
            with(&[Status::Requested]),
            with(&[Status::Requested, Status::Approved]),
            with(&[Status::Requested, Status::Approved, paid.clone()]),
            with(&[Status::Requested, Status::Refused { reason: why() }]),
            with(&[Status::Requested, Status::Approved, Status::Failed { reason: why() }]),
            with(&[Status::Requested, Status::Approved, paid, Status::Returned { reason: why() }]),
            with(&[Status::Requested, Status::Cancelled]),
        ]
    }

    fn with(steps: &[Status]) -> Withdrawal {
        let at = Timestamp::from_millis(1_763_647_000_000);
        let usd = |micros| Money { micros, currency: "USD".parse().expect("a currency") };
        let step = |status: &Status| Step {
            status: status.word().to_owned(),
            at,
            by: "usr_<b>".into(),
            note: status.note().map(str::to_owned),
        };
        Withdrawal {
            id: WithdrawalId::new(at),
            affiliate_id: AffiliateId::new(at),
            method: "sepa".into(),
            amount: usd(300_000_000),
            fee: usd(1_000_000),
            requested_all: false,
            status: steps.last().expect("a step").clone(),
            history: steps.iter().map(step).collect(),
            sealed_details: String::new(),
            masked_details: [("iban".to_owned(), "DE•• <b>".to_owned())].into(),
            details_changed_at: at,
            batch_id: None,
            accepted_debt: usd(0),
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn the_stages_are_those_that_were_and_those_that_follow() {
        let kinds: Vec<Vec<_>> = all().iter().map(|it| stages(it).iter().map(|stage| stage.kind).collect()).collect();
        assert_eq!(kinds[0], ["done", "now", "next"]);
        assert_eq!(kinds[1], ["done", "done", "now"]);
        assert_eq!(kinds[2], ["done", "done", "done"]);
        assert_eq!(kinds[4], ["done", "done", "bad"]);
    }
}
