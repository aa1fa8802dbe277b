//! Versions of a postback: who changed what and when, and the way back to a former version.

use serde_json::Value;

use crate::Error;
use crate::app::App;
use domain::delivery::postback::Postback;
use domain::delivery::version::differences;
use domain::ids::PostbackId;
use domain::people::actor::Actor;
use domain::people::changes::{Changed, FieldChange};

use super::draft::{PostbackData, find, shown};
use crate::delivery::secrets::DOTS;

/// Maximum number of former versions in a list, the newest first.
const LISTED_MAX: u32 = 100;

/// A version of a postback.
#[derive(Clone, Debug)]
pub struct Version {
    /// The postback as it was, with masked secrets. `updated_at` is the time at which this version was saved. The name of
    /// a caller of the program is removed if an affiliate asks.
    pub postback: Postback,
    /// What differs from the version before; `None` if that is not stored.
    pub changes: Option<Vec<FieldChange>>,
    pub is_present: bool,
}

/// The versions of a postback, the newest first. Versions that exceeded the retention of events are left out.
pub async fn list(app: &App, actor: Actor, id: PostbackId) -> Result<Vec<Version>, Error> {
    let (db, present) = (app.db.reader(), find(app, actor, id).await?);
    let number = present.version;
    let mut postbacks = vec![saved(app, present).await?];
    postbacks.extend(storage::delivery::postback_versions::list(db, id, LISTED_MAX).await?);
    let changes: Vec<_> = (0..postbacks.len())
        .map(|at| postbacks.get(at + 1).map(|before| differences(before, &postbacks[at])))
        .collect();
    let version = |(postback, changes): (Postback, _)| Version {
        is_present: postback.version == number,
        postback: visible_to(actor, postback),
        changes,
    };
    Ok(postbacks.into_iter().zip(changes).map(version).collect())
}

/// A version, with what differs from the version before.
///
/// # Errors
/// The version does not exist, or exceeded the retention.
pub async fn get(app: &App, actor: Actor, id: PostbackId, number: i32) -> Result<Version, Error> {
    let db = app.db.reader();
    let present = find(app, actor, id).await?;
    let is_present = present.version == number;
    let postback = match is_present {
        true => saved(app, present).await?,
        false => find_former(app, id, number).await?,
    };
    let before = storage::delivery::postback_versions::find(db, id, number - 1).await?;
    let changes = before.map(|before| differences(&before, &postback));
    Ok(Version { postback: visible_to(actor, postback), changes, is_present })
}

/// The present version as a postback.
pub async fn present(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    saved(app, find(app, actor, id).await?).await
}

/// Changes a postback back to a former version, with the checks of every change. Secrets, and whether it is enabled, stay
/// as they are.
///
/// # Errors
/// Those of a change; or the version does not exist.
pub async fn restore(app: &App, actor: Actor, id: PostbackId, number: i32) -> Result<Changed<Postback>, Error> {
    find(app, actor, id).await?;
    let former = find_former(app, id, number).await?;
    let edit = |present: &Postback| {
        Ok(PostbackData {
            name: former.name.clone(),
            config: with_masks_of(&present.config, &former.config),
            rule: former.rule.clone(),
            ordering: former.ordering,
            enabled: present.enabled,
        })
    };
    super::change(app, actor, id, edit).await
}

async fn find_former(app: &App, id: PostbackId, number: i32) -> Result<Postback, Error> {
    let found = storage::delivery::postback_versions::find(app.db.reader(), id, number).await?;
    found.ok_or_else(|| Error::not_found("version", format!("{number} of postback {id}")))
}

/// The present postback, with masked secrets and the time of its last change: a rotation of secret keys changes
/// `updated_at`, too.
async fn saved(app: &App, mut present: Postback) -> Result<Postback, Error> {
    let replaced = storage::delivery::postback_versions::find_last_replaced(app.db.reader(), present.id).await?;
    present.updated_at = replaced.unwrap_or(present.created_at);
    Ok(shown(app, present))
}

/// An affiliate does not see which of the program's people changed its postback.
fn visible_to(actor: Actor, mut postback: Postback) -> Postback {
    if let Some(saver) = postback.saved_by.as_mut().filter(|it| it.is_staff && !actor.is_staff()) {
        saver.name.clear();
    }
    postback
}

/// `former` with the masks of `present` in place of its own, because former secrets are not stored.
fn with_masks_of(present: &Value, former: &Value) -> Value {
    let is_mask = |it: &Value| it.as_str().is_some_and(|text| text.starts_with(DOTS));
    match former {
        Value::Object(members) => {
            let members = members.iter().map(|(name, it)| (name.clone(), with_masks_of(&present[name], it)));
            Value::Object(members.collect())
        }
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(at, it)| with_masks_of(&present[at], it));
            Value::Array(items.collect())
        }
        mask if is_mask(mask) && is_mask(present) => present.clone(),
        other => other.clone(),
    }
}
