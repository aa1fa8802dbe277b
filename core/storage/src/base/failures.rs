//! What the database says of a statement that failed.

use sea_orm::{DbErr, RuntimeErr};

/// The statement did not get its locks in time (PostgreSQL's `lock_timeout`), or was chosen to end a deadlock.
pub(crate) fn is_lock_timeout(error: &DbErr) -> bool {
    matches!(sql_state(error).as_deref(), Some("55P03" | "40P01"))
}

/// The statement took longer than it may: PostgreSQL's `statement_timeout`, or SQLite was interrupted.
pub fn is_statement_timeout(error: &DbErr) -> bool {
    matches!(sql_state(error).as_deref(), Some("57014" | "9"))
}

fn sql_state(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return None;
    };
    error.as_database_error()?.code().map(Into::into)
}
