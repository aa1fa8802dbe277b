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
    /// Locks the counters of all conversions that may be recorded or counted, and reserves what all of them need together.
    pub async fn reserve<'a>(
        tx: &impl ConnectionTrait,
        new: impl Iterator<Item = (&'a Offer, &'a Conversion)>,
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        let mut unused: BTreeMap<Counter, Count> = BTreeMap::new();
        for (offer, conversion) in new.filter(|(_, conversion)| conversion.counts_for_caps()) {
            let more = Count::of(conversion.payout, offer.currency);
            for (_, counter) in counters(offer, conversion) {
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
    pub fn admit(&mut self, offer: &Offer, conversion: &Conversion) -> bool {
        if offer.terms.caps.limits.is_empty() || !conversion.counts_for_caps() {
            return true;
        }
        let more = Count::of(conversion.payout, offer.currency);
        let used = |counter: &Counter| self.used.get(counter).copied().unwrap_or_default();
        if !counters(offer, conversion).all(|(cap, counter)| cap.admits(used(&counter), more)) {
            return false;
        }
        self.count(offer, conversion);
        true
    }

    /// Uses the reservation of a conversion, whether its caps have room or not.
    pub fn count(&mut self, offer: &Offer, conversion: &Conversion) {
        let more = Count::of(conversion.payout, offer.currency);
        for (_, counter) in counters(offer, conversion) {
            if let Some(unused) = self.unused.get_mut(&counter) {
                *unused = unused.minus(more);
            }
            let used = self.used.entry(counter).or_default();
            *used = used.plus(more);
        }
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

/// The caps of a conversion, with the counters of the period in which it was recorded.
fn counters<'a>(offer: &'a Offer, conversion: &'a Conversion) -> impl Iterator<Item = (&'a Cap, Counter)> {
    let Conversion { affiliate_id, goal, created_at, .. } = conversion;
    offer.terms.caps.counters(offer.id, *affiliate_id, goal.as_deref(), *created_at)
}
