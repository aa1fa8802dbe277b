//! Weighs what is packed against the raw rows of the last hours, and packs anew what differs: a node whose clock goes
//! wrong may make ids of a time that is packed already.

use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use domain::ids::floor_uuid;
use domain::reports::calendar::{QUARTER_MS, next_quarter, quarter};
use domain::timestamp::Timestamp;
use storage::reports::{Subject, before};

use super::END_OF_TIME;
use super::rollup::{pack_conversions_of, pack_raw_clicks};

/// Shorter than the shortest retention, so that the raw rows are all there.
const BACK: Duration = Duration::from_secs(20 * 3_600);

/// Says how many quarters were packed anew.
pub async fn verify(app: &App) -> Result<usize, DbErr> {
    let from = next_quarter(app.clock.now().minus(BACK));
    let mut repaired = 0;
    let packed = storage::reports::progress(app.db.reader(), Subject::Clicks).await?.until;
    for start in quarters(from, packed) {
        let end = Timestamp::from_millis(start.millis() + QUARTER_MS).min(packed);
        let (packed, raw) = checksums(app, Subject::Clicks, start, end).await?;
        // Clicks are added only. Where fewer are left than were packed, retention is at work.
        if packed < raw {
            repaired += usize::from(repack_clicks(app, start, end, packed).await?);
        }
    }
    let mut seen = storage::reports::progress(app.db.reader(), Subject::Conversions).await?;
    let mut recent: Vec<_> = quarters(from, seen.until).collect();
    let always = (Timestamp::from_millis(0), seen.until);
    recent.extend(storage::reports::changed_quarters(app.db.reader(), from, seen.until, always).await?);
    recent.sort_unstable();
    recent.dedup();
    // What changed since is packed in its turn.
    let pending = storage::reports::changed_quarters(app.db.reader(), seen.until, END_OF_TIME, always).await?;
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

/// What is packed, and what there is.
async fn checksums(app: &App, subject: Subject, from: Timestamp, to: Timestamp) -> Result<(i64, i64), DbErr> {
    let packed = storage::reports::packed_checksum(app.db.reader(), subject, from, to).await?;
    Ok((packed, storage::reports::raw_checksum(app.db.reader(), subject, from, to).await?))
}

async fn repack_clicks(app: &App, from: Timestamp, to: Timestamp, packed: i64) -> Result<bool, DbErr> {
    let seen = storage::reports::progress(app.db.reader(), Subject::Clicks).await?;
    if seen.until < to {
        // Everything is being packed anew just now.
        return Ok(false);
    }
    let span = (before(floor_uuid(from)), floor_uuid(to));
    let raw = storage::reports::raw_clicks(app.db.reader(), span, usize::MAX >> 1).await?;
    if raw.len() as i64 <= packed {
        return Ok(false);
    }
    tracing::warn!(quarter = %from, clicks = raw.len(), "Clicks came after their quarter was packed; packing it anew");
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
