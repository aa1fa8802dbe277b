//! The only SQL of the program: one file per noun, with the rows of its table and its queries.
//!
//! Verbs: `find` (an `Option`), `lock` (for update), `claim`, `list`, `insert`, `save`, `delete`, `count`. A function
//! that takes a `tx` never commits.

pub mod base;
pub mod clock;
pub mod delivery;
pub mod inbound;
pub mod money;
pub mod people;
pub mod private_files;
pub mod program;
pub mod reports;
pub mod tracking;

pub use base::database::Database;

use sea_orm::DbErr;

/// The error for a row with a value that this release never writes.
fn corrupt(table: &str, what: impl std::fmt::Display) -> DbErr {
    DbErr::Custom(format!("{table} holds {what}, which this release does not know; was it written by a newer one?"))
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a map with text keys and without floats can always be serialized")
}

fn from_json<T: serde::de::DeserializeOwned>(table: &str, text: &str) -> Result<T, DbErr> {
    serde_json::from_str(text).map_err(|error| corrupt(table, format_args!("JSON that can't be read ({error})")))
}

/// The rows that can be read. A row that cannot be read is logged and left out, so that it does not fail the whole
/// list.
fn readable<S, T>(table: &str, rows: impl IntoIterator<Item = S>, read: impl Fn(S) -> Result<T, DbErr>) -> Vec<T> {
    let report = |error| tracing::error!(%error, table, "A row can't be read and is left out");
    rows.into_iter().filter_map(|row| read(row).map_err(report).ok()).collect()
}

/// Reads a row of a raw statement as the model of its entity.
fn model<E: sea_orm::EntityTrait>(row: &sea_orm::QueryResult) -> Result<E::Model, DbErr> {
    sea_orm::FromQueryResult::from_query_result(row, "")
}
