//! Affiliates: signing up, changing, finding.

use sea_orm::ConnectionTrait;
use std::collections::HashSet;

use sea_orm::{DatabaseTransaction, TransactionTrait};

use crate::Error;
use crate::FieldIssue;
use crate::app::App;
use crate::error::is_taken;
use crate::inbound::sources;
use crate::people::{notices, outbox};
use domain::ids::AffiliateId;
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::program::affiliate::{Affiliate, AffiliateStatus, referral_code};
use storage::base::page::{Page, PageRequest};

/// Draws before giving up; with a million affiliates eight draws of six digits still find a free code.
const DRAWS: u32 = 16;

pub async fn create(app: &App, name: &str, email: &str, recruited_by: Option<AffiliateId>) -> Result<Affiliate, Error> {
    let tx = app.db.begin().await?;
    let affiliate = sign_up(app, &tx, name, email, recruited_by).await?;
    tx.commit().await?;
    Ok(affiliate)
}

/// Signs somebody up, with the source that every affiliate has. Nobody has recruited a newcomer yet, so there is no
/// circle to look for.
pub(crate) async fn sign_up(
    app: &App,
    tx: &DatabaseTransaction,
    name: &str,
    email: &str,
    recruited_by: Option<AffiliateId>,
) -> Result<Affiliate, Error> {
    let now = app.clock.now();
    for tries in 0..DRAWS {
        let affiliate = Affiliate {
            id: AffiliateId::new(now),
            name: name.to_owned(),
            email: email.to_owned(),
            referral_code: referral_code(rand::random(), tries),
            status: AffiliateStatus::Active,
            recruited_by,
            recruited_at: recruited_by.map(|_| now),
            created_at: now,
            updated_at: now,
            former_email: None,
            email_changed_at: None,
        };
        // A code that is taken must not take the whole transaction with it.
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
    Err(Error::Taken { what: "every referral code drawn", value: referral_code(0, DRAWS) })
}

/// What may be changed; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub name: Option<String>,
    pub email: Option<String>,
    pub status: Option<AffiliateStatus>,
    /// Nobody, or another one, for conversions that are approved from now on.
    pub recruited_by: Option<Option<AffiliateId>>,
}

pub async fn change(app: &App, id: AffiliateId, changes: Changes) -> Result<Changed<Affiliate>, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let found = storage::program::affiliates::lock(&tx, id).await?;
    let mut affiliate = found.ok_or_else(|| Error::not_found("affiliate", id))?;
    let before = affiliate.clone();
    affiliate.name = changes.name.unwrap_or(affiliate.name);
    let address_changed = changes.email.is_some_and(|email| affiliate.change_email(email, now));
    affiliate.status = changes.status.unwrap_or(affiliate.status);
    if let Some(recruiter) = changes.recruited_by.filter(|it| *it != affiliate.recruited_by) {
        if let Some(recruiter) = recruiter {
            check_recruiter(&tx, id, recruiter).await?;
        }
        affiliate.recruited_by = recruiter;
        affiliate.recruited_at = recruiter.map(|_| now);
    }
    affiliate.updated_at = now;
    storage::program::affiliates::save(&tx, &affiliate).await?;
    if address_changed {
        notices::address_changed(app, &tx, &before, now).await?;
    }
    tx.commit().await?;
    outbox::hurry(app);
    app.catalog.affiliate_changed(id);
    if before.status != affiliate.status {
        app.catalog.people_changed();
    }
    Ok(Changed::new(before, affiliate))
}

pub async fn get(app: &App, actor: Actor, id: AffiliateId) -> Result<Affiliate, Error> {
    let found = if actor.may_see(id) { storage::program::affiliates::find(app.db.reader(), id).await? } else { None };
    found.ok_or_else(|| Error::not_found("affiliate", id))
}

pub async fn list(app: &App, actor: Actor, page: PageRequest) -> Result<Page<Affiliate>, Error> {
    Ok(storage::program::affiliates::list(app.db.lists(), actor.confined_to(), page).await?)
}

/// Refuses a recruiter whom `affiliate` brought itself, by whatever steps. Holds the right to change who recruited
/// whom until `tx` ends: two changes at once could make a circle that neither sees.
async fn check_recruiter(
    tx: &impl ConnectionTrait,
    affiliate: AffiliateId,
    recruiter: AffiliateId,
) -> Result<(), Error> {
    storage::program::program_settings::lock_recruiting(tx).await?;
    let refused =
        |message: &str| Err(Error::Invalid(vec![FieldIssue::new("/recruited_by", "recruiting_cycle", message)]));
    if affiliate == recruiter {
        return refused("nobody recruits itself; name another affiliate, or nobody");
    }
    let (mut above, mut seen) = (Some(recruiter), HashSet::new());
    while let Some(id) = above.filter(|id| seen.insert(*id)) {
        above = storage::program::affiliates::find(tx, id).await?.and_then(|it| it.recruited_by);
        if above == Some(affiliate) {
            return refused("that one was recruited by this affiliate, directly or by others; name somebody else");
        }
    }
    Ok(())
}
