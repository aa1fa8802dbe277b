//! Affiliates whose releases are deferred.

use std::collections::HashSet;
use std::sync::Mutex;

use domain::amounts::Currency;
use domain::ids::AffiliateId;
use domain::money::earning::Earning;

/// The affiliates whose earnings cannot be released now. The set is kept so that each error is logged once and not at
/// every retry. Without a currency, all currencies of the affiliate are deferred.
#[derive(Debug, Default)]
pub struct DeferredReleases(Mutex<HashSet<(AffiliateId, Option<Currency>)>>);

impl DeferredReleases {
    /// Adds an affiliate. Returns `false` if it was in the set before.
    pub fn insert(&self, affiliate: AffiliateId, currency: Option<Currency>) -> bool {
        self.0.lock().expect("nothing panics while it is held").insert((affiliate, currency))
    }

    /// Removes the affiliates of earnings that were released.
    pub fn remove(&self, released: &[Earning]) {
        let mut deferred = self.0.lock().expect("nothing panics while it is held");
        if !deferred.is_empty() {
            for it in released {
                deferred.remove(&(it.affiliate_id, Some(it.earned.currency)));
                deferred.remove(&(it.affiliate_id, None));
            }
        }
    }
}
