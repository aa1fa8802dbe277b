//! `/` of staff: what waits for a decision, the figures of the program, its last conversions, and warnings for the operator.

use axum::http::Uri;
use domain::delivery::postback::Status;
use domain::inbound::notification::Outcome;
use domain::people::actor::Actor;
use domain::people::permission::Permission;
use engine::Error;
use engine::app::App;
use engine::delivery::postbacks;
use engine::inbound::requests;
use engine::money::withdrawals;
use engine::tracking::conversions;
use serde::Serialize;
use storage::base::page::PageRequest;
use web::errors::Problem;

use super::dashboard::figures::{self, Figures, Headlines};
use super::dashboard::{CONVERSIONS, days_of, periods};
use crate::parts::list::{Choice, ListUrl};
use crate::reports::if_computed;
use crate::shell::page::{Page, Reply};
use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::{Person, Viewer};
use crate::tracking::rows::{self, ConversionRow, PostbackNames};

/// More are not counted, because a count would read all of them.
const COUNTED_AT_MOST: u64 = 50;

/// The start page of staff.
#[derive(Debug, Serialize)]
pub struct Overview {
    periods: Vec<Choice>,
    /// Conditions that the operator should fix.
    warnings: Vec<Text>,
    tasks: Vec<Task>,
    /// `None` if the report could not be made; the rest of the page stays.
    figures: Option<Figures>,
    conversions: Vec<ConversionRow>,
}

/// What waits for a decision.
#[derive(Debug, Serialize)]
struct Task {
    icon: &'static str,
    title: Text,
    detail: Text,
    /// The number, or `50+`.
    count: String,
    url: &'static str,
}

impl Task {
    fn new(icon: &'static str, key: &str, count: usize, url: &'static str) -> Option<Self> {
        let most = usize::try_from(COUNTED_AT_MOST).unwrap_or(usize::MAX);
        (count > 0).then(|| Self {
            icon,
            title: text(&format!("overview.{key}")),
            detail: text(&format!("overview.{key}_help")),
            count: if count > most { format!("{most}+") } else { count.to_string() },
            url,
        })
    }
}

impl Page for Overview {
    const TEMPLATE: &'static str = "program/overview";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let choice = |current| Choice { url: "/?days=7".into(), name: text("home.days").count("count", 7), current };
        let keys = ["conversions", "withdrawals", "postbacks", "notifications"];
        let full = Self {
            periods: vec![choice(true), choice(false)],
            warnings: vec![plain("The disk is almost full.")],
            tasks: keys.into_iter().filter_map(|key| Task::new("badge-check", key, 51, "/conversions")).collect(),
            figures: Some(Figures::sample()),
            conversions: ConversionRow::samples(),
        };
        let empty = Self {
            periods: vec![choice(true)],
            warnings: Vec::new(),
            tasks: Vec::new(),
            figures: None,
            conversions: Vec::new(),
        };
        vec![full, empty]
    }
}

/// The page of staff.
pub async fn show(
    app: &App,
    viewer: &Viewer,
    actor: Actor,
    person: &Person,
    uri: &Uri,
) -> Result<Reply<Overview>, Problem> {
    let url = ListUrl::of(uri);
    let days = days_of(&url);
    let figures = if_computed(figures::load(app, viewer, actor, days, Headlines::OfProgram).await)?;
    let sees_warnings = actor.may(Permission::ManageSettings);
    let warnings = if sees_warnings { app.warnings.list(app.clock.now()) } else { Vec::new() };
    let newest = conversions::list(app, actor, Default::default(), PageRequest::first(CONVERSIONS)).await?.items;
    let page = Overview {
        periods: periods(&url, days),
        warnings: warnings.iter().map(|it| plain(as_sentence(&it.sentence))).collect(),
        tasks: tasks(app, actor).await?,
        figures,
        conversions: rows::load(app, actor, newest, &PostbackNames::load(app, actor).await?).await?,
    };
    let heading = text("home.greeting").with("name", person.name());
    Ok(viewer.page(text("nav.overview"), page).heading(heading))
}

/// What the reader may decide.
async fn tasks(app: &App, actor: Actor) -> Result<Vec<Task>, Error> {
    let counted = PageRequest::first(COUNTED_AT_MOST + 1);
    let mut tasks = Vec::new();
    if actor.may(Permission::ManageConversions) {
        let pending =
            storage::tracking::conversions::Filter { status: Some("pending"), test: Some(false), ..Default::default() };
        let pending = conversions::list(app, actor, pending, counted).await?.items.len();
        tasks.extend(Task::new("badge-check", "conversions", pending, "/conversions?status=pending"));
    }
    if actor.may(Permission::PayWithdrawals) {
        let requested = storage::money::withdrawals::Filter { status: Some("requested".into()), ..Default::default() };
        let requested = withdrawals::list(app, actor, requested, counted).await?.items.len();
        tasks.extend(Task::new("landmark", "withdrawals", requested, "/withdrawals?status=requested"));
    }
    if actor.may(Permission::ManagePostbacks) {
        let awaiting =
            storage::delivery::postbacks::Filter { status: Some(Status::AwaitingApproval), ..Default::default() };
        let awaiting = postbacks::list_with_activity(app, actor, awaiting, counted).await?.items.len();
        tasks.extend(Task::new("send", "postbacks", awaiting, "/postbacks?status=awaiting_approval"));
    }
    if actor.may(Permission::ManageSources) {
        let waiting =
            storage::inbound::inbound_requests::Filter { outcome: Some(Outcome::Waiting), ..Default::default() };
        let waiting = requests::list(app, actor, waiting, counted).await?.items.len();
        tasks.extend(Task::new("inbox", "notifications", waiting, "/inbound-requests?outcome=waiting"));
    }
    Ok(tasks)
}
