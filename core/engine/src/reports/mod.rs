//! Reports: counts the packed rows, and the raw rows that are not packed yet, in one snapshot of the database.
//!
//! docs/architecture/reports.md explains why no row is missing and no row is counted twice.

pub mod comparison;
mod rollup;
mod scopes;
pub(crate) mod state;
mod verify;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbErr};
use tokio::sync::mpsc;

use crate::app::App;
use domain::amounts::Currency;
use domain::ids::{floor_uuid, time_of};
use domain::people::actor::Actor;
use domain::reports::aggregator::{Aggregator, ReportQuery};
use domain::reports::calendar::{QUARTER_MS, labels, quarter};
use domain::reports::figures::Figures;
use domain::reports::keys::Key;
use domain::reports::packed::{Columns, Damaged, SCOPES, SEGMENT_ROWS, pack_clicks, pack_conversions};
use domain::reports::ranking::{Ranked, Sort, rank};
use domain::reports::{Group, Scope};
use domain::timestamp::Timestamp;
use storage::reports::{Subject, damaged, id_before, row_of_click, row_of_conversion};

use super::Error;
use super::heavy::thread;

pub use rollup::{needed_from, rebuild, roll_up, rolled_up_until};
use scopes::Scopes;
pub use verify::verify;

/// The span of segments that is read at once: first a day, then more or less, so that a window has about [`WINDOW_BYTES`],
/// which limits the memory of a report. A longer span could suddenly have much more data than the one before.
const WINDOW_MS: i64 = 24 * 60 * 60 * 1_000;
const LONGEST_WINDOW_MS: i64 = 8 * WINDOW_MS;
const WINDOW_BYTES: usize = 8 << 20;

/// A query and its period, in whole quarters of an hour.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    pub query: ReportQuery,
    pub from: Timestamp,
    /// Exclusive.
    pub until: Timestamp,
    /// Counts only amounts in this currency. `None`: amounts in all currencies.
    pub currency: Option<Currency>,
    pub sort: Sort,
    /// The maximum number of rows.
    pub limit: usize,
}

/// Computes a report. The report of an affiliate contains only its own rows.
///
/// # Errors
/// The filter names another affiliate, or the rows have amounts in several currencies and are sorted by money.
pub async fn report(app: &App, actor: Actor, request: ReportRequest) -> Result<Ranked, Error> {
    let groups = request.query.groups.clone();
    let [ranked] = report_each(app, actor, request, [groups]).await?;
    Ok(ranked)
}

/// Computes a report for each grouping of the same rows. The rows are read once, in one snapshot.
pub async fn report_each<const N: usize>(
    app: &App,
    actor: Actor,
    mut it: ReportRequest,
    groupings: [Vec<Group>; N],
) -> Result<[Ranked; N], Error> {
    confine(actor, &mut it.query)?;
    let queries = groupings.map(|groups| ReportQuery { groups, ..it.query.clone() });
    let counting = count(app.clone(), queries.to_vec(), (it.from, it.until));
    let mut counted = app.heavy.compute(actor, counting).await?;
    for rows in &mut counted {
        if let Some(wanted) = it.currency {
            rows.iter_mut().for_each(|(_, figures)| figures.money.retain(|known, _| *known == wanted));
        }
        if it.sort.is_of_money() && it.currency.is_none() {
            it.currency = the_currency(rows)?;
        }
        if !actor.is_staff() {
            rows.iter_mut().for_each(|(_, figures)| hide_revenue(figures));
        }
    }
    let mut counted = counted.into_iter();
    Ok(queries.map(|query| {
        let rows = counted.next().expect("every query is answered");
        rank(rows, &query.groups, (it.sort, it.currency), it.limit)
    }))
}

/// Computes a report by one unit of time, with a row for each unit of the period.
pub async fn series(app: &App, actor: Actor, it: ReportRequest) -> Result<Ranked, Error> {
    let Some(Group::Time(unit)) = it.query.groups.first().copied() else {
        return Err(Error::invalid("/interval", "must be hour, day, week or month"));
    };
    let (from, to, zone) = (it.from, it.until, it.query.zone);
    let mut ranked = report(app, actor, ReportRequest { sort: Sort::Key, limit: usize::MAX, ..it }).await?;
    let mut counted: HashMap<_, _> = ranked.rows.into_iter().collect();
    let fill = |label| {
        let key = vec![Key::Text(label)];
        let figures = counted.remove(&key).unwrap_or_default();
        (key, figures)
    };
    let rows = labels(unit, from, to, zone).into_iter().map(fill).collect();
    ranked.rows = rows;
    Ok(ranked)
}

/// Restricts the query of an affiliate to its own rows.
fn confine(actor: Actor, query: &mut ReportQuery) -> Result<(), Error> {
    if let Some(own) = actor.confined_to() {
        match query.filter.affiliate_id {
            Some(other) if other != own => return Err(Error::not_found("affiliate", other)),
            _ => query.filter.affiliate_id = Some(own),
        }
    }
    Ok(())
}

fn hide_revenue(figures: &mut Figures) {
    for sums in figures.money.values_mut() {
        sums.revenue = 0;
    }
}

/// The currency by which rows are sorted: the only one of the rows. Amounts in several currencies cannot be compared.
fn the_currency(rows: &[Counted]) -> Result<Option<Currency>, Error> {
    let all: BTreeSet<Currency> = rows.iter().flat_map(|(_, figures)| figures.money.keys().copied()).collect();
    if all.len() > 1 {
        let all = all.iter().map(Currency::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("there are amounts in {all}, which cannot be compared; add the parameter currency");
        return Err(Error::invalid("/sort", message));
    }
    Ok(all.into_iter().next())
}

/// A row of a report: its key in each group, and its figures.
type Counted = (Vec<Key>, Figures);

/// Computes the rows of each query, without an order. All queries have the same filter.
async fn count(
    app: App,
    queries: Vec<ReportQuery>,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Vec<Counted>>, Error> {
    let tx = app.db.begin_report().await?;
    let scopes = app.reports.scopes.lock().await.refresh(&tx).await?.clone();
    let (mut counting, mut parts) = (Vec::new(), Vec::new());
    for query in &queries {
        let mut aggregator = Aggregator::new(query.clone());
        aggregator.add_scopes(scopes.list());
        let (sender, received) = mpsc::channel(READ_AHEAD);
        counting.push(thread::run("report-count", move || count_parts(aggregator, received)));
        parts.push(sender);
    }
    let mut reading = Reading { scopes, parts };
    let read = async {
        clicks(&tx, &mut reading, &queries, from, to).await?;
        conversions(&tx, &mut reading, &queries, from, to).await
    };
    let read = read.await;
    drop(reading);
    let mut answers = Vec::new();
    for aggregator in counting {
        let aggregator = aggregator.await.expect("the thread returns a result, or its panic is logged");
        // If counting failed, reading ended with an error too. The error of counting has the cause.
        answers.push(aggregator.map_err(damaged)?.rows());
    }
    read?;
    tx.rollback().await?;
    Ok(answers)
}

/// Rows to count, in the order in which they are read.
#[derive(Clone)]
enum Part {
    Scope(Scope),
    Clicks(Timestamp, Arc<Columns>),
    Conversions(Timestamp, Arc<Columns>),
}

impl Part {
    fn clicks(quarter: Timestamp, columns: Columns) -> Self {
        Self::Clicks(quarter, Arc::new(columns))
    }

    fn conversions(quarter: Timestamp, columns: Columns) -> Self {
        Self::Conversions(quarter, Arc::new(columns))
    }
}

/// The maximum number of segments that are read and not counted yet.
const READ_AHEAD: usize = 16;

/// Counts on a separate thread while the next segments are read.
fn count_parts(mut aggregator: Aggregator, mut parts: mpsc::Receiver<Part>) -> Result<Aggregator, Damaged> {
    while let Some(part) = parts.blocking_recv() {
        match part {
            Part::Scope(scope) => aggregator.add_scopes(&[scope]),
            Part::Clicks(quarter, columns) => aggregator.add_clicks(quarter, &columns)?,
            Part::Conversions(quarter, columns) => aggregator.add_conversions(quarter, &columns)?,
        }
    }
    Ok(aggregator)
}

/// The columns that any of the queries needs.
fn columns(queries: &[ReportQuery]) -> Vec<u8> {
    let columns: BTreeSet<u8> = queries.iter().flat_map(ReportQuery::columns).collect();
    columns.into_iter().collect()
}

/// Sends the rows that are read to the threads that count them.
struct Reading {
    /// The scopes of the table, and new scopes that only raw rows have.
    scopes: Scopes,
    /// One channel for each thread that counts.
    parts: Vec<mpsc::Sender<Part>>,
}

impl Reading {
    /// The number of a scope. A new scope is sent to the counting threads first.
    async fn number(&mut self, scope: Scope) -> Result<u32, DbErr> {
        let (number, is_new) = self.scopes.number(scope);
        if is_new {
            self.send(Part::Scope(scope)).await?;
        }
        Ok(number)
    }

    async fn send(&self, part: Part) -> Result<(), DbErr> {
        for counting in &self.parts {
            counting.send(part.clone()).await.map_err(|_| damaged(Damaged))?;
        }
        Ok(())
    }
}

/// Reads the clicks of a period: packed ones as segments, later ones as raw rows.
async fn clicks(
    tx: &impl ConnectionTrait,
    reading: &mut Reading,
    queries: &[ReportQuery],
    from: Timestamp,
    to: Timestamp,
) -> Result<(), DbErr> {
    let packed = storage::reports::find_progress(tx, Subject::Clicks).await?.until;
    let by_scope = queries.iter().all(ReportQuery::is_by_scope);
    let columns = if by_scope { vec![SCOPES] } else { columns(queries) };
    let mut windows = Windows::new(from, to.min(packed));
    while let Some(window) = windows.next() {
        let segments = storage::reports::list_segments(tx, Subject::Clicks, window, &columns).await?;
        windows.adapt(bytes(&segments));
        for (segment, columns) in segments {
            reading.send(Part::clicks(quarter(segment), columns)).await?;
        }
    }
    let mut after = id_before(floor_uuid(from.max(packed)));
    loop {
        let raw = storage::reports::list_raw_clicks(tx, (after, floor_uuid(to)), SEGMENT_ROWS).await?;
        let full = raw.len() == SEGMENT_ROWS;
        let Some(last) = raw.last() else { return Ok(()) };
        after = last.id.0;
        let mut raw = raw.into_iter().peekable();
        while let Some(first) = raw.peek() {
            let this = quarter(time_of(first.id.0));
            let mut rows = Vec::new();
            while let Some(click) = raw.next_if(|it| quarter(time_of(it.id.0)) == this) {
                rows.push(row_of_click(reading.number(click.scope).await?, click));
            }
            reading.send(Part::clicks(this, pack_clicks(rows))).await?;
        }
        if !full {
            return Ok(());
        }
    }
}

/// Reads the conversions of a period: packed quarters as segments; changed quarters and later ones as raw rows.
async fn conversions(
    tx: &impl ConnectionTrait,
    reading: &mut Reading,
    queries: &[ReportQuery],
    from: Timestamp,
    to: Timestamp,
) -> Result<(), DbErr> {
    let packed = storage::reports::find_progress(tx, Subject::Conversions).await?.until;
    let mut raw_quarters = storage::reports::list_conversion_quarters(tx, from.max(packed), to).await?;
    if packed > from {
        let changed = storage::reports::list_changed_quarters(tx, packed, END_OF_TIME, (from, to)).await?;
        raw_quarters.extend(changed);
    }
    let columns = columns(queries);
    let mut windows = Windows::new(from, to.min(packed));
    while let Some(window) = windows.next() {
        let segments = storage::reports::list_segments(tx, Subject::Conversions, window, &columns).await?;
        windows.adapt(bytes(&segments));
        for (segment, columns) in segments {
            if !raw_quarters.contains(&quarter(segment)) {
                reading.send(Part::conversions(quarter(segment), columns)).await?;
            }
        }
    }
    for this in raw_quarters {
        let end = Timestamp::from_millis(this.millis() + QUARTER_MS);
        let mut after = id_before(floor_uuid(this));
        loop {
            let raw = storage::reports::list_raw_conversions(tx, (after, floor_uuid(end)), SEGMENT_ROWS).await?;
            let full = raw.len() == SEGMENT_ROWS;
            let Some(last) = raw.last() else { break };
            after = last.id.0;
            let mut rows = Vec::with_capacity(raw.len());
            for it in raw {
                rows.push(row_of_conversion(reading.number(it.scope).await?, it));
            }
            reading.send(Part::conversions(this, pack_conversions(rows))).await?;
            if !full {
                break;
            }
        }
    }
    Ok(())
}

/// A time after all ids.
const END_OF_TIME: Timestamp = Timestamp::from_millis((1 << 48) - 1);

/// The size of the packed data.
fn bytes(segments: &[(Timestamp, Columns)]) -> usize {
    segments.iter().flat_map(|(_, columns)| columns).map(|(_, data)| data.len()).sum()
}

/// Consecutive windows of a period. Windows become shorter if they contain much data, and longer if they contain
/// little.
struct Windows {
    at: i64,
    end: i64,
    length_ms: i64,
}

impl Windows {
    fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { at: from.millis(), end: to.millis(), length_ms: WINDOW_MS }
    }

    fn next(&mut self) -> Option<(Timestamp, Timestamp)> {
        let (start, end) = (self.at, self.end.min(self.at.saturating_add(self.length_ms)));
        self.at = end;
        (start < end).then(|| (Timestamp::from_millis(start), Timestamp::from_millis(end)))
    }

    /// Adapts the length of the next window to the size of the last one.
    fn adapt(&mut self, bytes: usize) {
        if bytes > WINDOW_BYTES {
            self.length_ms = (self.length_ms / 4).max(QUARTER_MS);
        } else if bytes < WINDOW_BYTES / 8 {
            self.length_ms = (self.length_ms * 2).min(LONGEST_WINDOW_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_period_once_for_any_size() {
        const DAYS: i64 = 50;
        for (bytes, longest, shortest) in [
            (0, LONGEST_WINDOW_MS, WINDOW_MS),
            (usize::MAX, WINDOW_MS, QUARTER_MS),
            (WINDOW_BYTES, WINDOW_MS, WINDOW_MS),
        ] {
            let mut windows = Windows::new(Timestamp::from_millis(0), Timestamp::from_millis(DAYS * WINDOW_MS));
            let (mut at, mut lengths) = (0, Vec::new());
            while let Some((from, to)) = windows.next() {
                assert_eq!(from.millis(), at);
                lengths.push(to.millis() - at);
                at = to.millis();
                windows.adapt(bytes);
            }
            assert_eq!(at, DAYS * WINDOW_MS);
            lengths.pop();
            assert_eq!((lengths.iter().max(), lengths.iter().min()), (Some(&longest), Some(&shortest)));
        }
        assert_eq!(Windows::new(Timestamp::from_millis(5), Timestamp::from_millis(5)).next(), None);
    }
}
