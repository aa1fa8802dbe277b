//! Compares the packed data of the last hours with the raw rows, and packs quarters again that differ: a process with a
//! wrong clock can create ids of a time that is packed already.

use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use domain::ids::floor_uuid;
use domain::reports::calendar::{QUARTER_MS, next_quarter, quarter};
use domain::timestamp::Timestamp;
use storage::reports::{Subject, id_before};

use super::END_OF_TIME;
use super::rollup::{pack_conversions_of, pack_raw_clicks};

/// The period that is compared. It is shorter than the shortest retention, so that all its raw rows are stored.
const VERIFIED: Duration = Duration::from_secs(20 * 3_600);

/// Compares and repairs. Returns the number of quarters that were packed again.
pub async fn verify(app: &App) -> Result<usize, DbErr> {
    let from = next_quarter(app.clock.now().minus(VERIFIED));
    let mut repaired = 0;
    let packed = storage::reports::find_progress(app.db.reader(), Subject::Clicks).await?.until;
    for start in quarters(from, packed) {
        let end = Timestamp::from_millis(start.millis() + QUARTER_MS).min(packed);
        let (packed, raw) = checksums(app, Subject::Clicks, start, end).await?;
        // Clicks are never changed. If fewer clicks are stored than packed, some were deleted by age.
        if packed < raw {
            repaired += usize::from(repack_clicks(app, start, end, packed).await?);
        }
    }
    let mut seen = storage::reports::find_progress(app.db.reader(), Subject::Conversions).await?;
    let mut recent: Vec<_> = quarters(from, seen.until).collect();
    let always = (Timestamp::from_millis(0), seen.until);
    recent.extend(storage::reports::list_changed_quarters(app.db.reader(), from, seen.until, always).await?);
    recent.sort_unstable();
    recent.dedup();
    // Quarters that changed after the last roll-up are packed by the next one.
    let pending = storage::reports::list_changed_quarters(app.db.reader(), seen.until, END_OF_TIME, always).await?;
    recent.retain(|quarter| !pending.contains(quarter));
    for start in recent {
        let end = Timestamp::from_millis(start.millis() + QUARTER_MS);
        let (packed, raw) = checksums(app, Subject::Conversions, start, end).await?;
        if packed != raw {
            repaired += usize::from(pack_conversions_of(app, &mut seen, start).await?);
        }
    }
    Ok(repaired)
}

fn quarters(from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> {
    (quarter(from).millis()..to.millis()).step_by(QUARTER_MS as usize).map(Timestamp::from_millis)
}

/// The checksums of the packed data and of the raw rows.
async fn checksums(app: &App, subject: Subject, from: Timestamp, to: Timestamp) -> Result<(i64, i64), DbErr> {
    let packed = storage::reports::packed_checksum(app.db.reader(), subject, from, to).await?;
    Ok((packed, storage::reports::raw_checksum(app.db.reader(), subject, from, to).await?))
}

/// Packs the clicks of a quarter again. `false`: nothing was stored.
async fn repack_clicks(app: &App, from: Timestamp, to: Timestamp, packed: i64) -> Result<bool, DbErr> {
    let seen = storage::reports::find_progress(app.db.reader(), Subject::Clicks).await?;
    if seen.until < to {
        // A rebuild is running.
        return Ok(false);
    }
    let span = (id_before(floor_uuid(from)), floor_uuid(to));
    let raw = storage::reports::list_raw_clicks(app.db.reader(), span, usize::MAX >> 1).await?;
    if raw.len() as i64 <= packed {
        return Ok(false);
    }
    tracing::warn!(quarter = %from, clicks = raw.len(), "Clicks were stored after their quarter was packed; packing it again");
    let segments = pack_raw_clicks(app, from, raw).await?;
    let tx = app.db.begin().await?;
    if !storage::reports::advance(&tx, Subject::Clicks, seen, seen.until).await? {
        tx.rollback().await?;
        return Ok(false);
    }
    storage::reports::delete_segments(&tx, Subject::Clicks, from, to).await?;
    for (segment, checksum, columns) in segments {
        storage::reports::insert_segment(&tx, Subject::Clicks, segment, checksum, columns).await?;
    }
    tx.commit().await?;
    Ok(true)
}
