//! Sums of money, exact whatever they come to: PostgreSQL's sum of a bigint is a numeric, and SQLite's breaks off beyond an
//! `i64`. Thousandths of millions and the rest of it are added apart, neither of which gets there.

use sea_orm::{DbErr, QueryResult};

const PART: i128 = 1_000_000_000;

/// Two columns, `high` and `low`, for [`read`].
pub(crate) fn of(micros: &str) -> String {
    format!("CAST(sum({micros} / {PART}) AS bigint) AS high, CAST(sum({micros} % {PART}) AS bigint) AS low")
}

pub(crate) fn read(row: &QueryResult) -> Result<i128, DbErr> {
    let (high, low): (i64, i64) = (row.try_get("", "high")?, row.try_get("", "low")?);
    Ok(i128::from(high) * PART + i128::from(low))
}
