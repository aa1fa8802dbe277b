//! Exchanges between currencies, and exchange rates. An exchange needs a stored rate.

use std::collections::BTreeSet;

use crate::app::App;
use crate::program::affiliates;
use crate::{Error, FieldIssue};
use domain::amounts::{Currency, Money};
use domain::ids::{AffiliateId, ExchangeId};
use domain::money::exchange::{Exchange, ExchangeRate};
use domain::money::{ledger, postings};
use domain::people::actor::Actor;
use storage::base::page::{Page, PageRequest};
use storage::money::exchanges::Filter;

/// Stores an exchange rate.
///
/// # Errors
/// A rate for the same pair and time is stored.
pub async fn add_rate(app: &App, rate: ExchangeRate) -> Result<ExchangeRate, Error> {
    if !storage::money::exchange_rates::insert(app.db.writer(), &rate).await? {
        let value = format!("{} to {} from {}", rate.from, rate.to, rate.valid_from);
        return Err(Error::Taken { what: "the exchange rate", value });
    }
    Ok(rate)
}

/// Lists the exchange rates.
pub async fn list_rates(app: &App, page: PageRequest) -> Result<Page<ExchangeRate>, Error> {
    Ok(storage::money::exchange_rates::list(app.db.lists(), page).await?)
}

/// Exchanges available money at the current rate. Makes two postings, one in each currency.
///
/// # Errors
/// No rate is stored, nothing would be given, or the available money does not suffice.
pub async fn exchange(
    app: &App,
    actor: Actor,
    affiliate_id: AffiliateId,
    taken: Money,
    to: Currency,
) -> Result<Exchange, Error> {
    let now = app.clock.now();
    affiliates::get(app, actor, affiliate_id).await?;
    let rate = storage::money::exchange_rates::find(app.db.reader(), taken.currency, to, now).await?;
    let rate = rate.ok_or_else(|| {
        let message = format!("no rate from {} to {to} is stored; add one at /api/v1/exchange-rates", taken.currency);
        Error::Invalid(vec![FieldIssue::new("/to", "no_exchange_rate", message)])
    })?;
    let exchange = Exchange::new(affiliate_id, taken, rate, now)?;
    let tx = app.db.begin().await?;
    storage::money::exchanges::insert(&tx, &exchange).await?;
    let keys = BTreeSet::from([(affiliate_id, taken.currency), (affiliate_id, to)]);
    let mut balances = storage::money::ledger::lock_balances(&tx, &keys).await?;
    let postings = postings::exchanged(&exchange, &mut balances)?;
    ledger::check_limits(&balances)?;
    storage::money::ledger::post(&tx, &app.clock, &balances, &postings).await?;
    tx.commit().await?;
    Ok(exchange)
}

/// Reads an exchange that the caller may see.
pub async fn get(app: &App, actor: Actor, id: ExchangeId) -> Result<Exchange, Error> {
    let found = storage::money::exchanges::find(app.db.reader(), id).await?;
    found.filter(|it| actor.may_see(it.affiliate_id)).ok_or_else(|| Error::not_found("exchange", id))
}

/// Lists the exchanges that the caller may see.
pub async fn list(app: &App, actor: Actor, mut filter: Filter, page: PageRequest) -> Result<Page<Exchange>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    Ok(storage::money::exchanges::list(app.db.lists(), filter, page).await?)
}
