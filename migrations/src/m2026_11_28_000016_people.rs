//! Read-only sessions, source addresses as hashes, an audit log that its owner can prune, and revocations that reach
//! other nodes immediately.

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
        dialect::run(manager, PEOPLE).await?;
        for statement in guards(manager.get_database_backend()) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let shared: &[&str] = &[
            "DROP TABLE audit_prunings",
            "DROP INDEX users_by_affiliate",
            "DROP INDEX sources_by_key_hash",
            "DROP INDEX sources_with_readable_key",
            "ALTER TABLE sources DROP COLUMN key_hash",
            "ALTER TABLE sources DROP COLUMN key_hint",
            "ALTER TABLE sources DROP COLUMN key_sealed",
            "ALTER TABLE sources DROP COLUMN key_until",
            "ALTER TABLE affiliates DROP COLUMN former_email",
            "ALTER TABLE affiliates DROP COLUMN email_changed_at",
            "ALTER TABLE api_keys DROP COLUMN vouches",
            "ALTER TABLE sessions DROP COLUMN opened_by",
        ];
        for sql in drop_guards(backend).iter().chain(shared).chain(former_guards(backend)) {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }
}

/// `sources.key` remains for the previous release. It holds the address of an older row until `key_until`, and after
/// that, as in every newer row, random characters that match no request.
const PEOPLE: &str = "
ALTER TABLE sessions ADD COLUMN opened_by text

ALTER TABLE api_keys ADD COLUMN vouches <bool>

ALTER TABLE affiliates ADD COLUMN former_email text

ALTER TABLE affiliates ADD COLUMN email_changed_at <time>

ALTER TABLE sources ADD COLUMN key_hash text

ALTER TABLE sources ADD COLUMN key_hint text

ALTER TABLE sources ADD COLUMN key_sealed text

ALTER TABLE sources ADD COLUMN key_until <time>

CREATE UNIQUE INDEX sources_by_key_hash ON sources (key_hash) WHERE key_hash IS NOT NULL

CREATE INDEX sources_with_readable_key ON sources (id) WHERE key_hash IS NULL OR key_until IS NOT NULL

CREATE INDEX users_by_affiliate ON users (affiliate_id) WHERE affiliate_id IS NOT NULL

CREATE TABLE audit_prunings (
    id <id> PRIMARY KEY,
    at <time> NOT NULL,
    older_than <time> NOT NULL,
    actor text NOT NULL
)
";

/// A row of the audit log can be deleted only if a pruning covers its age, and a pruning cannot be revoked.
fn guards(backend: DbBackend) -> &'static [&'static str] {
    if backend == DbBackend::Postgres {
        &[
            "DROP TRIGGER audit_no_change ON audit",
            "DROP TRIGGER audit_outcomes_no_change ON audit_outcomes",
            "CREATE FUNCTION audit_needs_pruning() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NOT EXISTS (SELECT 1 FROM audit_prunings WHERE older_than > OLD.at) THEN
                     RAISE EXCEPTION 'the audit log only grows; prune it by age';
                 END IF;
                 RETURN OLD;
             END $$",
            "CREATE FUNCTION audit_outcome_needs_pruning() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NOT EXISTS (SELECT 1 FROM audit a, audit_prunings p
                                WHERE a.id = OLD.audit_id AND p.older_than > a.at) THEN
                     RAISE EXCEPTION 'the audit log only grows; prune it by age';
                 END IF;
                 RETURN OLD;
             END $$",
            "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
             FOR EACH ROW EXECUTE FUNCTION audit_only_grows()",
            "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
             FOR EACH ROW EXECUTE FUNCTION audit_needs_pruning()",
            "CREATE TRIGGER audit_outcomes_no_update BEFORE UPDATE ON audit_outcomes
             FOR EACH ROW EXECUTE FUNCTION audit_only_grows()",
            "CREATE TRIGGER audit_outcomes_no_delete BEFORE DELETE ON audit_outcomes
             FOR EACH ROW EXECUTE FUNCTION audit_outcome_needs_pruning()",
            "CREATE TRIGGER audit_prunings_no_change BEFORE UPDATE OR DELETE ON audit_prunings
             FOR EACH ROW EXECUTE FUNCTION audit_only_grows()",
            "CREATE TRIGGER audit_prunings_no_truncate BEFORE TRUNCATE ON audit_prunings
             FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()",
            // A trigger notifies every node with a cached copy, even if an older release changes the row.
            "CREATE FUNCTION notify_people() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_notify('postrider_people', TG_TABLE_NAME); RETURN NULL; END $$",
            "CREATE TRIGGER users_notify AFTER UPDATE ON users FOR EACH ROW
             WHEN ((OLD.role, OLD.status, OLD.affiliate_id) IS DISTINCT FROM (NEW.role, NEW.status, NEW.affiliate_id))
             EXECUTE FUNCTION notify_people()",
            "CREATE TRIGGER sessions_notify AFTER UPDATE ON sessions FOR EACH ROW
             WHEN (OLD.revoked_at IS DISTINCT FROM NEW.revoked_at) EXECUTE FUNCTION notify_people()",
            "CREATE TRIGGER api_keys_notify AFTER UPDATE ON api_keys FOR EACH ROW
             WHEN ((OLD.revoked_at, OLD.expires_at, OLD.scopes)
                   IS DISTINCT FROM (NEW.revoked_at, NEW.expires_at, NEW.scopes))
             EXECUTE FUNCTION notify_people()",
            "CREATE TRIGGER affiliates_notify AFTER UPDATE ON affiliates FOR EACH ROW
             WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION notify_people()",
        ]
    } else {
        &[
            "DROP TRIGGER audit_no_delete",
            "DROP TRIGGER audit_outcomes_no_delete",
            "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
             WHEN NOT EXISTS (SELECT 1 FROM audit_prunings WHERE older_than > OLD.at)
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows; prune it by age'); END",
            "CREATE TRIGGER audit_outcomes_no_delete BEFORE DELETE ON audit_outcomes
             WHEN NOT EXISTS (SELECT 1 FROM audit a, audit_prunings p
                              WHERE a.id = OLD.audit_id AND p.older_than > a.at)
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows; prune it by age'); END",
            "CREATE TRIGGER audit_prunings_no_update BEFORE UPDATE ON audit_prunings
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
            "CREATE TRIGGER audit_prunings_no_delete BEFORE DELETE ON audit_prunings
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
        ]
    }
}

fn drop_guards(backend: DbBackend) -> &'static [&'static str] {
    if backend == DbBackend::Postgres {
        &[
            "DROP TRIGGER affiliates_notify ON affiliates",
            "DROP TRIGGER api_keys_notify ON api_keys",
            "DROP TRIGGER sessions_notify ON sessions",
            "DROP TRIGGER users_notify ON users",
            "DROP FUNCTION notify_people",
            "DROP TRIGGER audit_no_update ON audit",
            "DROP TRIGGER audit_no_delete ON audit",
            "DROP TRIGGER audit_outcomes_no_update ON audit_outcomes",
            "DROP TRIGGER audit_outcomes_no_delete ON audit_outcomes",
            "DROP FUNCTION audit_needs_pruning",
            "DROP FUNCTION audit_outcome_needs_pruning",
        ]
    } else {
        &["DROP TRIGGER audit_no_delete", "DROP TRIGGER audit_outcomes_no_delete"]
    }
}

fn former_guards(backend: DbBackend) -> &'static [&'static str] {
    if backend == DbBackend::Postgres {
        &[
            "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
             FOR EACH ROW EXECUTE FUNCTION audit_only_grows()",
            "CREATE TRIGGER audit_outcomes_no_change BEFORE UPDATE OR DELETE ON audit_outcomes
             FOR EACH ROW EXECUTE FUNCTION audit_only_grows()",
        ]
    } else {
        &[
            "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
            "CREATE TRIGGER audit_outcomes_no_delete BEFORE DELETE ON audit_outcomes
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
        ]
    }
}
