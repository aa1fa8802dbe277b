//! What happens when: the deeds of advertisers, finance, affiliates and networks, in the order of time.

use std::collections::{BTreeMap, HashMap};

#[derive(Clone, Debug)]
pub enum Deed {
    /// The advertiser reports a sale, or its new status.
    Report {
        sale: usize,
        status: &'static str,
    },
    /// The program rejects a sale.
    Reject {
        sale: usize,
        reason: &'static str,
    },
    Money(Step),
    /// A network sends a notification to a source.
    Notify(Notification),
    /// From now on a tracker answers with an error.
    BreakTracker,
}

/// What happens to money.
#[derive(Clone, Debug)]
pub enum Step {
    /// Bonuses, payout details and rates.
    SetUp,
    /// An affiliate requests a withdrawal, which later steps name.
    Request { name: &'static str, affiliate: usize, method: &'static str, amount: &'static str, currency: &'static str },
    /// Finance or the affiliate does something with a withdrawal: the verb of the API, a field of its body, and the value.
    Change { name: &'static str, verb: &'static str, field: &'static str, value: &'static str },
    /// Finance pays all approved withdrawals together; the bank paid all of them.
    PayBatch { method: &'static str, currency: &'static str },
}

/// The addresses of the sources.
pub struct Sources {
    /// The program's source, with a token.
    pub network: String,
    /// Ada's own source.
    pub own: String,
}

/// A request of a network.
#[derive(Clone, Debug)]
pub struct Notification {
    pub is_own: bool,
    pub query: String,
}

#[derive(Default)]
pub struct Agenda {
    /// The number of the deed keeps the order of deeds at one time.
    deeds: BTreeMap<(i64, usize), Deed>,
    added: usize,
    /// The ids of withdrawals by their names in [`Step`].
    pub withdrawals: HashMap<&'static str, String>,
    pub sources: Option<Sources>,
}

impl Agenda {
    /// `at` is in Unix milliseconds.
    pub fn add(&mut self, at: i64, deed: Deed) {
        self.added += 1;
        self.deeds.insert((at, self.added), deed);
    }

    /// Removes the first deed before `until`.
    pub fn take_before(&mut self, until: i64) -> Option<(i64, Deed)> {
        let first = self.deeds.first_entry().filter(|it| it.key().0 < until)?;
        let at = first.key().0;
        Some((at, first.remove()))
    }
}
