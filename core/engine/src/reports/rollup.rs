//! The roll-up: packs clicks and conversions for reports. Nothing waits for it, because reports count raw rows that are
//! not packed yet.
//!
//! An id is created before its row is committed. So the time before a moment is settled only when no row with an
//! earlier id can be inserted any more: writers refuse rows that waited too long, and all transactions that were open
//! at that moment must have ended.

use std::collections::BTreeSet;
use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use domain::ids::{floor_uuid, time_of};
use domain::reports::Scope;
use domain::reports::calendar::{QUARTER_MS, next_quarter, quarter};
use domain::reports::packed::Columns;
use domain::reports::packed::{SEGMENT_ROWS, pack_clicks, pack_conversions};
use domain::timestamp::Timestamp;
use storage::reports::{Progress, RawClick, RawConversion, Subject, id_before, row_of_click, row_of_conversion};

/// The maximum time between the creation of an id and the insert of its row. A click waits at most 30 seconds
/// ([`crate::tracking::record_clicks::WAIT_MAX`]). Clicks and conversions wait at most 30 seconds for a connection.
const INSERT_DELAY_MAX: Duration = Duration::from_secs(75);
/// The period of events that one step of the roll-up of conversions reads.
const STEP: Duration = Duration::from_secs(24 * 3_600);

/// The latest settled moment: all rows with earlier ids are in the table. `None`: not known yet.
async fn horizon(app: &App) -> Result<Option<Timestamp>, DbErr> {
    // The clock is read first, so that rows that are created while the database answers are later.
    let now = app.clock.now();
    let settled = match storage::reports::open_transactions(app.db.writer()).await? {
        // SQLite has one writer: no earlier transaction is open.
        None => Some(now),
        Some((oldest, next)) => match app.reports.transactions.lock() {
            Ok(mut transactions) => transactions.settled(now, oldest, next),
            Err(_) => None,
        },
    };
    Ok(settled.map(|at| at.minus(INSERT_DELAY_MAX)))
}

/// The time before which all clicks and conversions are packed. Reports need no raw clicks and events before it.
pub async fn rolled_up_until(app: &App) -> Result<Timestamp, DbErr> {
    let clicks = storage::reports::find_progress(app.db.reader(), Subject::Clicks).await?.until;
    let conversions = storage::reports::find_progress(app.db.reader(), Subject::Conversions).await?.until;
    Ok(clicks.min(conversions))
}

/// The time from which the roll-up still needs raw clicks and events: those that are not packed, and the clicks of
/// conversions that are not packed.
pub async fn needed_from(app: &App) -> Result<Timestamp, DbErr> {
    let conversions = storage::reports::find_progress(app.db.reader(), Subject::Conversions).await?.until;
    let oldest = storage::reports::find_oldest_converted_click(app.db.reader(), conversions).await?;
    let packed = rolled_up_until(app).await?;
    Ok(oldest.map_or(packed, |click| packed.min(time_of(click.0))))
}

/// Packs all settled rows. Several processes can do this at the same time; each piece is packed once.
pub async fn roll_up(app: &App) -> Result<(), DbErr> {
    let Some(horizon) = horizon(app).await? else { return Ok(()) };
    while roll_up_clicks(app, horizon).await? {}
    while roll_up_conversions(app, horizon).await? {}
    Ok(())
}

/// Packs one piece of clicks: at most one segment, or whole quarters. `false`: there is nothing to pack.
async fn roll_up_clicks(app: &App, horizon: Timestamp) -> Result<bool, DbErr> {
    let seen = storage::reports::find_progress(app.db.writer(), Subject::Clicks).await?;
    let after = id_before(floor_uuid(seen.until));
    // A quarter is packed when it has ended, or when it has enough rows for a segment.
    if quarter(horizon) <= seen.until {
        let full = storage::reports::find_click_after(app.db.reader(), after, SEGMENT_ROWS).await?;
        if full.is_none_or(|id| time_of(id.0) >= horizon) {
            return Ok(false);
        }
    }
    let mut raw =
        storage::reports::list_raw_clicks(app.db.reader(), (after, floor_uuid(horizon)), SEGMENT_ROWS + 1).await?;
    let until = if raw.len() <= SEGMENT_ROWS {
        quarter(horizon)
    } else {
        let (first, last) = (time_of(raw[0].id.0), time_of(raw[SEGMENT_ROWS].id.0));
        if first == last {
            let end = Timestamp::from_millis(last.millis() + 1);
            raw = storage::reports::list_raw_clicks(app.db.reader(), (after, floor_uuid(end)), usize::MAX >> 1).await?;
            end
        } else {
            last
        }
    };
    if until <= seen.until {
        return Ok(false);
    }
    raw.retain(|click| time_of(click.id.0) < until);
    store_clicks(app, seen, until, raw).await?;
    Ok(true)
}

/// Packs and stores clicks, unless another process packed them first.
async fn store_clicks(app: &App, seen: Progress, until: Timestamp, raw: Vec<RawClick>) -> Result<(), DbErr> {
    let segments = pack_raw_clicks(app, seen.until, raw).await?;
    let tx = app.db.begin().await?;
    if !storage::reports::advance(&tx, Subject::Clicks, seen, until).await? {
        return tx.rollback().await;
    }
    for (segment, checksum, columns) in segments {
        storage::reports::insert_segment(&tx, Subject::Clicks, segment, checksum, columns).await?;
    }
    tx.commit().await
}

/// Segments with their time, checksum and columns.
type Segments = Vec<(Timestamp, i64, Columns)>;

/// Packs clicks into segments. The time of a segment is the beginning of its quarter, or `from` if that is later. Each
/// further segment of the same quarter is one millisecond later.
pub(crate) async fn pack_raw_clicks(app: &App, from: Timestamp, raw: Vec<RawClick>) -> Result<Segments, DbErr> {
    // The clicks of one millisecond are not divided, so that the next segment has a different time.
    let is_one_moment = raw.first().map(|it| time_of(it.id.0)) == raw.last().map(|it| time_of(it.id.0));
    let size = if is_one_moment { usize::MAX } else { SEGMENT_ROWS };
    let mut scopes = app.reports.scopes.lock().await;
    scopes.number_all(&app.db, raw.iter().map(|it| it.scope)).await?;
    let rows: Vec<_> =
        raw.into_iter().map(|it| (quarter(time_of(it.id.0)), row_of_click(scopes.number(it.scope).0, it))).collect();
    drop(scopes);
    let pack = move || {
        let mut segments = Segments::new();
        for of_quarter in rows.chunk_by(|a, b| a.0 == b.0) {
            for (index, chunk) in of_quarter.chunks(size).enumerate() {
                let segment = Timestamp::from_millis(chunk[0].0.max(from).millis() + index as i64);
                let rows = chunk.iter().map(|(_, row)| row.clone()).collect();
                segments.push((segment, chunk.len() as i64, pack_clicks(rows)));
            }
        }
        segments
    };
    tokio::task::spawn_blocking(pack).await.map_err(|error| DbErr::Custom(format!("packing panicked: {error}")))
}

/// Packs the quarters whose conversions were changed by the events of one step. `false`: there is nothing to pack.
async fn roll_up_conversions(app: &App, horizon: Timestamp) -> Result<bool, DbErr> {
    let mut seen = storage::reports::find_progress(app.db.writer(), Subject::Conversions).await?;
    let whole = quarter(horizon);
    if whole <= seen.until {
        return Ok(false);
    }
    let next = storage::reports::find_next_change(app.db.reader(), seen.until).await?;
    let until = next.map_or(whole, |next| next_quarter(next.plus(STEP)).min(whole));
    let mut quarters = BTreeSet::new();
    if next.is_some_and(|next| next < whole) {
        let always = (Timestamp::from_millis(0), horizon.plus(STEP));
        quarters = storage::reports::list_changed_quarters(app.db.reader(), seen.until, until, always).await?;
        // Conversions that are older than the reports of this program, and conversions whose events were deleted by
        // age.
        quarters.extend(storage::reports::list_conversion_quarters(app.db.reader(), seen.until, until).await?);
    }
    for quarter in quarters {
        if !pack_conversions_of(app, &mut seen, quarter).await? {
            return Ok(true);
        }
    }
    let tx = app.db.begin().await?;
    storage::reports::advance(&tx, Subject::Conversions, seen, until).await?;
    tx.commit().await?;
    Ok(true)
}

/// Packs the present conversions of a quarter. If one of them changes while they are read, its event is not settled
/// yet, so the quarter is packed again later. `false`: another process packed something in the meantime, perhaps this
/// quarter, so nothing was stored.
pub(crate) async fn pack_conversions_of(app: &App, seen: &mut Progress, quarter: Timestamp) -> Result<bool, DbErr> {
    let end = Timestamp::from_millis(quarter.millis() + QUARTER_MS);
    let mut after = id_before(floor_uuid(quarter));
    let mut raw: Vec<RawConversion> = Vec::new();
    loop {
        let page =
            storage::reports::list_raw_conversions(app.db.reader(), (after, floor_uuid(end)), SEGMENT_ROWS).await?;
        let full = page.len() == SEGMENT_ROWS;
        raw.extend(page);
        match raw.last() {
            Some(last) if full => after = last.id.0,
            _ => break,
        }
    }
    let mut scopes = app.reports.scopes.lock().await;
    let wanted: Vec<Scope> = raw.iter().map(|it| it.scope).collect();
    scopes.number_all(&app.db, wanted.iter().copied()).await?;
    let numbers: Vec<u32> = wanted.into_iter().map(|scope| scopes.number(scope).0).collect();
    drop(scopes);
    let tx = app.db.begin().await?;
    if !storage::reports::advance(&tx, Subject::Conversions, *seen, seen.until).await? {
        tx.rollback().await?;
        return Ok(false);
    }
    storage::reports::delete_segments(&tx, Subject::Conversions, quarter, end).await?;
    let new = raw.iter().filter(|it| it.is_new);
    storage::reports::insert_visits(&tx, new.map(|it| (it.id, &it.values))).await?;
    let mut rows = raw.into_iter().zip(numbers).map(|(it, scope)| {
        let checksum = i64::from(it.revision) + 1;
        (checksum, row_of_conversion(scope, it))
    });
    for index in 0.. {
        let (checksums, rows): (Vec<i64>, Vec<_>) = rows.by_ref().take(SEGMENT_ROWS).unzip();
        if rows.is_empty() {
            break;
        }
        let (segment, checksum) = (Timestamp::from_millis(quarter.millis() + index), checksums.iter().sum());
        let columns = pack_conversions(rows);
        storage::reports::insert_segment(&tx, Subject::Conversions, segment, checksum, columns).await?;
    }
    tx.commit().await?;
    seen.generation += 1;
    Ok(true)
}

/// Deletes the packed data of rows that are still stored. The next roll-ups pack these rows again. The packed data of
/// clicks that were deleted by age is kept, because it cannot be computed again.
pub async fn rebuild(db: &storage::Database) -> Result<(), DbErr> {
    // A roll-up at the same time can make an attempt fail.
    while !try_rebuild(db).await? {}
    Ok(())
}

/// `false`: a roll-up packed something in the meantime, and nothing was deleted.
async fn try_rebuild(db: &storage::Database) -> Result<bool, DbErr> {
    let tx = db.begin().await?;
    let seen = storage::reports::find_progress(&tx, Subject::Clicks).await?;
    let oldest = storage::reports::find_click_after(&tx, uuid::Uuid::nil(), 0).await?.map(|id| time_of(id.0));
    if let Some(oldest) = oldest {
        let start = quarter(oldest);
        // The first clicks of the oldest quarter may have been deleted by age. Then its packed data is more complete
        // than its raw rows, and is kept.
        let end = next_quarter(plus_one(start));
        let raw = storage::reports::raw_checksum(&tx, Subject::Clicks, start, end).await?;
        let packed = storage::reports::packed_checksum(&tx, Subject::Clicks, start, end).await?;
        let start = if packed > raw { end } else { start }.min(seen.until);
        if !storage::reports::advance(&tx, Subject::Clicks, seen, start).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        storage::reports::delete_segments(&tx, Subject::Clicks, start, seen.until).await?;
    }
    let seen = storage::reports::find_progress(&tx, Subject::Conversions).await?;
    if !storage::reports::advance(&tx, Subject::Conversions, seen, Timestamp::from_millis(0)).await? {
        tx.rollback().await?;
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

fn plus_one(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis() + 1)
}
