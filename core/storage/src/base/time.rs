//! Reads the database's clock.

use crate::Database;
use crate::clock::{ClockReading, Moment};
use domain::timestamp::Timestamp;

/// Reads the clock once. `None` on SQLite, which has no clock of its own and is used by one process.
pub async fn read(db: &Database) -> Result<Option<ClockReading>, sqlx::Error> {
    let Some(pool) = db.postgres() else { return Ok(None) };
    // The time of waiting for a connection must not count as round trip.
    let mut connection = pool.acquire().await?;
    let sent_at = Moment::now();
    let sql = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let millis: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    Ok(Some(ClockReading { time: Timestamp::from_millis(millis), sent_at, round_trip: sent_at.elapsed() }))
}
