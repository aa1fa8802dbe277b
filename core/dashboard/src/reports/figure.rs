//! The figures of reports: how each is counted, shown and compared. A figure is named by the order that the API has for it.

use domain::amounts::Currency;
use domain::reports::figures::{Figures, decimal};
use domain::reports::ranking::Sort;
use serde::Serialize;

use crate::parts::stat::{Change, Stat};
use crate::shell::format::Formats;
use crate::shell::texts::{Text, text};

/// The figures of affiliates and of staff, in the order of the columns.
pub const OF_AFFILIATES: [Sort; 6] =
    [Sort::Clicks, Sort::UniqueClicks, Sort::Conversions, Sort::ConversionRate, Sort::Payout, Sort::Epc];
pub const OF_STAFF: [Sort; 8] = [
    Sort::Clicks,
    Sort::Conversions,
    Sort::ConversionRate,
    Sort::Payout,
    Sort::Commissions,
    Sort::Revenue,
    Sort::Profit,
    Sort::Epc,
];

pub fn figures(is_staff: bool) -> &'static [Sort] {
    if is_staff { &OF_STAFF } else { &OF_AFFILIATES }
}

/// The figures that a report shows: commissions only if there are some.
pub fn shown_figures(is_staff: bool, totals: &Figures) -> Vec<Sort> {
    let has_commissions = totals.money.values().any(|sums| sums.commissions() > 0);
    figures(is_staff).iter().copied().filter(|it| *it != Sort::Commissions || has_commissions).collect()
}

/// The name of a figure. Payout is what affiliates earn.
pub fn name(figure: Sort) -> Text {
    text(&format!("report_figure.{figure}"))
}

/// What a figure counts, and at which date.
pub fn meaning(figure: Sort) -> Text {
    text(&format!("report_meaning.{figure}"))
}

/// The value of a figure: a number, millionths or micros. `None` for a rate without clicks, and for money without a currency.
pub fn value(figure: Sort, figures: &Figures, currency: Option<Currency>) -> Option<i128> {
    match figure {
        Sort::ConversionRate | Sort::Epc if figures.clicks() == 0 => None,
        Sort::Epc => currency.map(|currency| figures.epc(currency).unwrap_or(0)),
        _ if figure.is_of_money() && currency.is_none() => None,
        _ => Some(figure.value(figures, currency)),
    }
}

/// The value in the manner of the language, without its currency.
pub fn shown(figure: Sort, value: Option<i128>, formats: &Formats) -> String {
    let Some(value) = value else { return "–".to_owned() };
    match figure {
        Sort::ConversionRate => format!("{}\u{a0}%", formats.decimal(&cents(value * 100))),
        _ if figure.is_of_money() => formats.decimal(&cents(value)),
        _ => formats.number(u64::try_from(value).unwrap_or(0)),
    }
}

/// The value as files have it.
pub fn in_file(figure: Sort, value: Option<i128>) -> String {
    match value {
        None => String::new(),
        Some(value) if figure == Sort::ConversionRate || figure.is_of_money() => decimal(value),
        Some(value) => value.to_string(),
    }
}

/// Millionths with two decimals, rounded half away from zero.
fn cents(micros: i128) -> String {
    let cents = (micros.unsigned_abs() + 5_000) / 10_000;
    let sign = if micros < 0 && cents > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

/// A cell of a table: a value, and its change since the period before.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    value: String,
    change: Option<CellChange>,
}

#[derive(Clone, Debug, Serialize)]
struct CellChange {
    kind: &'static str,
    by: Text,
}

impl Cell {
    pub fn new(
        figure: Sort,
        now: &Figures,
        before: Option<&Figures>,
        currency: Option<Currency>,
        formats: &Formats,
    ) -> Self {
        let of = |figures| value(figure, figures, currency);
        let now = of(now);
        let change = before.and_then(|before| CellChange::new(of(before), now, formats));
        Self { value: shown(figure, now, formats), change }
    }
}

impl CellChange {
    /// A change in percent; one that rounds to nothing is none.
    fn new(before: Option<i128>, now: Option<i128>, formats: &Formats) -> Option<Self> {
        let (before, now) = (before.unwrap_or(0), now?);
        let kind = if now > before { "ok" } else { "bad" };
        if before == 0 {
            return (now > 0).then(|| Self { kind, by: text("report.new") });
        }
        let percent = percent(before, now);
        let sign = if percent < 0 { '\u{2212}' } else { '+' };
        let by = format!("{sign}{}\u{a0}%", formats.number(percent.unsigned_abs()));
        (percent != 0).then(|| Self { kind, by: crate::shell::texts::plain(by) })
    }
}

/// The change in percent, rounded; at most a million.
fn percent(before: i128, now: i128) -> i64 {
    let base = before.abs();
    let percent = (200 * (now - before) + base).div_euclid(2 * base);
    i64::try_from(percent.clamp(-1_000_000, 1_000_000)).expect("it is clamped")
}

/// A figure above a chart, with that of the period before.
pub fn stat(
    figure: Sort,
    now: &Figures,
    before: Option<&Figures>,
    currency: Option<Currency>,
    formats: &Formats,
) -> Stat {
    let of = |it: &Figures| value(figure, it, currency);
    let (now, before) = (of(now), before.map(of));
    Stat {
        name: name(figure),
        value: shown(figure, now, formats),
        unit: currency.filter(|_| figure.is_of_money()).map(|it| it.to_string()),
        change: before.and_then(|before| change(before, now, formats)),
        detail: before.map(|before| text("home.from").with("before", shown(figure, before, formats))),
    }
}

/// The change of a figure above the table, with its direction.
pub fn change(before: Option<i128>, now: Option<i128>, formats: &Formats) -> Option<Change> {
    let (before, now) = (before?, now?);
    let percent = if before == 0 { 0 } else { percent(before, now) };
    (percent != 0).then(|| Change::new(percent > 0, format!("{}\u{a0}%", formats.number(percent.unsigned_abs()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_and_compared() {
        let formats = Formats {
            language: Default::default(),
            zone: Default::default(),
            now: domain::timestamp::Timestamp::from_millis(0),
        };
        let show = |figure, value| shown(figure, value, &formats);
        assert_eq!(show(Sort::Payout, Some(1_284_505_000)), "1,284.51");
        assert_eq!(show(Sort::Profit, Some(-4_000)), "0.00");
        assert_eq!(show(Sort::ConversionRate, Some(42_857)), "4.29\u{a0}%");
        assert_eq!(show(Sort::Epc, None), "–");
        assert_eq!(
            (in_file(Sort::Epc, Some(1_785_714)), in_file(Sort::Clicks, Some(7))),
            ("1.785714".into(), "7".into())
        );
        assert_eq!((percent(200, 250), percent(200, 100), percent(-100, 50)), (25, -50, 150));
        let by = |before, now| CellChange::new(before, now, &formats).map(|it| (it.kind, it.by.say(&formats)));
        assert_eq!(by(Some(200), Some(250)), Some(("ok", "+25\u{a0}%".to_owned())));
        assert_eq!(by(Some(1_000), Some(1_001)), None);
        assert_eq!(by(None, Some(3)).unwrap().0, "ok");
        assert_eq!(by(Some(3), None), None);
    }

    #[test]
    fn staff_sees_commissions_if_there_are_some() {
        let mut totals = super::super::table::sample_figures(3);
        assert!(!shown_figures(true, &totals).contains(&Sort::Commissions));
        totals.money.values_mut().for_each(|sums| sums.deducted = 1);
        assert_eq!(shown_figures(true, &totals), OF_STAFF);
        assert_eq!(shown_figures(false, &totals), OF_AFFILIATES);
    }
}
