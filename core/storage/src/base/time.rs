//! The time of the database's own clock.

use crate::Database;
use crate::clock::Moment;
use crate::clock::Sample;
use domain::timestamp::Timestamp;

/// Reads it once. `None` on SQLite, which is used by one process and has no clock of its own.
pub async fn read(db: &Database) -> Result<Option<Sample>, sqlx::Error> {
    let Some(pool) = db.postgres() else { return Ok(None) };
    // What is waited for a connection must not count as the way to the database.
    let mut connection = pool.acquire().await?;
    let asked = Moment::now();
    let sql = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let millis: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    Ok(Some(Sample { shown: Timestamp::from_millis(millis), asked, took: asked.elapsed() }))
}
