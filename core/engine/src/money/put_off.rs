//! Releases that are put off.

use std::collections::HashSet;
use std::sync::Mutex;

use domain::amounts::Currency;
use domain::ids::AffiliateId;
use domain::money::earning::Earning;

/// Whose earnings are put off, so that each trouble is logged once and not at every try.
#[derive(Debug, Default)]
pub struct PutOff(Mutex<HashSet<(AffiliateId, Option<Currency>)>>);

impl PutOff {
    /// Whether this is news.
    pub fn begins(&self, affiliate: AffiliateId, currency: Option<Currency>) -> bool {
        self.0.lock().expect("nothing panics while it is held").insert((affiliate, currency))
    }

    pub fn ended(&self, released: &[Earning]) {
        let mut known = self.0.lock().expect("nothing panics while it is held");
        if !known.is_empty() {
            for it in released {
                known.remove(&(it.affiliate_id, Some(it.earned.currency)));
                known.remove(&(it.affiliate_id, None));
            }
        }
    }
}
