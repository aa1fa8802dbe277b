//! Cap reservations. They are reserved in the transaction that records the conversions, so that two conversions cannot
//! both use the last part of a cap.
//!
//! One statement adds to the counters what a batch may need, and returns the counts. A second statement subtracts what
//! the batch did not use. It is skipped if the batch used everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::{ConnectionTrait, DbErr};

use domain::amounts::{ACCOUNT_MAX, Currency, Money};
use domain::money::exchange::Rate;
use domain::program::cap::{Cap, Count, Counted, Counter, Place};
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
    rates: Rates,
    now: Option<Timestamp>,
}

/// Whether the caps of an offer have room for a new conversion.
pub enum Room {
    /// No cap counts it.
    Free,
    /// It has a place.
    Taken(Counted),
    /// A cap is exhausted.
    Full,
    /// A cap limits the payout, and no rate from its currency to the offer's is stored.
    NoExchangeRate,
}

/// Exchange rates from currencies of payouts to those of offers.
#[derive(Debug, Default)]
pub struct Rates(HashMap<(Currency, Currency), Rate>);

impl Rates {
    /// Loads the rates that the caps of these offers need for these payouts. Usually there are none.
    pub async fn load<'a>(
        tx: &impl ConnectionTrait,
        payouts: impl Iterator<Item = (&'a Offer, Option<Money>)>,
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        let pair = |(offer, payout): (&Offer, Option<Money>)| Some((payout?.currency, offer.currency));
        let foreign = payouts.filter(|(offer, _)| offer.terms.caps.limits.iter().any(Cap::limits_payout));
        let foreign = foreign.filter_map(pair);
        let pairs: BTreeSet<_> = foreign.filter(|(from, to)| from != to).collect();
        let mut rates = HashMap::new();
        for (from, to) in pairs {
            if let Some(found) = storage::money::exchange_rates::find(tx, from, to, now).await? {
                rates.insert((from, to), found.rate);
            }
        }
        Ok(Self(rates))
    }

    /// A payout in micros of the offer's currency; `None` without a rate.
    fn micros(&self, offer: &Offer, payout: Option<Money>) -> Option<i64> {
        let Some(payout) = payout.filter(|it| it.micros != 0) else { return Some(0) };
        if payout.currency == offer.currency {
            return Some(payout.micros);
        }
        let rate = self.0.get(&(payout.currency, offer.currency))?;
        Some(i64::try_from(rate.convert(payout.micros.into())).unwrap_or(ACCOUNT_MAX).min(ACCOUNT_MAX))
    }

    /// A corrected payout in micros of the offer's currency. In the same foreign currency it counts at the rate of the
    /// payout `before`, of which `counted` micros are counted.
    fn corrected(&self, offer: &Offer, counted: i64, before: Option<Money>, after: Option<Money>) -> Option<i64> {
        match (before, after) {
            (before, after) if before == after => Some(counted),
            (Some(before), Some(after))
                if before.currency == after.currency && after.currency != offer.currency && before.micros > 0 =>
            {
                let micros = i128::from(counted) * i128::from(after.micros) / i128::from(before.micros);
                Some(i64::try_from(micros).unwrap_or(ACCOUNT_MAX).min(ACCOUNT_MAX))
            }
            _ => self.micros(offer, after),
        }
    }
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
        let mut unused: BTreeMap<Counter, Count> = known.map(|counter| (counter, Count::default())).collect();
        for (offer, conversion) in new.filter(|(_, conversion)| conversion.counts_for_caps()) {
            let payout_micros = rates.micros(offer, conversion.payout).unwrap_or_default();
            for (_, counter) in counters(offer, conversion) {
                let sum = unused.entry(counter).or_default();
                *sum = sum.plus(Count { conversions: 1, payout_micros });
            }
        }
        if unused.is_empty() {
            return Ok(Self { rates, now: Some(now), ..Self::default() });
        }
        let mut used = storage::program::caps::add(tx, &unused, now).await?;
        for (counter, added) in &unused {
            if let Some(count) = used.get_mut(counter) {
                *count = count.minus(*added);
            }
        }
        Ok(Self { used, unused, rates, now: Some(now) })
    }

    /// Whether every cap of the offer admits a conversion.
    pub fn admits(&self, offer: &Offer, conversion: &Conversion) -> bool {
        matches!(self.room(offer, conversion), Room::Free | Room::Taken(_))
    }

    /// Takes a place for a new conversion, if every cap of the offer admits it.
    pub fn admit(&mut self, offer: &Offer, conversion: &Conversion) -> Room {
        match self.room(offer, conversion) {
            Room::Taken(_) => Room::Taken(self.count(offer, conversion)),
            other => other,
        }
    }

    fn room(&self, offer: &Offer, conversion: &Conversion) -> Room {
        if offer.terms.caps.limits.is_empty() || !conversion.counts_for_caps() {
            return Room::Free;
        }
        let is_limited = counters(offer, conversion).any(|(cap, _)| cap.limits_payout());
        let payout_micros = match self.rates.micros(offer, conversion.payout) {
            None if is_limited => return Room::NoExchangeRate,
            micros => micros.unwrap_or_default(),
        };
        let more = Count { conversions: 1, payout_micros };
        if !counters(offer, conversion).all(|(cap, counter)| cap.admits(self.used(&counter), more)) {
            return Room::Full;
        }
        Room::Taken(self.counted(offer, conversion))
    }

    fn counted(&self, offer: &Offer, conversion: &Conversion) -> Counted {
        let payout_micros = self.rates.micros(offer, conversion.payout).unwrap_or_default();
        let places = counters(offer, conversion).map(|(_, counter)| Place::from(counter)).collect();
        Counted { payout_micros, places }
    }

    /// Takes a place for a conversion that a person approves, whether its caps have room or not.
    pub fn count(&mut self, offer: &Offer, conversion: &Conversion) -> Counted {
        let counted = self.counted(offer, conversion);
        self.add(conversion, &counted, counted.count(1));
        counted
    }

    /// Gives the place of a conversion back.
    pub fn give_back(&mut self, conversion: &Conversion, counted: &Counted) {
        self.add(conversion, counted, Count::default().minus(counted.count(1)));
    }

    /// Whether the caps that count the conversion admit this payout instead of its present one. A lower payout is always
    /// admitted.
    pub fn admits_payout(&self, offer: &Offer, conversion: &Conversion, payout: Option<Money>) -> bool {
        let Some(counted) = &conversion.trace.counted else { return true };
        let held: BTreeSet<_> = counted.counters(offer.id, conversion.affiliate_id).collect();
        let mut limits = counters(offer, conversion).filter(|(cap, it)| cap.limits_payout() && held.contains(it));
        match self.rates.corrected(offer, counted.payout_micros, conversion.payout, payout) {
            Some(micros) if micros <= counted.payout_micros => true,
            Some(micros) => {
                let more = micros - counted.payout_micros;
                limits.all(|(cap, counter)| cap.admits_payout(self.used(&counter), more))
            }
            None => limits.next().is_none(),
        }
    }

    /// Counts the present payout of a conversion instead of the one `before`, which was counted.
    pub fn count_payout(
        &mut self,
        offer: &Offer,
        conversion: &Conversion,
        before: Option<Money>,
        counted: &mut Counted,
    ) {
        let micros = self.rates.corrected(offer, counted.payout_micros, before, conversion.payout).unwrap_or_default();
        let more = Count { conversions: 0, payout_micros: micros - counted.payout_micros };
        self.add(conversion, counted, more);
        counted.payout_micros = micros;
    }

    fn used(&self, counter: &Counter) -> Count {
        self.used.get(counter).copied().unwrap_or_default()
    }

    fn add(&mut self, conversion: &Conversion, counted: &Counted, more: Count) {
        if more == Count::default() {
            return;
        }
        for counter in counted.counters(conversion.offer_id, conversion.affiliate_id) {
            let unused = self.unused.entry(counter.clone()).or_default();
            *unused = unused.minus(more);
            let used = self.used.entry(counter).or_default();
            *used = used.plus(more);
        }
    }

    /// Releases the unused reservations, and takes what was used without one.
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

/// The counters of a conversion in the period in which it was recorded.
pub fn counters<'a>(offer: &'a Offer, conversion: &'a Conversion) -> impl Iterator<Item = (&'a Cap, Counter)> {
    let Conversion { affiliate_id, goal, created_at, .. } = conversion;
    offer.terms.caps.counters(offer.id, *affiliate_id, goal.as_deref(), *created_at)
}
