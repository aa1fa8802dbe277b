//! People: sign-in, owners of keys, customers, and the append-only audit log.

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
        dialect::run(manager, RECORDS).await?;
        for statement in only_grows(manager.get_database_backend()) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for table in
            ["audit_outcomes", "audit", "customers", "mails", "throttles", "tokens", "sessions", "recovery_codes"]
        {
            db.execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared("DROP FUNCTION audit_only_grows").await?;
        }
        db.execute_unprepared("DROP INDEX api_keys_by_user").await?;
        for column in ["user_id", "scopes", "expires_at", "last_used_at"] {
            db.execute_unprepared(&format!("ALTER TABLE api_keys DROP COLUMN {column}")).await?;
        }
        db.execute_unprepared("DROP TABLE users").await?;
        Ok(())
    }
}

const PEOPLE: &str = "
CREATE TABLE users (
    id <id> PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    role text NOT NULL,
    affiliate_id <id> REFERENCES affiliates (id),
    status text NOT NULL,
    password_hash text,
    totp_secret text,
    totp_pending text,
    totp_last_step <big>,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL
)

CREATE TABLE recovery_codes (
    user_id <id> NOT NULL REFERENCES users (id),
    hash text NOT NULL,
    used_at <time>,
    PRIMARY KEY (user_id, hash)
)

CREATE TABLE sessions (
    id <id> PRIMARY KEY,
    hash text NOT NULL UNIQUE,
    user_id <id> REFERENCES users (id),
    affiliate_id <id> REFERENCES affiliates (id),
    address text,
    user_agent text,
    created_at <time> NOT NULL,
    last_seen_at <time> NOT NULL,
    expires_at <time> NOT NULL,
    revoked_at <time>
)

CREATE INDEX sessions_by_user ON sessions (user_id, id) WHERE user_id IS NOT NULL

CREATE INDEX sessions_by_age ON sessions (expires_at)

CREATE TABLE tokens (
    hash text PRIMARY KEY,
    purpose text NOT NULL,
    user_id <id> REFERENCES users (id),
    affiliate_id <id> REFERENCES affiliates (id),
    data text NOT NULL,
    created_at <time> NOT NULL,
    expires_at <time> NOT NULL,
    used_at <time>
)

CREATE INDEX tokens_by_age ON tokens (expires_at)

CREATE TABLE throttles (
    subject text PRIMARY KEY,
    failures <int> NOT NULL,
    last_at <time> NOT NULL,
    blocked_until <time> NOT NULL
)

CREATE INDEX throttles_by_age ON throttles (last_at)

CREATE TABLE mails (
    id <id> PRIMARY KEY,
    sealed text NOT NULL,
    attempts <int> NOT NULL,
    due_at <time> NOT NULL,
    give_up_at <time> NOT NULL,
    lease_until <time>,
    claim <big>
)

CREATE INDEX mails_by_due ON mails (due_at)

ALTER TABLE api_keys ADD COLUMN user_id <id> REFERENCES users (id)

ALTER TABLE api_keys ADD COLUMN scopes text

ALTER TABLE api_keys ADD COLUMN expires_at <time>

ALTER TABLE api_keys ADD COLUMN last_used_at <time>

CREATE INDEX api_keys_by_user ON api_keys (user_id, id) WHERE user_id IS NOT NULL
";

const RECORDS: &str = "
CREATE TABLE customers (
    id <id> PRIMARY KEY,
    external_id text NOT NULL UNIQUE,
    name text NOT NULL,
    email text NOT NULL,
    affiliate_id <id> NOT NULL UNIQUE REFERENCES affiliates (id),
    link_id <id> REFERENCES links (id),
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL
)

CREATE TABLE audit (
    id <id> PRIMARY KEY,
    at <time> NOT NULL,
    actor text NOT NULL,
    user_id <id>,
    role text NOT NULL,
    operation text NOT NULL,
    object text,
    fields text NOT NULL,
    address text,
    request_id text
)

CREATE TABLE audit_outcomes (
    audit_id <id> PRIMARY KEY REFERENCES audit (id),
    at <time> NOT NULL,
    outcome text NOT NULL,
    status <int>,
    object text,
    changes text
)

CREATE INDEX audit_outcomes_by_object ON audit_outcomes (object, audit_id) WHERE object IS NOT NULL

CREATE INDEX audit_by_actor ON audit (actor, id)

CREATE INDEX audit_by_user ON audit (user_id, id) WHERE user_id IS NOT NULL

CREATE INDEX audit_by_object ON audit (object, id) WHERE object IS NOT NULL

CREATE INDEX audit_by_operation ON audit (operation, id)
";

/// Rows of the audit log can be neither changed nor deleted by any user.
fn only_grows(backend: DbBackend) -> &'static [&'static str] {
    if backend == DbBackend::Postgres {
        &[
            "CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'the audit log only grows'; END $$",
            "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
             FOR EACH ROW EXECUTE FUNCTION audit_only_grows()",
            "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
             FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()",
            "CREATE TRIGGER audit_outcomes_no_change BEFORE UPDATE OR DELETE ON audit_outcomes
             FOR EACH ROW EXECUTE FUNCTION audit_only_grows()",
            "CREATE TRIGGER audit_outcomes_no_truncate BEFORE TRUNCATE ON audit_outcomes
             FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows()",
        ]
    } else {
        &[
            "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
            "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
            "CREATE TRIGGER audit_outcomes_no_update BEFORE UPDATE ON audit_outcomes
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
            "CREATE TRIGGER audit_outcomes_no_delete BEFORE DELETE ON audit_outcomes
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END",
        ]
    }
}
