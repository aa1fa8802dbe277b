//! The order of a report's rows, and which of them are shown.

use std::collections::HashMap;

use crate::amounts::Currency;
use crate::timestamp::Timestamp;

use super::Group;
use super::calendar::{Unit, start_of_hour};
use super::figures::Figures;
use super::keys::Key;

/// What rows are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// By their keys, ascending; times in chronological order.
    Key,
    /// Impressions.
    Impressions,
    /// Clicks.
    Clicks,
    /// Unique clicks.
    UniqueClicks,
    /// Conversions in any status.
    Conversions,
    /// Approved conversions.
    Approved,
    /// Conversion rate.
    ConversionRate,
    /// What affiliates earn.
    Payout,
    /// Revenue.
    Revenue,
    /// Second-tier commissions.
    Commissions,
    /// Revenue less what affiliates earn and commissions.
    Profit,
    /// Earnings per click.
    Epc,
}

text_enum!(Sort {
    Key => "key", Impressions => "impressions", Clicks => "clicks", UniqueClicks => "unique_clicks",
    Conversions => "conversions", Approved => "approved", ConversionRate => "conversion_rate", Payout => "payout",
    Revenue => "revenue", Commissions => "commissions", Profit => "profit", Epc => "epc",
});

impl Sort {
    /// Whether the order needs a currency.
    pub fn is_of_money(self) -> bool {
        matches!(self, Self::Payout | Self::Revenue | Self::Commissions | Self::Profit | Self::Epc)
    }

    /// The figure by which rows are sorted: a count, millionths, or micros of the currency; −1 for a rate without clicks.
    pub fn value(self, it: &Figures, currency: Option<Currency>) -> i128 {
        let sums = currency.and_then(|currency| it.money.get(&currency)).copied().unwrap_or_default();
        match self {
            Self::Key => 0,
            Self::Impressions => it.impressions().into(),
            Self::Clicks => it.clicks().into(),
            Self::UniqueClicks => it.unique_clicks().into(),
            Self::Conversions => it.conversions().into(),
            Self::Approved => it.approved.into(),
            Self::ConversionRate => it.conversion_rate().unwrap_or(-1),
            Self::Payout => sums.earned(),
            Self::Revenue => sums.revenue,
            Self::Commissions => sums.commissions(),
            Self::Profit => sums.profit(),
            Self::Epc => currency.and_then(|currency| it.epc(currency)).unwrap_or(-1),
        }
    }
}

/// The first rows of an order, and sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranked {
    /// The first rows: keys and figures.
    pub rows: Vec<(Vec<Key>, Figures)>,
    /// The sum of the rows that are not shown.
    pub rest: Figures,
    /// The number of the rows that are not shown.
    pub rest_rows: usize,
    /// The sum of all rows.
    pub totals: Figures,
}

/// The rows of a report by several groups, added up by one of them.
pub fn added_up(rows: &[(Vec<Key>, Figures)], group: usize) -> Vec<(Vec<Key>, Figures)> {
    let mut sums: HashMap<Key, Figures> = HashMap::new();
    for (keys, figures) in rows {
        sums.entry(keys[group].clone()).or_default().add(figures);
    }
    sums.into_iter().map(|(key, figures)| (vec![key], figures)).collect()
}

/// Sorts rows, largest first, or by key, smallest first; equal rows by their keys. Keeps `limit` rows.
pub fn rank(
    mut rows: Vec<(Vec<Key>, Figures)>,
    groups: &[Group],
    (sort, currency): (Sort, Option<Currency>),
    limit: usize,
) -> Ranked {
    let mut ranked = Ranked::default();
    for (_, figures) in &rows {
        ranked.totals.add(figures);
    }
    rows.sort_by_cached_key(|(keys, figures)| (std::cmp::Reverse(sort.value(figures, currency)), place(groups, keys)));
    let rest = rows.split_off(limit.min(rows.len()));
    ranked.rest_rows = rest.len();
    for (_, figures) in &rest {
        ranked.rest.add(figures);
    }
    ranked.rows = rows;
    ranked
}

/// The sort key of a row's keys: hours by time, everything else by its text or id.
fn place(groups: &[Group], keys: &[Key]) -> Vec<(Option<Timestamp>, Key)> {
    let at = |(group, key): (&Group, &Key)| match (group, key) {
        (Group::Time(Unit::Hour), Key::Text(label)) => start_of_hour(label),
        _ => None,
    };
    groups.iter().zip(keys).map(|it| (at(it), it.1.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_up_by_one_of_their_groups() {
        let key = |text: &str| Key::Text(text.into());
        let row = |keyword, page, approved| (vec![key(keyword), key(page)], Figures { approved, ..Figures::default() });
        let rows = [row("a", "x", 1), row("a", "y", 2), row("b", "x", 4)];
        let sums = |group| {
            let mut sums: Vec<_> = added_up(&rows, group).into_iter().map(|(keys, it)| (keys, it.approved)).collect();
            sums.sort();
            sums
        };
        assert_eq!(sums(0), [(vec![key("a")], 3), (vec![key("b")], 4)]);
        assert_eq!(sums(1), [(vec![key("x")], 5), (vec![key("y")], 2)]);
    }
}
