//! Postbacks: creates, changes, copies and tests them, and parses pasted URLs.

mod activity;
pub mod approval;
mod draft;
mod paste;
mod preview;
mod rules;
mod test_request;
pub mod versions;

use std::sync::Arc;

use serde_json::Value;

use crate::Error;
use crate::app::App;
use crate::concurrent_change::with_attempts;
use crate::delivery::adapters::key_of;
use crate::program::quota;
use domain::delivery::postback::Postback;
use domain::delivery::verification::Verification;
use domain::ids::PostbackId;
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_secrets};
use domain::search::Search;
use host::Adapter;
use storage::base::page::{Page, PageRequest};
use storage::delivery::postbacks::Filter;

use super::destinations;
pub use activity::{ListedPostback, breaker, get as get_listed, list as list_with_activity};
pub use draft::newest;
use draft::{ConfigChange, Revision, bind_changed, copy, draft, find, pinned, revise, shown};
pub use draft::{NewPostback, PostbackData};
pub(crate) use draft::{check_references, confine_scope, refuse_seals};
pub use paste::{NetworkWords, Parsed, parse};
pub use preview::{Preview, PreviewOptions, preview_change, preview_new};
pub(crate) use rules::{issues, too_many_reasons};
pub(crate) use test_request::bind_secrets;
pub use test_request::{Acceptance, TestClick, TestTerms};
use test_request::{event_of_test, test_before_saving, verify};

/// Saves a postback after its destination accepted a test request. An admin may save a disabled one untested.
pub async fn create(app: &App, actor: Actor, new: NewPostback) -> Result<Postback, Error> {
    create_with(app, actor, new, &Acceptance::Required.into()).await
}

/// Saves a postback. If acceptance is optional, one that is not accepted stays unverified, and a disabled one is not
/// tested.
pub async fn create_with(app: &App, actor: Actor, new: NewPostback, terms: &TestTerms) -> Result<Postback, Error> {
    let (adapter, mut postback) = draft(app, actor, new).await?;
    let test_it = postback.enabled || needs_test_while_off(actor, terms.acceptance);
    bind_secrets(app, &adapter, &mut postback, test_it).await?;
    if test_it {
        test_before_saving(app, actor, &adapter, &mut postback, terms).await?;
    }
    insert(app, actor, postback).await
}

/// Copies a postback, with its secrets. The copy is disabled, and tested when it is enabled.
pub async fn duplicate(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    let original = find(app, actor, id).await?;
    let adapter = pinned(app, &original).await?;
    insert(app, actor, copy(app, &adapter, original)?).await
}

/// Inserts a new postback, which needs approval if an affiliate made it and the program wants that.
async fn insert(app: &App, actor: Actor, mut postback: Postback) -> Result<Postback, Error> {
    if approval::is_needed(app, actor).await? {
        postback.submit();
    }
    postback.saved_by = Some(actor.into());
    let tx = app.db.begin().await?;
    quota::postback(app, &tx, actor, postback.owner).await?;
    storage::delivery::postbacks::insert(&tx, &postback).await?;
    tx.commit().await?;
    app.catalog.postbacks_changed();
    Ok(shown(app, postback))
}

/// Changes a postback. A new configuration is tested first, like a new postback. A transaction cannot be open while the
/// test request is sent; so if the postback was changed in the meantime, `edit` gets it again as it is then.
pub async fn change(
    app: &App,
    actor: Actor,
    id: PostbackId,
    edit: impl Fn(&Postback) -> Result<PostbackData, Error>,
) -> Result<Changed<Postback>, Error> {
    change_with(app, actor, id, edit, &Acceptance::Required.into()).await
}

/// Changes a postback as [`change`] does. If acceptance is optional, one that is not accepted becomes unverified, and a
/// disabled one is not tested.
pub async fn change_with(
    app: &App,
    actor: Actor,
    id: PostbackId,
    edit: impl Fn(&Postback) -> Result<PostbackData, Error>,
    terms: &TestTerms,
) -> Result<Changed<Postback>, Error> {
    with_attempts(|| try_change(app, actor, id, &edit, terms)).await
}

/// Whether a disabled postback is tested before it is saved.
fn needs_test_while_off(actor: Actor, acceptance: Acceptance) -> bool {
    !actor.is_staff() && acceptance == Acceptance::Required
}

async fn try_change(
    app: &App,
    actor: Actor,
    id: PostbackId,
    edit: &impl Fn(&Postback) -> Result<PostbackData, Error>,
    terms: &TestTerms,
) -> Result<Changed<Postback>, Error> {
    let Revision { adapter, before, mut postback, config_change } = revise(app, actor, id, edit).await?;
    let reconfigured = config_change != ConfigChange::None;
    if reconfigured {
        postback.verified_at = None;
    }
    // An unverified postback that is on keeps its name and rule changeable: only what it sends is tested.
    let switched_on = postback.enabled && !before.enabled;
    let must_test = if postback.enabled {
        reconfigured || switched_on
    } else {
        reconfigured && needs_test_while_off(actor, terms.acceptance)
    };
    let test_it = postback.verified_at.is_none() && must_test;
    bind_changed(app, &adapter, &mut postback, config_change, test_it).await?;
    if test_it {
        if let Some(reason) = app.adapters.waits(&postback).await? {
            return Err(Error::AdapterWaits(reason));
        }
        test_before_saving(app, actor, &adapter, &mut postback, terms).await?;
    }
    if reconfigured && approval::is_needed(app, actor).await? {
        postback.submit();
    }
    if postback.has_same_data(&before) {
        return Ok(Changed::new(before.clone(), before).map(|it| shown(app, it)));
    }
    // The postback may have been changed or deleted during the test.
    save(app, actor, &before, &mut postback).await?;
    if reconfigured {
        // The former configuration may have caused the faults of the adapter.
        app.adapters.faults().resume(&key_of(&postback), postback.owner);
        destinations::forget(app, id).await;
    }
    app.catalog.postbacks_changed();
    let config = |it: &Postback| opened(app, &it.config, &id.to_string());
    let unseen = of_secrets("config", &config(&before), &config(&postback));
    Ok(Changed::new(before, postback).map(|it| shown(app, it)).with_unseen(unseen))
}

/// Saves a changed postback as its next version, and its former configuration as the version before. `actor`: the caller
/// that changed it.
///
/// # Errors
/// The postback was changed or deleted after `before` was read.
pub(crate) async fn save(app: &App, actor: Actor, before: &Postback, postback: &mut Postback) -> Result<(), Error> {
    postback.version = before.version + 1;
    postback.saved_by = Some(actor.into());
    let tx = app.db.begin().await?;
    if !storage::delivery::postbacks::save(&tx, postback, before.updated_at).await? {
        return Err(Error::ChangedMeanwhile { what: "postback", id: postback.id.to_string() });
    }
    let former = shown(app, before.clone());
    storage::delivery::postback_versions::insert(&tx, &former, postback.updated_at).await?;
    tx.commit().await?;
    Ok(())
}

/// The opened configuration, for comparisons. If it cannot be opened, the stored one.
pub(crate) fn opened(app: &App, config: &Value, holder: &str) -> Value {
    app.vault.open_config(config, holder).unwrap_or_else(|_| config.clone())
}

/// Sends the test request of a saved postback and returns the result. Changes nothing.
pub async fn test(app: &App, actor: Actor, id: PostbackId, click: &TestClick) -> Result<Verification, Error> {
    let postback = find(app, actor, id).await?;
    let adapter = pinned(app, &postback).await?;
    if let Some(reason) = app.adapters.waits(&postback).await? {
        return Err(Error::AdapterWaits(reason));
    }
    let event = event_of_test(app, actor, &postback, click).await?;
    quota::test(app, actor)?;
    Ok(verify(app, &adapter, &postback, &event).await?.shown_to(actor))
}

/// Archives a postback; its log stays. Returns the postback before the change.
pub async fn archive(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    let mut postback = find(app, actor, id).await?;
    let before = postback.clone();
    let (seen, now) = (postback.updated_at, app.clock.now());
    postback.enabled = false;
    postback.archived_at = Some(now);
    postback.updated_at = now.after(seen);
    save(app, actor, &before, &mut postback).await?;
    app.catalog.postbacks_changed();
    Ok(shown(app, before))
}

/// The adapter of a saved postback, in the version that it pins.
pub async fn adapter_of(app: &App, postback: &Postback) -> Result<Arc<Adapter>, Error> {
    pinned(app, postback).await
}

/// A postback, with masked secrets.
pub async fn get(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    Ok(shown(app, find(app, actor, id).await?))
}

/// A page of postbacks, with masked secrets. An affiliate sees its own ones.
pub async fn list(app: &App, actor: Actor, search: Option<Search>, page: PageRequest) -> Result<Page<Postback>, Error> {
    let filter = Filter { owner: actor.confined_to(), search, ..Default::default() };
    let page = storage::delivery::postbacks::list(app.db.lists(), &filter, page).await?;
    Ok(page.map(|postback| shown(app, postback)))
}
