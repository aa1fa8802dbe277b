//! Sessions that end together with the access of the person who opened them, and an audit log without new passwords.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

use crate::dialect;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared("ALTER TABLE sessions ADD COLUMN opener text").await?;
        let (open, close) = guard(manager.get_database_backend());
        db.execute_unprepared(open).await?;
        dialect::run(manager, SCRUB).await?;
        db.execute_unprepared(close).await.map(drop)
    }

    /// Deleted passwords cannot be restored.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("ALTER TABLE sessions DROP COLUMN opener").await.map(drop)
    }
}

/// `new` was stored as it was typed. In refused requests that require a password or a code, a misspelled field was
/// stored too: of these, only the fact that they were made remains.
const SCRUB: &str = r#"
UPDATE audit SET fields = CASE WHEN fields LIKE '%"end_keys":true%'
    THEN '{"current":"•••","end_keys":true,"new":"•••"}' ELSE '{"current":"•••","new":"•••"}' END
WHERE operation = 'change_password'

UPDATE audit SET fields = 'null' WHERE operation IN ('change_email', 'begin_second_factor', 'confirm_second_factor',
    'renew_recovery_codes', 'remove_second_factor', 'create_own_api_key', 'create_api_key', 'set_payout_details',
    'remove_payout_details')
AND id IN (SELECT audit_id FROM audit_outcomes WHERE outcome = 'refused')
"#;

/// Drops the trigger that forbids changes of records, and creates it again.
fn guard(backend: DbBackend) -> (&'static str, &'static str) {
    if backend == DbBackend::Postgres {
        (
            "DROP TRIGGER audit_no_update ON audit",
            "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_only_grows()",
        )
    } else {
        (
            "DROP TRIGGER audit_no_update",
            "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
        )
    }
}
