//! Places under the caps of offers, while conversions are recorded: which conversion has room, and what is counted.

#[cfg(test)]
mod histories;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::amounts::{ACCOUNT_MAX, Currency, Money};
use crate::money::exchange::Rate;
use crate::tracking::attribution::Ruling;
use crate::tracking::conversion::{Conversion, Status};

use super::cap::{Cap, Count, Counted, Counter, Place};
use super::offer::Offer;

/// Whether the caps of an offer have room for a conversion.
enum Room {
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
#[derive(Clone, Debug, Default)]
pub struct Rates(HashMap<(Currency, Currency), Rate>);

/// The pairs of currencies, from and to, for which the caps of these offers need a rate to count these payouts. Usually
/// there are none.
pub fn needed_rates<'a>(payouts: impl Iterator<Item = (&'a Offer, Option<Money>)>) -> BTreeSet<(Currency, Currency)> {
    let limited = payouts.filter(|(offer, _)| offer.terms.caps.limits.iter().any(Cap::limits_payout));
    let pairs = limited.filter_map(|(offer, payout)| Some((payout?.currency, offer.currency)));
    pairs.filter(|(from, to)| from != to).collect()
}

impl FromIterator<((Currency, Currency), Rate)> for Rates {
    fn from_iter<T: IntoIterator<Item = ((Currency, Currency), Rate)>>(rates: T) -> Self {
        Self(rates.into_iter().collect())
    }
}

impl Rates {
    /// A payout in micros of the offer's currency; `None` without a rate.
    pub fn micros(&self, offer: &Offer, payout: Option<Money>) -> Option<i64> {
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

/// The places that are taken under caps.
#[derive(Debug, Default)]
pub struct Places {
    used: BTreeMap<Counter, Count>,
    /// What was added to the counts, or taken from them.
    changes: BTreeMap<Counter, Count>,
    rates: Rates,
}

impl Places {
    /// The places of these counters.
    pub fn new(used: BTreeMap<Counter, Count>, rates: Rates) -> Self {
        Self { used, changes: BTreeMap::new(), rates }
    }

    /// What was added to the counts since they were read, or taken from them.
    pub fn take_changes(&mut self) -> BTreeMap<Counter, Count> {
        std::mem::take(&mut self.changes)
    }

    /// Takes a place for a new conversion, or applies what the offer does beyond its caps.
    pub fn admit(&mut self, offer: &Offer, conversion: &mut Conversion) {
        let caps = &offer.terms.caps;
        conversion.trace.uncounted = conversion.is_uncounted_by(caps);
        match self.room(offer, conversion) {
            Room::Free => {}
            Room::Taken(counted) => {
                self.add(conversion, &counted, counted.count());
                conversion.trace.counted = Some(counted);
            }
            Room::Full => conversion.apply_over_cap(caps.over),
            Room::NoExchangeRate => {
                conversion.hold_by(Ruling::NoExchangeRate);
                conversion.trace.uncounted = true;
            }
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

    /// Whether there is a place for a rejected conversion with this payout. Without one, only a person approves it.
    pub fn has_place(&self, offer: &Offer, conversion: &Conversion, payout: Option<Money>) -> bool {
        let approved = || Conversion { status: Status::Approved, payout, ..conversion.clone() };
        !conversion.trace.uncounted || matches!(self.room(offer, &approved()), Room::Free | Room::Taken(_))
    }

    /// After a change of the status: counts a conversion that was approved after a rejection or a hold, whether the caps
    /// have room or not, and gives the place of a rejected one back. Returns whether something changed.
    pub fn follow_status(&mut self, offer: &Offer, conversion: &mut Conversion) -> bool {
        let is_rejected = conversion.status.reason().is_some();
        match conversion.trace.counted.take() {
            Some(counted) if is_rejected && !offer.terms.caps.keep_rejected => {
                self.add(conversion, &counted, Count::default().minus(counted.count()));
                conversion.trace.uncounted = true;
                true
            }
            None if conversion.trace.uncounted && conversion.status == Status::Approved => {
                let counted = self.counted(offer, conversion);
                self.add(conversion, &counted, counted.count());
                conversion.trace.uncounted = false;
                conversion.trace.counted = Some(counted);
                true
            }
            counted => {
                conversion.trace.counted = counted;
                false
            }
        }
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

    /// After a correction: counts the present payout instead of the one `before`, if that was counted, or notes that the
    /// caps had no room for the corrected one. Returns whether something changed.
    pub fn follow_payout(
        &mut self,
        offer: &Offer,
        conversion: &mut Conversion,
        (before, was_counted): (Option<Money>, bool),
        has_room: bool,
    ) -> bool {
        // One that got its place by the same report is counted with its present payout.
        if was_counted
            && conversion.payout != before
            && let Some(mut counted) = conversion.trace.counted.take()
        {
            let micros = self.rates.corrected(offer, counted.payout_micros, before, conversion.payout);
            let micros = micros.unwrap_or_default();
            let more = Count { conversions: 0, payout_micros: micros - counted.payout_micros };
            self.add(conversion, &counted, more);
            counted.payout_micros = micros;
            conversion.trace.counted = Some(counted);
        }
        let changed = conversion.trace.correction_over_cap == has_room;
        conversion.trace.correction_over_cap = !has_room;
        changed
    }

    fn used(&self, counter: &Counter) -> Count {
        self.used.get(counter).copied().unwrap_or_default()
    }

    fn add(&mut self, conversion: &Conversion, counted: &Counted, more: Count) {
        if more == Count::default() {
            return;
        }
        for counter in counted.counters(conversion.offer_id, conversion.affiliate_id) {
            let changed = self.changes.entry(counter.clone()).or_default();
            *changed = changed.plus(more);
            let used = self.used.entry(counter).or_default();
            *used = used.plus(more);
        }
    }
}

/// The counters of a conversion in the period in which it was recorded.
pub fn counters<'a>(offer: &'a Offer, conversion: &'a Conversion) -> impl Iterator<Item = (&'a Cap, Counter)> {
    let Conversion { affiliate_id, goal, created_at, .. } = conversion;
    offer.terms.caps.counters(offer.id, *affiliate_id, goal.as_deref(), *created_at)
}
