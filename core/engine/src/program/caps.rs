//! Cap reservations. They are reserved in the transaction that records the conversions, so that two conversions cannot
//! both use the last part of a cap.
//!
//! One statement adds to the counters what a batch may need, and returns the counts. A second statement subtracts what
//! the batch did not use. It is skipped if the batch used everything.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr};

use domain::amounts::Money;
use domain::program::cap::{Count, Counter};
use domain::program::offer::Offer;
use domain::program::places::{Places, Rates, counters, needed_rates};
use domain::timestamp::Timestamp;
use domain::tracking::conversion::Conversion;

/// The reservations of one batch.
#[derive(Debug, Default)]
pub struct Reservations {
    /// The places that conversions of the batch take and give back.
    pub places: Places,
    reserved: BTreeMap<Counter, Count>,
    now: Option<Timestamp>,
}

/// Loads the rates that the caps of these offers need for these payouts.
pub async fn load_rates<'a>(
    tx: &impl ConnectionTrait,
    payouts: impl Iterator<Item = (&'a Offer, Option<Money>)>,
    now: Timestamp,
) -> Result<Rates, DbErr> {
    let mut rates = Vec::new();
    for (from, to) in needed_rates(payouts) {
        if let Some(found) = storage::money::exchange_rates::find(tx, from, to, now).await? {
            rates.push(((from, to), found.rate));
        }
    }
    Ok(rates.into_iter().collect())
}

impl Reservations {
    /// Locks the counters of all conversions that may be recorded or counted, and reserves what the new ones need
    /// together. `known` are the counters that changes of known conversions may need.
    pub async fn reserve<'a>(
        tx: &impl ConnectionTrait,
        new: impl Iterator<Item = (&'a Offer, &'a Conversion)>,
        known: impl Iterator<Item = Counter>,
        rates: Rates,
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        let mut reserved: BTreeMap<Counter, Count> = known.map(|counter| (counter, Count::default())).collect();
        for (offer, conversion) in new.filter(|(_, conversion)| conversion.counts_for_caps()) {
            let payout_micros = rates.micros(offer, conversion.payout).unwrap_or_default();
            for (_, counter) in counters(offer, conversion) {
                let sum = reserved.entry(counter).or_default();
                *sum = sum.plus(Count { conversions: 1, payout_micros });
            }
        }
        let mut used = BTreeMap::new();
        if !reserved.is_empty() {
            used = storage::program::caps::add(tx, &reserved, now).await?;
        }
        for (counter, added) in &reserved {
            if let Some(count) = used.get_mut(counter) {
                *count = count.minus(*added);
            }
        }
        Ok(Self { places: Places::new(used, rates), reserved, now: Some(now) })
    }

    /// Releases the unused reservations, and takes what was used without one.
    pub async fn release(&mut self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        let mut missing = self.places.take_changes();
        for (counter, reserved) in std::mem::take(&mut self.reserved) {
            let count = missing.entry(counter).or_default();
            *count = count.minus(reserved);
        }
        missing.retain(|_, count| *count != Count::default());
        if let (false, Some(now)) = (missing.is_empty(), self.now) {
            storage::program::caps::add(tx, &missing, now).await?;
        }
        Ok(())
    }
}
