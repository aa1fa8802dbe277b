//! Affiliates: sign-up, changes and queries.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};

use crate::Error;
use crate::FieldIssue;
use crate::app::App;
use crate::error::is_taken;
use crate::inbound::sources;
use crate::people::{notices, outbox};
use domain::archive::ArchivedFilter;
use domain::ids::AffiliateId;
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::program::affiliate::{Affiliate, AffiliateStatus, referral_code};
use domain::search::Search;
use domain::timestamp::Timestamp;
use storage::base::page::{Page, PageRequest};

/// The maximum number of random referral codes that are tried. With a million affiliates, eight codes of six digits
/// suffice to find a free one.
const DRAWS: u32 = 16;

/// What staff decide about an affiliate, when it is created and when it is changed.
#[derive(Clone, Debug)]
pub struct AffiliateData {
    pub name: String,
    pub email: String,
    pub status: AffiliateStatus,
    /// A change applies to conversions that are approved from now on.
    pub parent_affiliate_id: Option<AffiliateId>,
}

/// Creates an affiliate and its first source.
pub async fn create(app: &App, data: AffiliateData) -> Result<Affiliate, Error> {
    let tx = app.db.begin().await?;
    let affiliate = insert(app, &tx, data).await?;
    tx.commit().await?;
    Ok(affiliate)
}

/// Inserts an active affiliate that signs up.
pub(crate) async fn sign_up(app: &App, tx: &DatabaseTransaction, name: &str, email: &str) -> Result<Affiliate, Error> {
    let (name, email) = (name.to_owned(), email.to_owned());
    let data = AffiliateData { name, email, status: AffiliateStatus::Active, parent_affiliate_id: None };
    insert(app, tx, data).await
}

/// Inserts an affiliate and its first source. A new affiliate has no sub-affiliates, so its parent affiliate cannot be
/// one of them.
async fn insert(app: &App, tx: &DatabaseTransaction, data: AffiliateData) -> Result<Affiliate, Error> {
    let now = app.clock.now();
    for tries in 0..DRAWS {
        let affiliate = Affiliate {
            id: AffiliateId::new(now),
            name: data.name.clone(),
            email: data.email.clone(),
            referral_code: referral_code(rand::random(), tries),
            status: data.status,
            parent_affiliate_id: data.parent_affiliate_id,
            parent_since: data.parent_affiliate_id.map(|_| now),
            created_at: now,
            updated_at: now,
            former_email: None,
            email_changed_at: None,
            archived_at: None,
        };
        // A savepoint, so that a code that is taken does not end the transaction.
        let draw = tx.begin().await?;
        match storage::program::affiliates::insert(&draw, &affiliate).await {
            Ok(()) => {
                draw.commit().await?;
                storage::inbound::sources::insert(tx, &sources::first(app, affiliate.id)).await?;
                return Ok(affiliate);
            }
            Err(error) if is_taken(&error) => draw.rollback().await?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Taken { what: "every referral code that was tried", value: referral_code(0, DRAWS) })
}

/// Changes an affiliate. `edit` gets the affiliate while it is locked.
pub async fn change(
    app: &App,
    id: AffiliateId,
    edit: impl FnOnce(&Affiliate) -> Result<AffiliateData, Error>,
) -> Result<Changed<Affiliate>, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let found = storage::program::affiliates::lock(&tx, id).await?;
    let mut affiliate = found.ok_or_else(|| Error::not_found("affiliate", id))?;
    let before = affiliate.clone();
    let data = edit(&before)?;
    affiliate.name = data.name;
    let address_changed = affiliate.change_email(data.email, now);
    affiliate.status = data.status;
    if data.parent_affiliate_id != affiliate.parent_affiliate_id {
        if let Some(parent) = data.parent_affiliate_id {
            check_parent(&tx, id, parent).await?;
        }
        affiliate.parent_affiliate_id = data.parent_affiliate_id;
        affiliate.parent_since = data.parent_affiliate_id.map(|_| now);
    }
    affiliate.updated_at = now;
    storage::program::affiliates::save(&tx, &affiliate).await?;
    if address_changed {
        notices::address_changed(app, &tx, &before, now).await?;
    }
    tx.commit().await?;
    outbox::wake_worker(app);
    app.catalog.affiliate_changed(id);
    if before.status != affiliate.status {
        app.catalog.people_changed();
    }
    Ok(Changed::new(before, affiliate))
}

/// Archives an affiliate: its links and codes lead nowhere, and it gets no new links and approvals. Its people can still
/// sign in, and its money can be withdrawn.
pub async fn archive(app: &App, id: AffiliateId) -> Result<Changed<Affiliate>, Error> {
    change_archive(app, id, Affiliate::archive).await
}

/// Restores an archived affiliate.
pub async fn restore(app: &App, id: AffiliateId) -> Result<Changed<Affiliate>, Error> {
    change_archive(app, id, Affiliate::restore).await
}

async fn change_archive(
    app: &App,
    id: AffiliateId,
    step: fn(&mut Affiliate, Timestamp),
) -> Result<Changed<Affiliate>, Error> {
    let tx = app.db.begin().await?;
    let found = storage::program::affiliates::lock(&tx, id).await?;
    let before = found.ok_or_else(|| Error::not_found("affiliate", id))?;
    let mut affiliate = before.clone();
    step(&mut affiliate, app.clock.now());
    storage::program::affiliates::save(&tx, &affiliate).await?;
    tx.commit().await?;
    app.catalog.affiliate_changed(id);
    Ok(Changed::new(before, affiliate))
}

/// Reads an affiliate that the caller may see.
pub async fn get(app: &App, actor: Actor, id: AffiliateId) -> Result<Affiliate, Error> {
    let found = if actor.may_see(id) { storage::program::affiliates::find(app.db.reader(), id).await? } else { None };
    found.ok_or_else(|| Error::not_found("affiliate", id))
}

/// Lists the affiliates that the caller may see. An affiliate always sees itself.
pub async fn list(
    app: &App,
    actor: Actor,
    search: Option<Search>,
    archived: ArchivedFilter,
    page: PageRequest,
) -> Result<Page<Affiliate>, Error> {
    let archived = if actor.is_staff() { archived } else { ArchivedFilter::Any };
    let own = actor.confined_to();
    Ok(storage::program::affiliates::list(app.db.lists(), own, search.as_ref(), archived, page).await?)
}

/// Refuses a parent affiliate that is `affiliate` itself or below it. Locks the settings of sub-affiliates until `tx`
/// ends, so that two changes at the same time cannot make a circle.
async fn check_parent(tx: &impl ConnectionTrait, affiliate: AffiliateId, parent: AffiliateId) -> Result<(), Error> {
    storage::program::program_settings::lock_sub_affiliates(tx).await?;
    let refused = |message: &str| {
        Err(Error::Invalid(vec![FieldIssue::new("/parent_affiliate", "parent_affiliate_cycle", message)]))
    };
    if affiliate == parent {
        return refused("an affiliate cannot be its own parent affiliate; name another affiliate or null");
    }
    let (mut above, mut seen) = (Some(parent), HashSet::new());
    while let Some(id) = above.filter(|id| seen.insert(*id)) {
        above = storage::program::affiliates::find(tx, id).await?.and_then(|it| it.parent_affiliate_id);
        if above == Some(affiliate) {
            return refused(
                "the parent affiliate is below this affiliate itself, directly or by other affiliates; name another affiliate",
            );
        }
    }
    Ok(())
}
