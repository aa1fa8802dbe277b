//! The reasons for which a statement failed, by the database's error codes.

use sea_orm::{DbErr, RuntimeErr};

/// Whether PostgreSQL ended the statement because of `lock_timeout` or a deadlock.
pub(crate) fn is_lock_timeout(error: &DbErr) -> bool {
    matches!(sql_state(error).as_deref(), Some("55P03" | "40P01"))
}

/// Whether the statement took too long: PostgreSQL's `statement_timeout`, or an interrupt of SQLite.
pub fn is_statement_timeout(error: &DbErr) -> bool {
    matches!(sql_state(error).as_deref(), Some("57014" | "9"))
}

fn sql_state(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return None;
    };
    error.as_database_error()?.code().map(Into::into)
}
