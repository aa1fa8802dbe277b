//! The figures of a period against the period before, and clicks and conversions by day. Affiliates read what a click
//! earns, staff what the program earns.

use chrono::NaiveDate;
use domain::amounts::Currency;
use domain::people::actor::Actor;
use domain::reports::aggregator::ReportQuery;
use domain::reports::calendar::{Unit, last_days, start_of_day};
use domain::reports::figures::Figures as Counted;
use domain::reports::keys::Key;
use domain::reports::ranking::Sort;
use domain::reports::{Filter, Group};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::reports::{self, ReportRequest};
use serde::Serialize;

use crate::parts::chart::{Graph, Plot};
use crate::parts::stat::{Change, Stat};
use crate::reports::figure;
use crate::shell::format::Formats;
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct Figures {
    stats: Vec<Stat>,
    days: u64,
    summary: Text,
    graph: Graph,
    table: Vec<Day>,
}

/// A row of the table behind the chart.
#[derive(Debug, Serialize)]
struct Day {
    at: Timestamp,
    clicks: u64,
    clicks_before: u64,
    conversions: u64,
}

/// The figures above the chart.
#[derive(Clone, Copy, Debug)]
pub enum Headlines {
    /// Conversion rate, and earnings per click in this currency.
    OfAffiliate(Option<Currency>),
    /// Revenue and profit, in the currency with the most of both.
    OfProgram,
}

/// # Errors
/// Too many reports are being computed, or the report takes too long.
pub async fn load(app: &App, viewer: &Viewer, actor: Actor, days: u32, headlines: Headlines) -> Result<Figures, Error> {
    let formats = viewer.formats;
    let (first, _) = last_days(2 * days, formats.now, formats.zone);
    let (middle, end) = last_days(days, formats.now, formats.zone);
    let by_day = async |from, until| {
        let query = ReportQuery { groups: vec![Group::Time(Unit::Day)], filter: Filter::default(), zone: formats.zone };
        let request = ReportRequest { query, from, until, currency: None, sort: Sort::Key, limit: usize::MAX };
        let counted = reports::series(app, actor, request).await?;
        Ok::<Vec<_>, Error>(counted.rows.into_iter().map(|(key, it)| (day_of(&key, &formats), it)).collect())
    };
    let (before, now) = futures::try_join!(by_day(first, middle), by_day(middle, end))?;
    Ok(Figures::new(&formats, &before, &now, headlines))
}

const OF_PROGRAM: [Sort; 4] = [Sort::Clicks, Sort::Conversions, Sort::Revenue, Sort::Profit];

/// The currency with the most revenue and payout.
fn main_currency(figures: &Counted) -> Option<Currency> {
    let most = figures.money.iter().max_by_key(|(_, sums)| sums.revenue.max(sums.payout))?;
    Some(*most.0)
}

/// The beginning of the day that a row is about.
fn day_of(key: &[Key], formats: &Formats) -> Timestamp {
    let date = match key.first() {
        Some(Key::Text(label)) => NaiveDate::parse_from_str(label, "%Y-%m-%d").ok(),
        _ => None,
    };
    start_of_day(date.expect("the key of a day is its date"), formats.zone)
}

impl Figures {
    fn new(
        formats: &Formats,
        before: &[(Timestamp, Counted)],
        now: &[(Timestamp, Counted)],
        headlines: Headlines,
    ) -> Self {
        let total = |days: &[(Timestamp, Counted)]| {
            let mut sum = Counted::default();
            days.iter().for_each(|(_, figures)| sum.add(figures));
            sum
        };
        let (total_before, total_now) = (total(before), total(now));
        let stats = match headlines {
            Headlines::OfAffiliate(currency) => stats(formats, &total_before, &total_now, currency),
            Headlines::OfProgram => {
                let currency = main_currency(&total_now).or(main_currency(&total_before));
                let shown: &[Sort] = if currency.is_some() { &OF_PROGRAM } else { &OF_PROGRAM[..2] };
                let stat = |it: &Sort| figure::stat(*it, &total_now, Some(&total_before), currency, formats);
                shown.iter().map(stat).collect()
            }
        };
        let clicks = |days: &[(Timestamp, Counted)]| days.iter().map(|(_, it)| it.clicks()).collect::<Vec<_>>();
        let (clicks_before, clicks_now) = (clicks(before), clicks(now));
        let conversions: Vec<u64> = now.iter().map(|(_, it)| it.conversions()).collect();
        let table = now.iter().enumerate().map(|(at, (day, it))| Day {
            at: *day,
            clicks: it.clicks(),
            clicks_before: clicks_before.get(at).copied().unwrap_or(0),
            conversions: it.conversions(),
        });
        let table: Vec<Day> = table.collect();
        let (first, last) = (now.first().map(|it| it.0), now.last().map(|it| it.0));
        let (first, last) = (first.unwrap_or(formats.now), last.unwrap_or(formats.now));
        Self {
            stats,
            days: now.len() as u64,
            summary: text("home.chart.summary")
                .with("clicks", formats.number(total_now.clicks()))
                .with("conversions", formats.number(total_now.conversions()))
                .day("from", first)
                .day("until", last),
            graph: graph(formats, &table, (&clicks_now, &clicks_before, &conversions)),
            table,
        }
    }

    #[cfg(test)]
    pub fn sample() -> Self {
        let now = Timestamp::from_millis(1_000_000_000);
        let formats = Formats { language: Default::default(), zone: Default::default(), now };
        let mut day = Counted { approved: 2, ..Counted::default() };
        day.flags[usize::from(domain::reports::packed::CLICK)] = 40;
        Self::new(&formats, &[(now, Counted::default())], &[(now, day)], Headlines::OfAffiliate("USD".parse().ok()))
    }
}

fn graph(formats: &Formats, days: &[Day], (clicks, before, conversions): (&[u64], &[u64], &[u64])) -> Graph {
    let largest = |values: &[u64]| values.iter().copied().max().unwrap_or(0);
    let label = |key: &str, values: &[u64]| {
        let best = days.iter().zip(values).max_by_key(|(_, value)| **value);
        let (at, most) = best.map_or((formats.now, 0), |(day, value)| (day.at, *value));
        text(key).with("most", formats.number(most)).day("day", at)
    };
    let most = largest(clicks).max(largest(before));
    let clicks = Plot::new(label("home.chart.clicks_label", clicks), "plot", 180.0, 4, most)
        .area("a1", clicks)
        .line("s1p", before)
        .line("s1", clicks);
    let bars = label("home.chart.conversions_label", conversions);
    let bars = Plot::new(bars, "plot plot-s", 90.0, 2, largest(conversions)).bars("b2", conversions);
    let titles = days.iter().map(|day| {
        text("home.chart.day")
            .with("day", formats.weekday(day.at))
            .with("clicks", formats.number(day.clicks))
            .with("before", formats.number(day.clicks_before))
            .with("conversions", formats.number(day.conversions))
    });
    let at: Vec<Timestamp> = days.iter().map(|day| day.at).collect();
    Graph::new(vec![clicks, bars], &at, titles.collect())
}

fn stats(formats: &Formats, before: &Counted, now: &Counted, currency: Option<Currency>) -> Vec<Stat> {
    let count = |key: &str, before: u64, now: u64| Stat {
        name: text(key),
        value: formats.number(now),
        unit: None,
        change: change(before as f64, now as f64, |by| {
            formats.percent(if before == 0 { 1.0 } else { by / before as f64 }, 0)
        }),
        detail: from(formats.number(before)),
    };
    let rate = |figures: &Counted| figures.conversion_rate().unwrap_or(0) as f64 / 1_000_000.0;
    let percent = |share: f64| formats.percent(share, 2);
    let mut stats = vec![
        count("home.clicks", before.clicks(), now.clicks()),
        count("home.conversions", before.conversions(), now.conversions()),
        Stat {
            name: text("home.conversion_rate"),
            value: percent(rate(now)),
            unit: None,
            change: change(rate(before), rate(now), |by| formats.decimal(&format!("{:.2}", by * 100.0))),
            detail: from(percent(rate(before))),
        },
    ];
    if let Some(currency) = currency {
        let epc = |figures: &Counted| figures.epc(currency).unwrap_or(0) as f64 / 1_000_000.0;
        let amount = |epc: f64| formats.decimal(&format!("{epc:.2}"));
        stats.push(Stat {
            name: text("home.epc"),
            value: amount(epc(now)),
            unit: Some(currency.to_string()),
            change: change(epc(before), epc(now), amount),
            detail: from(amount(epc(before))),
        });
    }
    stats
}

fn from(before: String) -> Option<Text> {
    Some(text("home.from").with("before", before))
}

/// A change that rounds to nothing is none.
fn change(before: f64, now: f64, shown: impl Fn(f64) -> String) -> Option<Change> {
    let by = shown((now - before).abs());
    if before == 0.0 || by.chars().all(|it| !it.is_ascii_digit() || it == '0') {
        return None;
    }
    Some(Change::new(now > before, by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_reads_revenue_and_profit_in_its_main_currency() {
        use domain::reports::figures::Sums;

        let now = Timestamp::from_millis(1_000_000_000);
        let formats = Formats { language: Default::default(), zone: Default::default(), now };
        let mut day = Counted { approved: 2, ..Counted::default() };
        let shown = |day: &Counted| {
            let figures =
                Figures::new(&formats, &[(now, Counted::default())], &[(now, day.clone())], Headlines::OfProgram);
            figures.stats.iter().map(|it| (it.value.clone(), it.unit.clone())).collect::<Vec<_>>()
        };
        assert_eq!(shown(&day).len(), 2, "no money");
        for (currency, revenue) in [("EUR", 1_000_000), ("USD", 20_000_000)] {
            let sums = Sums { revenue, payout: 500_000, ..Sums::default() };
            day.money.insert(currency.parse().unwrap(), sums);
        }
        let usd = Some("USD".to_owned());
        assert_eq!(shown(&day)[2..], [("20.00".to_owned(), usd.clone()), ("19.50".to_owned(), usd)]);
    }

    #[test]
    fn a_change_has_a_direction_and_nothing_is_no_change() {
        let by = |before, now| change(before, now, |by| format!("{by:.2}"));
        let shown = |change: Option<Change>| serde_json::to_value(change).unwrap();
        let up = shown(by(1.0, 1.5));
        assert_eq!((up["kind"].as_str(), up["by"].as_str()), (Some("ok"), Some("0.50")));
        assert_eq!(shown(by(1.5, 1.0))["icon"], "arrow-down-right");
        assert!(by(1.0, 1.001).is_none() && by(0.0, 5.0).is_none());
    }
}
