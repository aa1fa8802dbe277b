//! Cap reservations. They are reserved in the transaction that records the conversions, so that two conversions cannot
//! both use the last part of a cap.
//!
//! One statement adds to the counters what a batch may need, and returns the counts. A second statement subtracts what
//! the batch did not use. It is skipped if the batch used everything.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr};

use domain::program::cap::{Cap, Count, Counter};
use domain::program::offer::Offer;
use domain::timestamp::Timestamp;
use domain::tracking::conversion::Conversion;

/// The reservations of one batch.
#[derive(Debug, Default)]
pub struct Reservations {
    /// Counts of conversions that other batches recorded or that this batch admitted.
    used: BTreeMap<Counter, Count>,
    /// Reserved by this batch and not used yet.
    unused: BTreeMap<Counter, Count>,
    now: Option<Timestamp>,
}

impl Reservations {
    /// Locks the counters of all conversions that may be recorded, and reserves what all of them need together.
    pub async fn reserve<'a>(
        tx: &impl ConnectionTrait,
        new: impl Iterator<Item = (&'a Offer, &'a Conversion)>,
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        let mut unused: BTreeMap<Counter, Count> = BTreeMap::new();
        for (offer, conversion) in new.filter(|(_, conversion)| conversion.counts_for_caps()) {
            let more = Count::of(conversion.payout, offer.currency);
            for (_, counter) in counters(offer, conversion, now) {
                let sum = unused.entry(counter).or_default();
                *sum = sum.plus(more);
            }
        }
        if unused.is_empty() {
            return Ok(Self::default());
        }
        let mut used = storage::program::caps::add(tx, &unused, now).await?;
        for (counter, added) in &unused {
            if let Some(count) = used.get_mut(counter) {
                *count = count.minus(*added);
            }
        }
        Ok(Self { used, unused, now: Some(now) })
    }

    /// Whether every cap of the offer admits the conversion. If so, the conversion uses its reservation.
    pub fn admit(&mut self, offer: &Offer, conversion: &Conversion, now: Timestamp) -> bool {
        if offer.terms.caps.limits.is_empty() || !conversion.counts_for_caps() {
            return true;
        }
        let more = Count::of(conversion.payout, offer.currency);
        let counters: Vec<_> = counters(offer, conversion, now).collect();
        let used = |counter: &Counter| self.used.get(counter).copied().unwrap_or_default();
        if !counters.iter().all(|(cap, counter)| cap.admits(used(counter), more)) {
            return false;
        }
        for (_, counter) in counters {
            if let Some(unused) = self.unused.get_mut(&counter) {
                *unused = unused.minus(more);
            }
            let used = self.used.entry(counter).or_default();
            *used = used.plus(more);
        }
        true
    }

    /// Releases the unused reservations.
    pub async fn release(&mut self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        let unused: BTreeMap<Counter, Count> = std::mem::take(&mut self.unused)
            .into_iter()
            .filter(|(_, count)| *count != Count::default())
            .map(|(counter, count)| (counter, Count::default().minus(count)))
            .collect();
        if let (false, Some(now)) = (unused.is_empty(), self.now) {
            storage::program::caps::add(tx, &unused, now).await?;
        }
        Ok(())
    }
}

fn counters<'a>(
    offer: &'a Offer,
    conversion: &'a Conversion,
    now: Timestamp,
) -> impl Iterator<Item = (&'a Cap, Counter)> {
    offer.terms.caps.counters(offer.id, conversion.affiliate_id, conversion.goal.as_deref(), now)
}
