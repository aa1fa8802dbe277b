//! Quotas: how much one affiliate or person may own and do.

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use domain::ids::{AffiliateId, UserId};
use domain::people::actor::Actor;
use domain::program::quota::QuotaError;
use storage::program::quotas::{self, Holder};

/// Staff may send this many times as many test requests as an affiliate, because they test for many.
const STAFF_TESTS: u32 = 10;

/// Counts a test request that is sent to a destination.
pub fn test(app: &App, actor: Actor) -> Result<(), Error> {
    let (who, times) = match (actor.confined_to(), actor.user()) {
        (Some(affiliate), _) => (affiliate.to_string(), 1),
        (None, Some(user)) => (user.to_string(), STAFF_TESTS),
        (None, None) => (actor.name(), STAFF_TESTS),
    };
    let per_minute = app.settings.tests_per_minute.saturating_mul(times);
    app.rates
        .take(&format!("tests/{who}"), per_minute, app.clock.now())
        .map_err(|wait| QuotaError::Tests { per_minute, wait }.into())
}

/// Counts a manual retry of a delivery or an inbound request. Staff are not limited, so that they can retry all of them
/// after an outage.
pub fn retry(app: &App, actor: Actor) -> Result<(), Error> {
    let Some(affiliate) = actor.confined_to() else { return Ok(()) };
    let per_minute = app.settings.retries_per_minute;
    app.rates
        .take(&format!("retries/{affiliate}"), per_minute, app.clock.now())
        .map_err(|wait| QuotaError::Retries { per_minute, wait }.into())
}

/// Checks that the affiliate may have one more postback and locks the affiliate until `tx` ends. Staff are not limited.
pub async fn postback(
    app: &App,
    tx: &impl ConnectionTrait,
    actor: Actor,
    of: Option<AffiliateId>,
) -> Result<(), Error> {
    let limit = app.settings.postbacks_per_affiliate;
    let Some(of) = of.filter(|_| !actor.is_staff()) else { return Ok(()) };
    room(quotas::postbacks(tx, of).await?, limit, QuotaError::Postbacks { limit })
}

/// The same for sources.
pub async fn source(app: &App, tx: &impl ConnectionTrait, actor: Actor, of: Option<AffiliateId>) -> Result<(), Error> {
    let limit = app.settings.sources_per_affiliate;
    let Some(of) = of.filter(|_| !actor.is_staff()) else { return Ok(()) };
    room(quotas::sources(tx, of).await?, limit, QuotaError::Sources { limit })
}

/// The same for links.
pub async fn link(app: &App, tx: &impl ConnectionTrait, actor: Actor, of: AffiliateId) -> Result<(), Error> {
    let limit = app.settings.links_per_affiliate;
    if actor.is_staff() {
        return Ok(());
    }
    room(quotas::links(tx, of).await?, limit, QuotaError::Links { limit })
}

/// The same for API keys of a person, also of staff, or of an affiliate that creates one.
pub async fn api_key(app: &App, tx: &impl ConnectionTrait, actor: Actor, user: Option<UserId>) -> Result<(), Error> {
    let limit = app.settings.api_keys_per_person;
    let holder = match (user, actor.confined_to()) {
        (Some(user), _) => Holder::User(user),
        (None, Some(affiliate)) => Holder::Affiliate(affiliate),
        (None, None) => return Ok(()),
    };
    room(quotas::api_keys(tx, holder, app.clock.now()).await?, limit, QuotaError::ApiKeys { limit })
}

fn room(there: i64, limit: u32, error: QuotaError) -> Result<(), Error> {
    if there >= i64::from(limit) { Err(error.into()) } else { Ok(()) }
}
