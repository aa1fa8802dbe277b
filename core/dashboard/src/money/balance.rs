//! The balance of an affiliate in one currency; currencies are never added up.

use domain::amounts::{Currency, Money};
use domain::money::earning::Earning;
use domain::money::statement::AccountSums;
use domain::people::actor::Actor;
use domain::program::affiliate::Affiliate;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::{balances, earnings};
use serde::Serialize;
use storage::base::page::PageRequest;

use crate::parts::list::{Choice, ListUrl};
use crate::shell::templates::Sum;
use crate::shell::texts::plain;

#[derive(Debug, Default, Serialize)]
pub struct BalanceCard {
    currencies: Vec<Choice>,
    #[serde(skip)]
    codes: Vec<Currency>,
    /// `None` before the first earning.
    sums: Option<Sums>,
    #[serde(skip)]
    chosen: Option<(Currency, AccountSums)>,
}

#[derive(Debug, Serialize)]
struct Sums {
    available: Sum,
    pending: Sum,
    withdrawing: Sum,
    lifetime: Sum,
    /// Shown if there is any.
    debt: Option<Sum>,
    next_release: Option<Release>,
}

/// The next earning whose hold ends.
#[derive(Debug, Serialize)]
struct Release {
    sum: Sum,
    at: Timestamp,
}

impl BalanceCard {
    /// The balance in the currency of the URL, or in the first one.
    pub async fn load(app: &App, actor: Actor, affiliate: &Affiliate, url: &ListUrl) -> Result<Self, Error> {
        let found = balances::list(app, actor, Some(affiliate.id), None, PageRequest::first(1)).await?.items;
        let wanted = url.get("currency");
        let is_wanted = |currency: Currency| wanted == Some(currency.code());
        let Some(chosen) = found.iter().find(|it| is_wanted(it.currency)).or(found.first()) else {
            return Ok(Self::default());
        };
        let currency = chosen.currency;
        let next = earnings::next_release(app, actor, affiliate.id, currency).await?;
        let choice = |it: Currency| Choice {
            url: url.with("currency", Some(it.code())),
            name: plain(it.code()),
            current: it == currency,
        };
        let sum = |micros| Sum::new(micros, currency);
        let sums = chosen.sums;
        Ok(Self {
            currencies: found.iter().map(|it| choice(it.currency)).collect(),
            codes: found.iter().map(|it| it.currency).collect(),
            chosen: Some((currency, sums)),
            sums: Some(Sums {
                available: sum(sums.available),
                pending: sum(sums.pending),
                withdrawing: sum(sums.withdrawing),
                lifetime: sum(sums.lifetime()),
                debt: (sums.debt > 0).then(|| sum(sums.debt)),
                next_release: next.map(|earning| Release::of(&earning, currency)),
            }),
        })
    }

    /// The currencies of all balances.
    pub fn codes(&self) -> &[Currency] {
        &self.codes
    }

    pub fn currency(&self) -> Option<Currency> {
        self.chosen.map(|(currency, _)| currency)
    }

    /// Whether there is money that can be withdrawn.
    pub fn is_available(&self) -> bool {
        self.chosen.is_some_and(|(_, sums)| sums.available > 0)
    }

    /// What can be withdrawn, and the debt.
    pub fn available_and_debt(&self) -> Option<(Money, Money)> {
        let (currency, sums) = self.chosen?;
        let money = |micros: i128| Money { micros: i64::try_from(micros).unwrap_or(i64::MAX), currency };
        Some((money(sums.available), money(sums.debt)))
    }

    #[cfg(test)]
    pub fn sample() -> Self {
        let currency: Currency = "USD".parse().expect("a currency");
        let sum = || Sum::new(1_284_500_000, currency);
        let choice = |current| Choice { url: "/?currency=EUR".into(), name: plain("EUR"), current };
        let next_release = Some(Release { sum: sum(), at: Timestamp::from_millis(0) });
        Self {
            currencies: vec![choice(true), choice(false)],
            codes: vec![currency, "EUR".parse().expect("a currency")],
            chosen: Some((currency, AccountSums { available: 1, ..AccountSums::default() })),
            sums: Some(Sums {
                available: sum(),
                pending: sum(),
                withdrawing: sum(),
                lifetime: sum(),
                debt: Some(sum()),
                next_release,
            }),
        }
    }
}

impl Release {
    fn of(earning: &Earning, currency: Currency) -> Self {
        Self { sum: Sum::new(earning.left.into(), currency), at: earning.release_at }
    }
}
