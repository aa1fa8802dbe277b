//! Exact sums of money of any size. PostgreSQL's sum of a bigint is a numeric, and SQLite's sum fails beyond an `i64`.
//! So each value is split into its multiples of [`PART`] and the rest, and both are summed separately without an
//! overflow.

use sea_orm::{DbErr, QueryResult};

/// The micros by which values are divided: a thousand of the major unit.
const PART: i128 = 1_000_000_000;

/// The SQL of two columns, `high` and `low`, for [`read`].
pub(crate) fn of(micros: &str) -> String {
    format!("CAST(sum({micros} / {PART}) AS bigint) AS high, CAST(sum({micros} % {PART}) AS bigint) AS low")
}

/// The sum of a row with the columns of [`of`], in micros.
pub(crate) fn read(row: &QueryResult) -> Result<i128, DbErr> {
    let (high, low): (i64, i64) = (row.try_get("", "high")?, row.try_get("", "low")?);
    Ok(i128::from(high) * PART + i128::from(low))
}
