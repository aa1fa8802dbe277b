//! The chart of a report: one figure over time, of all rows against the period before, or of the largest values of a first
//! group that has few.

use std::collections::HashMap;

use domain::amounts::Currency;
use domain::reports::Group;
use domain::reports::calendar::{Unit, labels};
use domain::reports::figures::Figures;
use domain::reports::keys::Key;
use domain::reports::ranking::Sort;
use engine::Error;
use engine::app::App;
use engine::reports::comparison::{Comparison, Span};
use serde::Serialize;

use super::figure;
use super::key;
use crate::parts::chart::{Graph, Plot};
use crate::shell::format::Formats;
use crate::shell::texts::{Text, plain, text};

/// The marks of lines: their class and how the legend shows it.
const LINES: [(&str, &str); 3] = [("s1", "1"), ("s2", "2"), ("s3", "3")];
const BEFORE: (&str, &str) = ("s1p", "p");

#[derive(Debug, Serialize)]
pub struct Chart {
    title: Text,
    /// A sentence with the largest value.
    summary: Text,
    legend: Vec<Legend>,
    graph: Graph,
}

#[derive(Debug, Serialize)]
struct Legend {
    mark: &'static str,
    name: Text,
}

/// A line of the chart.
struct Line {
    style: (&'static str, &'static str),
    name: Text,
    values: Vec<Option<i128>>,
}

/// What is drawn.
pub struct Axis<'a> {
    pub figure: Sort,
    pub currency: Option<Currency>,
    pub unit: Unit,
    pub span: Span,
    pub formats: &'a Formats,
}

impl Axis<'_> {
    fn labels(&self) -> Vec<String> {
        labels(self.unit, self.span.0, self.span.1, self.formats.zone)
    }

    fn values(&self, labels: &[String], rows: &HashMap<&str, &Figures>) -> Vec<Option<i128>> {
        let value = |label: &String| match rows.get(label.as_str()) {
            Some(figures) => figure::value(self.figure, figures, self.currency),
            None => Some(0),
        };
        labels.iter().map(value).collect()
    }

    /// The chart of all rows against the period before, or of the three largest values of the first group.
    pub async fn chart(&self, app: &App, first: Group, compared: &Comparison) -> Result<Option<Chart>, Error> {
        let labels = self.labels();
        if labels.len() < 2 {
            return Ok(None);
        }
        let mut lines = Vec::new();
        if !first.has_few_values() {
            let name = text("report.this_period");
            lines.push(Line { style: LINES[0], name, values: self.values(&labels, &by_time(&compared.series)) });
            if compared.totals_before.is_some() {
                let values = self.values(&labels, &by_time(&compared.series_before));
                lines.push(Line { style: BEFORE, name: text("report.before"), values });
            }
        } else {
            for (style, (key, rows)) in LINES.into_iter().zip(self.largest(&compared.series)) {
                let name = key::name(app, first, key, self.formats).await?;
                lines.push(Line { style, name, values: self.values(&labels, &rows) });
            }
        }
        Ok(Some(self.draw(&labels, lines)))
    }

    /// The values of the first group with their figures by time, largest first.
    fn largest<'a>(&self, series: &'a [(Vec<Key>, Figures)]) -> Vec<(&'a Key, HashMap<&'a str, &'a Figures>)> {
        let mut by_key: HashMap<&Key, (Figures, HashMap<&str, &Figures>)> = HashMap::new();
        for (keys, figures) in series {
            let [Key::Text(label), key] = &keys[..] else { continue };
            let (sum, rows) = by_key.entry(key).or_default();
            sum.add(figures);
            rows.insert(label, figures);
        }
        let mut largest: Vec<_> = by_key.into_iter().filter(|(key, _)| !matches!(key, Key::Other)).collect();
        largest.sort_by_key(|(key, (sum, _))| (std::cmp::Reverse(self.figure.value(sum, self.currency)), *key));
        largest.into_iter().map(|(key, (_, rows))| (key, rows)).take(LINES.len()).collect()
    }

    /// How many of the figure's own units are one on the axis.
    fn units(&self) -> u64 {
        match self.figure {
            Sort::ConversionRate => 10_000,
            figure if figure.is_of_money() => 1_000_000,
            _ => 1,
        }
    }

    fn draw(&self, labels: &[String], lines: Vec<Line>) -> Chart {
        let formats = self.formats;
        let drawn = |value: &Option<i128>| u64::try_from(value.unwrap_or(0)).unwrap_or(0);
        let all = lines.iter().flat_map(|line| line.values.iter().map(drawn));
        let largest = all.max().filter(|it| *it > 0).unwrap_or(self.units());
        let shown = |value: Option<i128>| figure::shown(self.figure, value, formats);
        let best = lines.first().and_then(|line| line.values.iter().enumerate().max_by_key(|(_, value)| **value));
        let (at, most) = best.map_or((0, None), |(at, value)| (at, *value));
        let time = |at: usize| labels.get(at).map_or_else(|| plain(""), |it| key::time_name(self.unit, it, formats));
        let name = self.name();
        let summary = text("report.chart_label").inner("figure", name.clone()).with("most", shown(most));
        let summary = summary.inner("time", time(at));
        let mut plot = Plot::new(summary.clone(), "plot", 180.0, 4, largest).in_units(self.units());
        if let [line] | [line, Line { style: BEFORE, .. }] = &lines[..] {
            plot = plot.area("a1", &line.values.iter().map(drawn).collect::<Vec<_>>());
        }
        for line in lines.iter().rev() {
            plot = plot.line(line.style.0, &line.values.iter().map(drawn).collect::<Vec<_>>());
        }
        let title = |at: usize| {
            let values = lines.iter().map(|line| format!("{} {}", line.name.say(formats), shown(line.values[at])));
            let values = values.collect::<Vec<_>>().join(", ");
            text("report.point").inner("time", time(at)).with("values", values)
        };
        let titles = (0..labels.len()).map(title).collect();
        let names: Vec<_> = labels.iter().map(|label| key::short_name(self.unit, label, formats)).collect();
        let by = text(&format!("report_unit.{}", self.unit));
        Chart {
            title: text("report.chart_title").inner("figure", name).inner("unit", by),
            summary,
            legend: lines.into_iter().map(|line| Legend { mark: line.style.1, name: line.name }).collect(),
            graph: Graph::over(vec![plot], &names, titles),
        }
    }

    /// The figure with its currency.
    fn name(&self) -> Text {
        let name = figure::name(self.figure);
        match self.currency.filter(|_| self.figure.is_of_money()) {
            Some(currency) => text("report.in_currency").inner("figure", name).with("currency", currency.code()),
            None => name,
        }
    }

    #[cfg(test)]
    pub fn sample(formats: &Formats) -> Chart {
        let usd = Some("USD".parse().expect("a currency"));
        let span = domain::reports::calendar::last_days(2, formats.now, formats.zone);
        let axis = Axis { figure: Sort::Payout, currency: usd, unit: Unit::Day, span, formats };
        let line = |style, name: &str| Line { style, name: plain(name), values: vec![Some(0), Some(14_700_000)] };
        axis.draw(
            &axis.labels(),
            vec![line(LINES[0], "Poland <b>"), line(LINES[1], "Germany"), line(LINES[2], "France")],
        )
    }
}

fn by_time(series: &[(Vec<Key>, Figures)]) -> HashMap<&str, &Figures> {
    let mut rows = HashMap::new();
    for (keys, figures) in series {
        if let [Key::Text(label)] = &keys[..] {
            rows.insert(label.as_str(), figures);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use domain::reports::zone::Zone;
    use domain::timestamp::Timestamp;

    use super::super::table::sample_figures;
    use super::*;

    #[test]
    fn the_largest_values_are_drawn_and_gaps_are_nothing() {
        let now = Timestamp::parse("2026-11-30T12:00:00Z").unwrap();
        let formats = Formats { language: Default::default(), zone: Zone::default(), now };
        let span = domain::reports::calendar::last_days(2, now, formats.zone);
        let axis = Axis { figure: Sort::Conversions, currency: None, unit: Unit::Day, span, formats: &formats };
        let row =
            |day: &str, key: &str, count| (vec![Key::Text(day.into()), Key::Text(key.into())], sample_figures(count));
        let series = [row("2026-11-29", "DE", 2), row("2026-11-30", "FR", 5), row("2026-11-30", "DE", 4)];
        let largest = axis.largest(&series);
        assert_eq!(
            largest.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
            [&Key::Text("DE".into()), &Key::Text("FR".into())]
        );
        assert_eq!(axis.values(&axis.labels(), &largest[1].1), [Some(0), Some(5)]);
    }
}
