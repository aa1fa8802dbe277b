//! A report beside that of the period before, with the series of its first group over time.

use std::collections::{BTreeSet, HashMap};

use super::{ReportRequest, report, report_each};
use crate::Error;
use crate::app::App;
use domain::amounts::Currency;
use domain::people::actor::Actor;
use domain::reports::Group;
use domain::reports::calendar::{Unit, labels};
use domain::reports::figures::Figures;
use domain::reports::keys::Key;
use domain::reports::ranking::{Ranked, Sort, added_up, rank};
use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;

/// A period: its beginning, and its end, which is not part of it.
pub type Span = (Timestamp, Timestamp);

/// A report whose rows know the figures of the period before.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The currencies of all amounts of the period.
    pub currencies: Vec<Currency>,
    /// The currency by which rows are sorted: the wanted one, or the first.
    pub currency: Option<Currency>,
    pub rows: Vec<ComparedRow>,
    /// The sums of the rows beyond the limit, and their number.
    pub rest: Figures,
    pub rest_rows: usize,
    pub totals: Figures,
    /// `None` without a comparison.
    pub totals_before: Option<Figures>,
    /// The figures by unit of time, and by the first group if it has few values.
    pub series: Vec<(Vec<Key>, Figures)>,
    /// The series of the period before. Its times are those of the period, by their order.
    pub series_before: Vec<(Vec<Key>, Figures)>,
}

#[derive(Debug)]
pub struct ComparedRow {
    pub keys: Vec<Key>,
    pub figures: Figures,
    /// `None` without a comparison; without figures if the period before has no such row.
    pub before: Option<Figures>,
}

/// Computes a report, its series by `unit`, and both for the period `before`, at the same time. Each period is read once. Rows
/// by time have the newest first.
///
/// # Errors
/// The filter names another affiliate, or too many reports are being computed.
pub async fn compare(
    app: &App,
    actor: Actor,
    request: ReportRequest,
    unit: Unit,
    before: Option<Span>,
) -> Result<Comparison, Error> {
    let groups = request.query.groups.clone();
    let mut of_series = vec![Group::Time(unit)];
    of_series.extend(groups.first().copied().filter(|group| group.has_few_values()));
    let zone = request.query.zone;
    let span = (request.from, request.until);
    let all = ReportRequest { currency: None, sort: Sort::Key, limit: usize::MAX, ..request.clone() };
    let earlier = async {
        let Some(before) = before else { return Ok(None) };
        let request = ReportRequest { from: before.0, until: before.1, ..all.clone() };
        both(app, actor, request, &groups, &of_series).await.map(|counted| Some((before, counted)))
    };
    let ((rows, series), earlier) = futures::try_join!(both(app, actor, all.clone(), &groups, &of_series), earlier)?;
    let mut compared = Comparison::new(rows, &request);
    compared.series = series.rows;
    if let Some((before, (mut rows, mut series))) = earlier {
        shift(&mut rows.rows, &groups, zone, before, span);
        shift(&mut series.rows, &of_series, zone, before, span);
        compared.series_before = series.rows;
        compared.add_before(rows);
    }
    Ok(compared)
}

/// The rows of a report, and its series. A report by time is its own series, and the rows of one by a group with few values
/// are the sums of its series.
async fn both(
    app: &App,
    actor: Actor,
    request: ReportRequest,
    groups: &[Group],
    of_series: &[Group],
) -> Result<(Ranked, Ranked), Error> {
    if groups == of_series {
        let rows = report(app, actor, request).await?;
        return Ok((rows.clone(), rows));
    }
    if let [_, of_first] = of_series
        && groups == [*of_first]
    {
        let mut request = request;
        request.query.groups = of_series.to_vec();
        let series = report(app, actor, request).await?;
        let rows = rank(added_up(&series.rows, 1), groups, (Sort::Key, None), usize::MAX);
        return Ok((rows, series));
    }
    let [rows, series] = report_each(app, actor, request, [groups.to_vec(), of_series.to_vec()]).await?;
    Ok((rows, series))
}

/// The currencies of these figures.
pub fn currencies_of<'a>(all: impl IntoIterator<Item = &'a Figures>) -> Vec<Currency> {
    let found: BTreeSet<Currency> = all.into_iter().flat_map(|it| it.money.keys().copied()).collect();
    found.into_iter().collect()
}

impl Comparison {
    fn new(counted: Ranked, request: &ReportRequest) -> Self {
        let currencies = currencies_of([&counted.totals]);
        let currency = request.currency.or(currencies.first().copied());
        let groups = &request.query.groups;
        let mut ranked = rank(counted.rows, groups, (request.sort, currency), usize::MAX);
        if request.sort == Sort::Key && matches!(groups.first(), Some(Group::Time(_))) {
            ranked.rows.reverse();
        }
        let beyond = ranked.rows.split_off(request.limit.min(ranked.rows.len()));
        let mut rest = Figures::default();
        beyond.iter().for_each(|(_, figures)| rest.add(figures));
        let row = |(keys, figures)| ComparedRow { keys, figures, before: None };
        Self {
            currencies,
            currency,
            rows: ranked.rows.into_iter().map(row).collect(),
            rest,
            rest_rows: beyond.len(),
            totals: ranked.totals,
            ..Self::default()
        }
    }

    fn add_before(&mut self, before: Ranked) {
        self.totals_before = Some(before.totals);
        let mut known: HashMap<_, _> = before.rows.into_iter().collect();
        for row in &mut self.rows {
            row.before = Some(known.remove(&row.keys).unwrap_or_default());
        }
    }
}

/// Gives rows of an earlier period the times of a later one, by their order: the first day is compared with the first day.
/// A time beyond the end of the later period stays, and has no counterpart.
fn shift(rows: &mut [(Vec<Key>, Figures)], groups: &[Group], zone: Zone, from: Span, to: Span) {
    for (at, group) in groups.iter().enumerate() {
        let Group::Time(unit) = *group else { continue };
        let later = labels(unit, to.0, to.1, zone);
        let times: HashMap<String, String> = labels(unit, from.0, from.1, zone).into_iter().zip(later).collect();
        for (keys, _) in rows.iter_mut() {
            if let Some(Key::Text(label)) = keys.get_mut(at)
                && let Some(later) = times.get(label)
            {
                label.clone_from(later);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_day_is_compared_with_the_first_day() {
        let zone = Zone::default();
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let span = |from: &str, until: &str| (at(from), at(until));
        let key = |day: &str| vec![Key::Text("DE".into()), Key::Text(day.to_owned())];
        let mut rows = ["2026-10-30", "2026-10-31", "2026-10-29"].map(|day| (key(day), Figures::default()));
        let groups = [Group::Dimension(domain::reports::Dimension::Country), Group::Time(Unit::Day)];
        let (before, now) = (span("2026-10-29", "2026-11-01"), span("2026-11-01", "2026-11-03"));
        shift(&mut rows, &groups, zone, before, now);
        // The third day has no counterpart.
        assert_eq!(rows.map(|(keys, _)| keys), ["2026-11-02", "2026-10-31", "2026-11-01"].map(key));
    }
}
