//! `/postbacks/{id}/versions`: who changed what and when, the difference, and the way back.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::delivery::version::differences;
use domain::ids::{PostbackId, UserId};
use domain::people::actor::Actor;
use domain::people::changes::FieldChange;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::delivery::postbacks::versions::{self, Version};
use engine::people::users;
use serde::Serialize;
use serde_json::Value;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::{PathId, PathVersion};

use super::actions::done;
use super::may_change;
use super::rule::{RuleText, ScopeNames};
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct Versions {
    id: String,
    versions: Vec<Row>,
    may_change: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    version: i32,
    is_present: bool,
    at: Timestamp,
    by: Text,
    rule: RuleText,
    changes: Vec<Change>,
    /// What the version before was is not stored.
    is_oldest: bool,
}

/// A field that changed. A side is absent if the field did not exist.
#[derive(Debug, Serialize)]
struct Change {
    field: String,
    from: Option<String>,
    to: Option<String>,
}

impl From<FieldChange> for Change {
    fn from(change: FieldChange) -> Self {
        let shown = |value: Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        Self { field: change.field, from: shown(change.from), to: shown(change.to) }
    }
}

impl Row {
    async fn load(app: &App, actor: Actor, version: Version) -> Result<Self, Error> {
        let postback = version.postback;
        let names = ScopeNames::load(app, postback.rule.scope).await?;
        let by = match &postback.saved_by {
            None => text("postback_versions.by_unknown"),
            Some(saver) if saver.name == actor.name() => text("postback_versions.by_you"),
            Some(saver) if saver.name.is_empty() => text("postback_versions.by_program"),
            Some(saver) => match saver.name.parse::<UserId>() {
                Ok(id) => {
                    let name = users::get(app, id).await.map_or_else(|_| saver.name.clone(), |user| user.name);
                    text("postback_versions.by").with("name", name)
                }
                Err(_) => text("postback_versions.by").with("name", &saver.name),
            },
        };
        Ok(Self {
            version: postback.version,
            is_present: version.is_present,
            at: postback.updated_at,
            by,
            rule: RuleText::new(&postback.rule, &names),
            is_oldest: version.changes.is_none(),
            changes: version.changes.unwrap_or_default().into_iter().map(Change::from).collect(),
        })
    }
}

/// `GET /postbacks/{id}/versions`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
) -> Result<Reply<Versions>, Problem> {
    let found = versions::list(&app, actor, id).await?;
    let name = found.first().map(|it| it.postback.name.clone()).unwrap_or_default();
    let mut rows = Vec::with_capacity(found.len());
    for version in found {
        rows.push(Row::load(&app, actor, version).await?);
    }
    let page = Versions { id: id.to_string(), versions: rows, may_change: may_change(actor) };
    let reply = viewer.page(text("postback_versions.title").with("name", &name), page);
    Ok(reply
        .lead(text("postback_versions.lead"))
        .below("/postbacks", text("nav.postbacks"))
        .below(format!("/postbacks/{id}"), plain(name)))
}

#[derive(Debug, Serialize)]
pub struct VersionPage {
    id: String,
    version: Row,
    /// What a roll-back would change; empty for the present version.
    to_restore: Vec<Change>,
    may_restore: bool,
}

impl VersionPage {
    async fn load(app: &App, viewer: &Viewer, actor: Actor, id: PostbackId, number: i32) -> Result<Reply<Self>, Error> {
        let version = versions::get(app, actor, id, number).await?;
        let present = versions::present(app, actor, id).await?;
        let mut back = differences(&present, &version.postback);
        // A roll-back keeps these.
        back.retain(|it| !["adapter_version", "enabled", "approval"].contains(&it.field.as_str()));
        let name = present.name.clone();
        let page = Self {
            id: id.to_string(),
            may_restore: may_change(actor) && !version.is_present && !back.is_empty(),
            version: Row::load(app, actor, version).await?,
            to_restore: back.into_iter().map(Change::from).collect(),
        };
        let title = text("postback_versions.title_one").with("number", number.to_string());
        let reply = viewer.page(title, page).below("/postbacks", text("nav.postbacks"));
        let reply = reply.below(format!("/postbacks/{id}"), plain(name));
        Ok(reply.below(format!("/postbacks/{id}/versions"), text("postback_versions.all")))
    }
}

/// `GET /postbacks/{id}/versions/{version}`
pub async fn show_one(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathVersion(id, number): PathVersion<PostbackId>,
) -> Result<Reply<VersionPage>, Problem> {
    Ok(VersionPage::load(&app, &viewer, actor, id, number).await?)
}

/// `POST /postbacks/{id}/versions/{version}/restore`
pub async fn restore(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathVersion(id, number): PathVersion<PostbackId>,
) -> Result<Response, Problem> {
    match versions::restore(&app, actor, id, number).await {
        Ok(changed) => Ok(done(id, changed, "restored")),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => {
            let page = VersionPage::load(&app, &viewer, actor, id, number).await?;
            Ok(page.alert(&error.into()).into_response())
        }
    }
}

#[cfg(test)]
fn sample_row(number: u8) -> Row {
    let change = |from: Option<&str>, to: Option<&str>| Change {
        field: "config.base_url".into(),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
    };
    let by = ["postback_versions.by_unknown", "postback_versions.by_you", "postback_versions.by_program"];
    Row {
        version: number.into(),
        is_present: number == 3,
        at: Timestamp::from_millis(1_763_647_000_000),
        by: text(by[usize::from(number % 3)]),
        rule: super::rule::samples::rules().remove(number.into()),
        changes: match number {
            2 => vec![change(Some("a <b>"), Some("c")), change(None, Some("<b>")), change(Some("<b>"), None)],
            _ => Vec::new(),
        },
        is_oldest: number == 1,
    }
}

impl Page for Versions {
    const TEMPLATE: &'static str = "delivery/postback_versions";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let sample = |numbers: &[u8], may_change| Self {
            id: "pbk_06a5xk2m7q8r9stvwxyz012345".into(),
            versions: numbers.iter().map(|number| sample_row(*number)).collect(),
            may_change,
        };
        vec![sample(&[3, 2, 1], true), sample(&[3, 2], false), sample(&[1], true)]
    }
}

impl Page for VersionPage {
    const TEMPLATE: &'static str = "delivery/postback_version";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let sample = |number| Self {
            id: "pbk_06a5xk2m7q8r9stvwxyz012345".into(),
            version: sample_row(number),
            to_restore: sample_row(number).changes,
            may_restore: number == 2,
        };
        (1..=3).map(sample).collect()
    }
}
