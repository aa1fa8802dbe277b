//! `/postbacks`: the postbacks of an affiliate, or all of them for staff.

pub mod actions;
mod config;
mod filter;
pub mod postback;
mod rule;
pub mod settings;
pub mod versions;

use axum::extract::State;
use axum::http::Uri;
use domain::delivery::postback::Status;
use domain::people::actor::Actor;
use domain::people::permission::Permission::{ManageAffiliates, ManagePostbacks, ManageSettings};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::delivery::postbacks::{self, ListedPostback};
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::delivery::postbacks::Filter;
use web::auth::Caller;
use web::errors::Problem;

use crate::parts::list::{Filters, ListUrl, Pager, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;
use rule::{RuleText, ScopeNames, affiliate_name};

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct Postbacks {
    filters: Filters,
    is_filtered: bool,
    rows: Vec<Row>,
    pager: Pager,
    may_create: bool,
    /// The reader may change the setting of approval.
    may_set: bool,
    /// Some postbacks await approval, and the reader can approve them.
    some_await: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    version: i32,
    name: String,
    owner: Text,
    rule: RuleText,
    status: ShownStatus,
    /// Why it is not live.
    reason: Option<String>,
    last: Option<Last>,
    recent: Recent,
    can_approve: bool,
}

/// The last delivery.
#[derive(Clone, Debug, Serialize)]
struct Last {
    id: String,
    at: Timestamp,
    status: ShownStatus,
}

/// The deliveries of the last 24 hours.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Recent {
    success: u64,
    failed: u64,
    /// There are more than were counted.
    is_capped: bool,
}

impl Recent {
    fn of(listed: &ListedPostback) -> Self {
        let count = |number: i64| number.try_into().unwrap_or_default();
        let activity = &listed.activity;
        Self { success: count(activity.success), failed: count(activity.failed), is_capped: activity.is_capped }
    }
}

impl Last {
    fn of(listed: &ListedPostback) -> Option<Self> {
        let last = listed.activity.last?;
        Some(Self { id: last.id.to_string(), at: last.at, status: last.state.into() })
    }
}

fn shown_status(status: Status) -> ShownStatus {
    match status {
        Status::Live => ShownStatus::of("ok", "circle-check", "postback_status.live"),
        Status::Failing => ShownStatus::of("bad", "circle-x", "postback_status.failing"),
        Status::Off => ShownStatus::of("off", "circle-slash", "postback_status.off"),
        Status::AwaitingApproval => ShownStatus::of("warn", "hourglass", "postback_status.awaiting_approval"),
        Status::Refused => ShownStatus::of("bad", "circle-x", "postback_status.refused"),
    }
}

/// Whether the caller can change postbacks, and whether it can approve them.
fn may_change(actor: Actor) -> bool {
    actor.may(ManagePostbacks) && actor.may_change().is_ok()
}

fn may_approve(actor: Actor) -> bool {
    actor.is_staff() && actor.may(ManageAffiliates) && actor.may_change().is_ok()
}

impl Row {
    async fn load(app: &App, actor: Actor, listed: ListedPostback) -> Result<Self, Error> {
        let (status, last, recent) = (listed.status(), Last::of(&listed), Recent::of(&listed));
        let postback = listed.postback;
        let owner = match postback.owner {
            None => text("postbacks.program"),
            Some(id) if actor.is_staff() => plain(affiliate_name(app, id).await?),
            Some(_) => plain(postback.template.unwrap_or(postback.adapter)),
        };
        let names = ScopeNames::load(app, postback.rule.scope).await?;
        Ok(Self {
            id: postback.id.to_string(),
            version: postback.version,
            rule: RuleText::new(&postback.rule, &names),
            name: postback.name,
            owner,
            status: shown_status(status),
            reason: postback.refusal_reason,
            last,
            recent,
            can_approve: status == Status::AwaitingApproval && may_approve(actor),
        })
    }
}

/// `GET /postbacks`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Postbacks>, Problem> {
    let url = ListUrl::of(&uri);
    let (filters, filter) = filter::read(&app, actor, &url).await?;
    let page = PageRequest::first(ROWS).after(cursor(&url));
    let found = postbacks::list_with_activity(&app, actor, filter, page).await?;
    let mut rows = Vec::with_capacity(found.items.len());
    for listed in found.items {
        rows.push(Row::load(&app, actor, listed).await?);
    }
    let list = Postbacks {
        is_filtered: filters.any_set(),
        filters,
        rows,
        pager: Pager::new(&url, found.next),
        may_create: may_change(actor),
        may_set: actor.may(ManageSettings),
        some_await: may_approve(actor) && some_await(&app, actor).await?,
    };
    let lead = if actor.is_staff() { "postbacks.lead_staff" } else { "postbacks.lead" };
    let reply = viewer.page(text("nav.postbacks"), list).lead(text(lead)).wide();
    Ok(match url.get("done") {
        Some(done @ ("archived" | "approved")) => reply.notice(text(&format!("postback_done.{done}"))),
        _ => reply,
    })
}

async fn some_await(app: &App, actor: Actor) -> Result<bool, Error> {
    let filter = Filter { status: Some(Status::AwaitingApproval), ..Default::default() };
    Ok(!postbacks::list_with_activity(app, actor, filter, PageRequest::first(1)).await?.items.is_empty())
}

impl Page for Postbacks {
    const TEMPLATE: &'static str = "delivery/postbacks";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::delivery::delivery::DeliveryState;

        let states = [Status::Live, Status::Failing, Status::Off, Status::AwaitingApproval, Status::Refused];
        let at = Timestamp::from_millis(0);
        let rows = || {
            rule::samples::rules().into_iter().enumerate().map(move |(number, rule)| Row {
                id: "pbk_06a5xk2m7q8r9stvwxyz012345".into(),
                version: 3,
                name: "Voluum <b>".into(),
                owner: plain("Ada <b>"),
                rule,
                status: shown_status(states[number % states.len()]),
                reason: (number % 5 == 4).then(|| "not <b> yours".into()),
                last: (number % 2 == 0).then(|| Last { id: "dlv_1".into(), at, status: DeliveryState::Success.into() }),
                recent: Recent { success: 400, failed: u64::from(number % 3 == 0), is_capped: number % 4 == 0 },
                can_approve: number % 5 == 3,
            })
        };
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let sample = |url: &ListUrl, rows, is_staff: bool| {
            let filters = filter::fields(url, vec![], is_staff, &["macro-url".to_owned()], None);
            let pager = Pager::new(url, Some(uuid::Uuid::nil()));
            let is_filtered = filters.any_set();
            Self { filters, is_filtered, rows, pager, may_create: is_staff, may_set: is_staff, some_await: is_staff }
        };
        let (all, filtered) =
            (url("/postbacks"), url("/postbacks?status=failing&action=click&search=x&adapter=macro-url"));
        vec![
            sample(&all, rows().collect(), true),
            sample(&all, rows().collect(), false),
            sample(&all, Vec::new(), true),
            sample(&all, Vec::new(), false),
            sample(&filtered, Vec::new(), true),
        ]
    }
}
