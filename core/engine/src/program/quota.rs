//! Quotas: how many objects one affiliate or person may own, and how many test requests and retries it may make.

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use domain::ids::{AffiliateId, UserId};
use domain::people::actor::Actor;
use domain::program::quota::QuotaError;
use storage::program::quotas::{self, Holder};

/// The quota of test requests of staff, as a multiple of the quota of an affiliate. Staff test for many affiliates.
const STAFF_TESTS: u32 = 10;

/// Counts a test request that is sent to a destination.
///
/// # Errors
/// The quota of this minute is used up.
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

/// Counts a manual retry of a delivery or an inbound request. Staff have no quota, so that they can retry everything
/// after an outage.
///
/// # Errors
/// The quota of this minute is used up.
pub fn retry(app: &App, actor: Actor) -> Result<(), Error> {
    let Some(affiliate) = actor.confined_to() else { return Ok(()) };
    let per_minute = app.settings.retries_per_minute;
    app.rates
        .take(&format!("retries/{affiliate}"), per_minute, app.clock.now())
        .map_err(|wait| QuotaError::Retries { per_minute, wait }.into())
}

/// Checks that the affiliate may have one more postback, and locks the affiliate until `tx` ends. Staff have no quota.
pub async fn postback(
    app: &App,
    tx: &impl ConnectionTrait,
    actor: Actor,
    of: Option<AffiliateId>,
) -> Result<(), Error> {
    let limit = app.settings.postbacks_per_affiliate;
    let Some(of) = of.filter(|_| !actor.is_staff()) else { return Ok(()) };
    check_limit(quotas::count_postbacks(tx, of).await?, limit, QuotaError::Postbacks { limit })
}

/// Checks that the affiliate may have one more source, as [`postback`] does.
pub async fn source(app: &App, tx: &impl ConnectionTrait, actor: Actor, of: Option<AffiliateId>) -> Result<(), Error> {
    let limit = app.settings.sources_per_affiliate;
    let Some(of) = of.filter(|_| !actor.is_staff()) else { return Ok(()) };
    check_limit(quotas::count_sources(tx, of).await?, limit, QuotaError::Sources { limit })
}

/// Checks that the affiliate may have one more link, as [`postback`] does.
pub async fn link(app: &App, tx: &impl ConnectionTrait, actor: Actor, of: AffiliateId) -> Result<(), Error> {
    let limit = app.settings.links_per_affiliate;
    if actor.is_staff() {
        return Ok(());
    }
    check_limit(quotas::count_links(tx, of).await?, limit, QuotaError::Links { limit })
}

/// Checks that a person, or an affiliate that creates an API key, may have one more key. The quota applies to staff
/// too.
pub async fn api_key(app: &App, tx: &impl ConnectionTrait, actor: Actor, user: Option<UserId>) -> Result<(), Error> {
    let limit = app.settings.api_keys_per_person;
    let holder = match (user, actor.confined_to()) {
        (Some(user), _) => Holder::User(user),
        (None, Some(affiliate)) => Holder::Affiliate(affiliate),
        (None, None) => return Ok(()),
    };
    check_limit(quotas::count_api_keys(tx, holder, app.clock.now()).await?, limit, QuotaError::ApiKeys { limit })
}

fn check_limit(count: i64, limit: u32, error: QuotaError) -> Result<(), Error> {
    if count >= i64::from(limit) { Err(error.into()) } else { Ok(()) }
}
