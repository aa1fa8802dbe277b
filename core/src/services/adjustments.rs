//! Adjustments: what finance gives or takes by hand, always with a reason; and the exchange between currencies.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::actor::Actor;
use crate::domain::earning::{self, Earning, EarningKind, EarningState};
use crate::domain::exchange::ExchangeRate;
use crate::domain::ledger::{Cause, Insufficient, PostingKind};
use crate::domain::postings;
use crate::ids::AffiliateId;
use crate::money::{Currency, Money};
use crate::storage;
use crate::storage::page::{Page, PageRequest};

use super::{Error, FieldIssue};

#[derive(Clone, Debug)]
pub struct NewAdjustment {
    pub affiliate_id: AffiliateId,
    /// Below zero: it is taken away, down to a debt.
    pub money: Money,
    pub reason: String,
    /// How long what is given stays pending.
    pub hold_days: u16,
}

pub async fn create(app: &App, actor: Actor, new: NewAdjustment) -> Result<Earning, Error> {
    let now = app.clock.now();
    super::affiliates::get(app, actor, new.affiliate_id).await?;
    let NewAdjustment { affiliate_id, money, reason, hold_days } = new;
    let release_at = now.plus(Duration::from_secs(u64::from(hold_days) * 86_400));
    let mut earning = Earning {
        reason: Some(reason.clone()),
        made_by: Some(actor.name()),
        ..Earning::new(affiliate_id, EarningKind::Adjustment, money, release_at, now)
    };
    let tx = app.db.begin().await?;
    let keys = BTreeSet::from([(affiliate_id, money.currency)]);
    let mut balances = storage::ledger::lock_balances(&tx, &keys).await?;
    let mut moved = Vec::new();
    if money.micros < 0 {
        let balance = balances.entry((affiliate_id, money.currency)).or_default();
        let taken = Money { micros: -money.micros, ..money };
        moved.push(postings::deducted(affiliate_id, earning.id, taken, &reason, balance, now));
        earning.release_at = now;
        earning.state = EarningState::Available;
        earning.released_at = Some(now);
    } else {
        let (key, cause) = (format!("adjustment:{}", earning.id), Cause::Earning(earning.id));
        moved.push(postings::earned(&earning, key, PostingKind::Adjusted, cause, now).noting(reason));
        if hold_days == 0 {
            moved.extend(earning::release(std::slice::from_mut(&mut earning), &mut balances, now));
        }
    }
    storage::earnings::insert(&tx, std::slice::from_ref(&earning)).await?;
    storage::ledger::post(&tx, &moved).await?;
    tx.commit().await?;
    Ok(earning)
}

/// Adds a rate; one of the same pair and moment stays as it is.
pub async fn add_rate(app: &App, rate: ExchangeRate) -> Result<ExchangeRate, Error> {
    if !storage::exchange_rates::insert(app.db.writer(), &rate).await? {
        let value = format!("{} to {} from {}", rate.from, rate.to, rate.valid_from);
        return Err(Error::Taken { what: "the exchange rate", value });
    }
    Ok(rate)
}

pub async fn list_rates(app: &App, page: PageRequest) -> Result<Page<ExchangeRate>, Error> {
    Ok(storage::exchange_rates::list(app.db.reader(), page).await?)
}

/// What an exchange moved.
#[derive(Clone, Copy, Debug)]
pub struct Exchanged {
    pub affiliate_id: AffiliateId,
    pub taken: Money,
    pub given: Money,
    pub rate: ExchangeRate,
    pub at: Timestamp,
}

/// Turns what is available in one currency into another at the rate of this moment: two postings, each in its currency.
pub async fn exchange(
    app: &App,
    actor: Actor,
    affiliate_id: AffiliateId,
    taken: Money,
    to: Currency,
) -> Result<Exchanged, Error> {
    let now = app.clock.now();
    super::affiliates::get(app, actor, affiliate_id).await?;
    let rate = storage::exchange_rates::find(app.db.reader(), taken.currency, to, now).await?;
    let rate = rate.ok_or_else(|| {
        let message =
            format!("there is no rate from {} to {to} yet; add one at /api/v1/exchange-rates", taken.currency);
        Error::Invalid(vec![FieldIssue::new("/to", "no_exchange_rate", message)])
    })?;
    let given = rate.rate.convert(taken, to);
    let tx = app.db.begin().await?;
    let keys = BTreeSet::from([(affiliate_id, taken.currency), (affiliate_id, to)]);
    let mut balances = storage::ledger::lock_balances(&tx, &keys).await?;
    let available = balances.entry((affiliate_id, taken.currency)).or_default().available;
    if taken.micros > available {
        let available = Money { micros: available, ..taken };
        return Err(Insufficient { available, requested: taken }.into());
    }
    let note = format!("{taken} to {given} at {}", rate.rate);
    let moved = postings::exchanged(affiliate_id, (taken, given), &note, &mut balances, now);
    storage::ledger::post(&tx, &moved).await?;
    tx.commit().await?;
    Ok(Exchanged { affiliate_id, taken, given, rate, at: now })
}
