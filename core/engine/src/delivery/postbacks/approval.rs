//! Approval of the postbacks of affiliates, if the program wants to examine them before they are fired.

use crate::Error;
use crate::app::App;
use domain::delivery::approval::{ApprovalNotRequired, PostbackSettings};
use domain::delivery::postback::Postback;
use domain::ids::PostbackId;
use domain::people::actor::Actor;
use domain::people::changes::Changed;

use super::draft::{find, shown};
use super::save;

/// The longest reason of a refusal.
const REASON_MAX_CHARS: usize = 500;

/// Reads the setting.
pub async fn settings(app: &App) -> Result<PostbackSettings, Error> {
    Ok(storage::program::program_settings::find_postbacks(app.db.reader()).await?)
}

/// Replaces the setting. It applies to postbacks that affiliates create or reconfigure from now on.
pub async fn change_settings(app: &App, settings: PostbackSettings) -> Result<Changed<PostbackSettings>, Error> {
    let tx = app.db.begin().await?;
    let before = storage::program::program_settings::lock_postbacks(&tx).await?;
    storage::program::program_settings::save_postbacks(&tx, settings, app.clock.now()).await?;
    tx.commit().await?;
    Ok(Changed::new(before, settings))
}

/// Whether a configuration that this caller saves needs approval.
pub(super) async fn is_needed(app: &App, actor: Actor) -> Result<bool, Error> {
    Ok(!actor.is_staff() && settings(app).await?.affiliates_need_approval)
}

/// Approves a postback as it was when version `examined` was the present one.
///
/// # Errors
/// The postback was changed since, or needs no approval.
pub async fn approve(app: &App, actor: Actor, id: PostbackId, examined: i32) -> Result<Changed<Postback>, Error> {
    decide(app, actor, id, examined, Postback::approve).await
}

/// Refuses a postback, also one that was approved. The affiliate sees the reason.
///
/// # Errors
/// The postback was changed since, or needs no approval; or the reason is empty or too long.
pub async fn refuse(
    app: &App,
    actor: Actor,
    id: PostbackId,
    examined: i32,
    reason: String,
) -> Result<Changed<Postback>, Error> {
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_MAX_CHARS {
        return Err(Error::invalid("/reason", format!("must have 1 to {REASON_MAX_CHARS} characters")));
    }
    decide(app, actor, id, examined, |postback| postback.refuse(reason)).await
}

async fn decide(
    app: &App,
    actor: Actor,
    id: PostbackId,
    examined: i32,
    decision: impl FnOnce(&mut Postback) -> Result<bool, ApprovalNotRequired>,
) -> Result<Changed<Postback>, Error> {
    let mut postback = find(app, actor, id).await?;
    if postback.version != examined {
        return Err(Error::ChangedMeanwhile { what: "postback", id: id.to_string() });
    }
    let before = postback.clone();
    if decision(&mut postback)? {
        postback.updated_at = app.clock.now().after(before.updated_at);
        save(app, actor, &before, &mut postback).await?;
        app.catalog.postbacks_changed();
    }
    Ok(Changed::new(before, postback).map(|it| shown(app, it)))
}
