//! Queries of reports: the raw rows that are packed or counted ([`raw`]), and the packed segments.

mod raw;

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use uuid::Uuid;

use domain::ids::{ClickId, ConversionId, EventId, LinkId, floor_uuid, time_of};
use domain::reports::Scope;
use domain::reports::calendar::{QUARTER_MS, quarter};
use domain::reports::packed::{Columns, Damaged, VERSION, check_version};
use domain::timestamp::Timestamp;

use super::base::bulk::{Rows, Type};

pub use raw::{
    RawClick, RawConversion, insert_visits, list_raw_clicks, list_raw_conversions, row_of_click, row_of_conversion,
};

/// The rows that are packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    Clicks = 0,
    Conversions = 1,
}

/// The state of the roll-up of a subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// All clicks before this time are packed. The packed conversions have the state after all events before this time.
    pub until: Timestamp,
    /// Is incremented with every change of packed data, so that a concurrent change is noticed.
    pub generation: i64,
}

fn statement(db: &impl ConnectionTrait, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}

pub async fn find_progress(db: &impl ConnectionTrait, subject: Subject) -> Result<Progress, DbErr> {
    let sql = "SELECT until, version FROM report_progress WHERE subject = $1";
    let row = db.query_one_raw(statement(db, sql, vec![(subject as i32).into()])).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the progress of reports".into()))?;
    Ok(Progress { until: row.try_get("", "until")?, generation: row.try_get("", "version")? })
}

/// Saves the progress until `until`. Returns false if another process has changed it since `seen` was read. Waits for a
/// concurrent change.
pub async fn advance(
    tx: &impl ConnectionTrait,
    subject: Subject,
    seen: Progress,
    until: Timestamp,
) -> Result<bool, DbErr> {
    let sql = "UPDATE report_progress SET until = $1, version = version + 1 WHERE subject = $2 AND version = $3";
    let values = vec![until.into(), (subject as i32).into(), seen.generation.into()];
    Ok(tx.execute_raw(statement(tx, sql, values)).await?.rows_affected() == 1)
}

/// On PostgreSQL, the number of the oldest open transaction that has written, and a new number that is higher than that
/// of any earlier transaction. (The `xmax` of a snapshot is not: it can be the number of an open transaction.)
pub async fn open_transactions(db: &impl ConnectionTrait) -> Result<Option<(i64, i64)>, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let next = one_number(db, "SELECT pg_current_xact_id()::text::bigint AS number", vec![]).await?;
    let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS number";
    Ok(Some((one_number(db, sql, vec![]).await?, next)))
}

/// The scopes from the number `first` on, in the order of their numbers, which have no gaps.
pub async fn list_scopes(db: &impl ConnectionTrait, first: usize) -> Result<Vec<Scope>, DbErr> {
    let sql = "SELECT affiliate_id, offer_id, link_id FROM report_scopes WHERE id >= $1 ORDER BY id";
    let first = i32::try_from(first).unwrap_or(i32::MAX);
    let rows = db.query_all_raw(statement(db, sql, vec![first.into()])).await?;
    rows.iter()
        .map(|row| {
            let link: Uuid = row.try_get("", "link_id")?;
            Ok(Scope {
                affiliate_id: row.try_get("", "affiliate_id")?,
                offer_id: row.try_get("", "offer_id")?,
                link_id: (!link.is_nil()).then_some(LinkId(link)),
            })
        })
        .collect()
}

/// Inserts new scopes with the numbers from `first` on. Fails with a conflict if another process used these numbers
/// first.
pub async fn insert_scopes(tx: &impl ConnectionTrait, first: usize, scopes: &[Scope]) -> Result<(), DbErr> {
    let mut rows = Rows::new(&[Type::Int, Type::Id, Type::Id, Type::Id]);
    for (index, scope) in scopes.iter().enumerate() {
        let id = i32::try_from(first + index).map_err(|_| DbErr::Custom("there are too many scopes".into()))?;
        let link = scope.link_id.map_or(Uuid::nil(), |link| link.0);
        rows.push([id.into(), scope.affiliate_id.into(), scope.offer_id.into(), link.into()]);
    }
    let sql = "INSERT INTO report_scopes (id, affiliate_id, offer_id, link_id) {rows}";
    rows.execute(tx, sql, vec![]).await.map(drop)
}

/// The id of the next click after `after`, skipping `skip` clicks.
pub async fn find_click_after(db: &impl ConnectionTrait, after: Uuid, skip: usize) -> Result<Option<ClickId>, DbErr> {
    let sql = "SELECT id FROM clicks WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2";
    let row = db.query_one_raw(statement(db, sql, vec![after.into(), (skip as i64).into()])).await?;
    row.map(|row| row.try_get("", "id")).transpose()
}

/// The quarter-hours in `range` with conversions that were created or changed by events from `from` to `to`.
pub async fn list_changed_quarters(
    db: &impl ConnectionTrait,
    from: Timestamp,
    to: Timestamp,
    range: (Timestamp, Timestamp),
) -> Result<BTreeSet<Timestamp>, DbErr> {
    const PAGE: usize = 10_000;
    let mut quarters = BTreeSet::new();
    let mut after = id_before(floor_uuid(from));
    loop {
        let sql = "SELECT id, conversion_id FROM events
                   WHERE id > $1 AND id < $2 AND action = 'conversion' ORDER BY id LIMIT $3";
        let values = vec![after.into(), floor_uuid(to).into(), (PAGE as i64).into()];
        let rows = db.query_all_raw(statement(db, sql, values)).await?;
        for row in &rows {
            if let Some(id) = row.try_get::<Option<ConversionId>>("", "conversion_id")? {
                quarters.insert(quarter(time_of(id.0)));
            }
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => after = last.try_get::<EventId>("", "id")?.0,
            _ => break,
        }
    }
    quarters.retain(|it| *it >= quarter(range.0) && *it < range.1);
    Ok(quarters)
}

/// The time of the first event or conversion from `from` on.
pub async fn find_next_change(db: &impl ConnectionTrait, from: Timestamp) -> Result<Option<Timestamp>, DbErr> {
    let mut next: Option<Timestamp> = None;
    for table in ["events", "conversions"] {
        let sql = format!("SELECT id FROM {table} WHERE id >= $1 ORDER BY id LIMIT 1");
        if let Some(row) = db.query_one_raw(statement(db, &sql, vec![floor_uuid(from).into()])).await? {
            let at = time_of(row.try_get("", "id")?);
            next = Some(next.map_or(at, |known| known.min(at)));
        }
    }
    Ok(next)
}

/// The quarter-hours from `from` to `to` in which conversions were created.
pub async fn list_conversion_quarters(
    db: &impl ConnectionTrait,
    from: Timestamp,
    to: Timestamp,
) -> Result<BTreeSet<Timestamp>, DbErr> {
    let mut quarters = BTreeSet::new();
    let mut at = from;
    // Each query skips to the next quarter-hour with a conversion.
    loop {
        let sql = "SELECT id FROM conversions WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 1";
        let row = db.query_one_raw(statement(db, sql, vec![floor_uuid(at).into(), floor_uuid(to).into()])).await?;
        let Some(row) = row else { return Ok(quarters) };
        let found = quarter(time_of(row.try_get("", "id")?));
        quarters.insert(found);
        at = Timestamp::from_millis(found.millis() + QUARTER_MS);
    }
}

/// The oldest click of the conversions that were created from `since` on.
pub async fn find_oldest_converted_click(
    db: &impl ConnectionTrait,
    since: Timestamp,
) -> Result<Option<ClickId>, DbErr> {
    // MATERIALIZED selects the few conversions first. Otherwise the index by click, which has the order of the result,
    // would be read from its beginning.
    let sql = "WITH recent AS MATERIALIZED
                   (SELECT click_id FROM conversions WHERE id >= $1 AND click_id IS NOT NULL)
               SELECT click_id FROM recent ORDER BY click_id LIMIT 1";
    let row = db.query_one_raw(statement(db, sql, vec![floor_uuid(since).into()])).await?;
    row.map(|row| row.try_get("", "click_id")).transpose()
}

/// The checksum of raw rows: the number of clicks, or the number of conversions plus their revisions.
pub async fn raw_checksum(
    db: &impl ConnectionTrait,
    subject: Subject,
    from: Timestamp,
    to: Timestamp,
) -> Result<i64, DbErr> {
    let sql = match subject {
        Subject::Clicks => "SELECT count(*) AS number FROM clicks WHERE id >= $1 AND id < $2",
        Subject::Conversions => {
            "SELECT count(*) + coalesce(sum(revision), 0) AS number FROM conversions
             WHERE id >= $1 AND id < $2 AND NOT test"
        }
    };
    one_number(db, sql, vec![floor_uuid(from).into(), floor_uuid(to).into()]).await
}

/// The checksum of packed rows, stored when they were packed.
pub async fn packed_checksum(
    db: &impl ConnectionTrait,
    subject: Subject,
    from: Timestamp,
    to: Timestamp,
) -> Result<i64, DbErr> {
    let sql = "SELECT CAST(coalesce(sum(weight), 0) AS bigint) AS number FROM report_columns
               WHERE subject = $1 AND segment >= $2 AND segment < $3 AND number = 0";
    one_number(db, sql, vec![(subject as i32).into(), from.into(), to.into()]).await
}

async fn one_number(db: &impl ConnectionTrait, sql: &str, values: Vec<Value>) -> Result<i64, DbErr> {
    let row = db.query_one_raw(statement(db, sql, values)).await?;
    row.map_or(Ok(0), |row| row.try_get("", "number"))
}

/// Stores a segment.
pub async fn insert_segment(
    tx: &impl ConnectionTrait,
    subject: Subject,
    segment: Timestamp,
    checksum: i64,
    columns: Columns,
) -> Result<(), DbErr> {
    const FIELDS: usize = 6;
    let mut values: Vec<Value> = Vec::with_capacity(FIELDS * columns.len());
    let mut rows = Vec::with_capacity(columns.len());
    for (index, (number, data)) in columns.into_iter().enumerate() {
        let parameters: Vec<_> = (1..=FIELDS).map(|field| format!("${}", FIELDS * index + field)).collect();
        rows.push(format!("({})", parameters.join(", ")));
        let fields: [Value; FIELDS] = [
            (subject as i32).into(),
            segment.into(),
            i32::from(number).into(),
            checksum.into(),
            VERSION.into(),
            data.into(),
        ];
        values.extend(fields);
    }
    let rows = rows.join(", ");
    let sql = format!("INSERT INTO report_columns (subject, segment, number, weight, version, data) VALUES {rows}");
    tx.execute_raw(statement(tx, &sql, values)).await.map(drop)
}

/// Deletes the segments from `from` to `to`.
pub async fn delete_segments(
    tx: &impl ConnectionTrait,
    subject: Subject,
    from: Timestamp,
    to: Timestamp,
) -> Result<(), DbErr> {
    let sql = "DELETE FROM report_columns WHERE subject = $1 AND segment >= $2 AND segment < $3";
    let values = vec![(subject as i32).into(), from.into(), to.into()];
    tx.execute_raw(statement(tx, sql, values)).await.map(drop)
}

/// Columns of the segments from `from` to `to`, in chronological order. One statement loads them, so that the columns
/// of a segment are of one version.
pub async fn list_segments(
    db: &impl ConnectionTrait,
    subject: Subject,
    (from, to): (Timestamp, Timestamp),
    columns: &[u8],
) -> Result<Vec<(Timestamp, Columns)>, DbErr> {
    let numbers: Vec<_> = columns.iter().map(u8::to_string).collect();
    let sql = format!(
        "SELECT segment, number, version, data FROM report_columns
         WHERE subject = $1 AND segment >= $2 AND segment < $3 AND number IN ({}) ORDER BY segment, number",
        numbers.join(", ")
    );
    let values = vec![(subject as i32).into(), from.into(), to.into()];
    let mut segments: Vec<(Timestamp, Columns)> = Vec::new();
    // By position: a report of a month has thousands of rows.
    for row in db.query_all_raw(statement(db, &sql, values)).await? {
        check_version(row.try_get_by_index(2)?).map_err(|error| DbErr::Custom(error.to_string()))?;
        let (segment, number): (Timestamp, i32) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let column = (u8::try_from(number).map_err(|_| damaged(Damaged))?, row.try_get_by_index(3)?);
        match segments.last_mut() {
            Some((last, columns)) if *last == segment => columns.push(column),
            _ => segments.push((segment, vec![column])),
        }
    }
    Ok(segments)
}

/// The database error for packed data that cannot be read.
pub fn damaged(error: Damaged) -> DbErr {
    DbErr::Custom(error.to_string())
}

/// The next smaller id, so that a search after it also finds `id`.
pub fn id_before(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_sub(1))
}
