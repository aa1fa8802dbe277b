//! Places under the caps of offers: taken in the transaction that records the conversions, so that no two of them get
//! the last one.
//!
//! A group adds what it may need to its counters in one statement, and learns what was there before. What did not fit
//! is given back by a second one, which a group with room for all never runs.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr};

use domain::program::cap::{Cap, Count, Counter};
use domain::program::offer::Offer;
use domain::timestamp::Timestamp;
use domain::tracking::conversion::Conversion;

/// What the counters of a group hold.
#[derive(Debug, Default)]
pub struct Places {
    /// Taken so far: by others, and by what this group admitted.
    taken: BTreeMap<Counter, Count>,
    /// Added for this group and not yet used.
    spare: BTreeMap<Counter, Count>,
    now: Option<Timestamp>,
}

impl Places {
    /// Holds the counters of all that may be created, and adds to them as if all fitted in.
    pub async fn take<'a>(
        tx: &impl ConnectionTrait,
        new: impl Iterator<Item = (&'a Offer, &'a Conversion)>,
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        let mut spare: BTreeMap<Counter, Count> = BTreeMap::new();
        for (offer, conversion) in new.filter(|(_, conversion)| conversion.counts_for_caps()) {
            let more = Count::of(conversion.payout, offer.currency);
            for (_, counter) in counters(offer, conversion, now) {
                let sum = spare.entry(counter).or_default();
                *sum = sum.plus(more);
            }
        }
        if spare.is_empty() {
            return Ok(Self::default());
        }
        let mut taken = storage::program::caps::add(tx, &spare, now).await?;
        for (counter, added) in &spare {
            if let Some(count) = taken.get_mut(counter) {
                *count = count.minus(*added);
            }
        }
        Ok(Self { taken, spare, now: Some(now) })
    }

    /// Whether this one fits in under every cap of its offer; then it has its place.
    pub fn admit(&mut self, offer: &Offer, conversion: &Conversion, now: Timestamp) -> bool {
        if offer.terms.caps.limits.is_empty() || !conversion.counts_for_caps() {
            return true;
        }
        let more = Count::of(conversion.payout, offer.currency);
        let counters: Vec<_> = counters(offer, conversion, now).collect();
        let taken = |counter: &Counter| self.taken.get(counter).copied().unwrap_or_default();
        if !counters.iter().all(|(cap, counter)| cap.admits(taken(counter), more)) {
            return false;
        }
        for (_, counter) in counters {
            if let Some(spare) = self.spare.get_mut(&counter) {
                *spare = spare.minus(more);
            }
            let taken = self.taken.entry(counter).or_default();
            *taken = taken.plus(more);
        }
        true
    }

    /// What was added and is not needed goes back.
    pub async fn give_back(&mut self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        let spare = std::mem::take(&mut self.spare);
        let back: BTreeMap<Counter, Count> = spare
            .into_iter()
            .filter(|(_, count)| *count != Count::default())
            .map(|(counter, count)| (counter, Count::default().minus(count)))
            .collect();
        if let (false, Some(now)) = (back.is_empty(), self.now) {
            storage::program::caps::add(tx, &back, now).await?;
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
