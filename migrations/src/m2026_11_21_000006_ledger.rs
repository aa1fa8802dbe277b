//! Earnings with their holds, balances, sub-affiliates, exchanges and their rates; the subject of each posting.

use sea_orm_migration::prelude::*;

use crate::dialect;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, EARNINGS).await?;
        dialect::run(manager, POSTINGS).await?;
        dialect::run(manager, PROGRAM).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for sql in [
            "DROP TABLE exchanges",
            "DROP TABLE exchange_rates",
            "DROP TABLE program_settings",
            "DROP INDEX affiliates_by_recruiter",
            "ALTER TABLE affiliates DROP COLUMN recruited_at",
            "ALTER TABLE affiliates DROP COLUMN recruited_by",
            "ALTER TABLE offers DROP COLUMN hold_days",
            "DROP INDEX entries_by_affiliate",
            "CREATE INDEX entries_by_affiliate ON entries (affiliate_id, account, currency) WHERE affiliate_id IS NOT NULL",
            "ALTER TABLE postings DROP COLUMN note",
            "ALTER TABLE postings DROP COLUMN cause_id",
            "ALTER TABLE postings DROP COLUMN cause",
            "ALTER TABLE postings DROP COLUMN kind",
            "DROP TABLE balances",
            "DROP TABLE earnings",
        ] {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }
}

/// Conversions approved before holds existed have no hold.
const EARNINGS: &str = "
CREATE TABLE earnings (
    id <id> PRIMARY KEY,
    affiliate_id <id> NOT NULL,
    kind text NOT NULL,
    conversion_id <id>,
    recruit_id <id>,
    level <int> NOT NULL,
    percent text,
    from_recruit <bool> NOT NULL,
    currency text NOT NULL,
    earned_micros <big> NOT NULL,
    micros <big> NOT NULL,
    state text NOT NULL,
    release_at <time> NOT NULL,
    released_at <time>,
    reason text,
    made_by text,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL
)

CREATE INDEX earnings_due ON earnings (release_at, id) WHERE state = 'pending'

CREATE INDEX earnings_pending ON earnings (affiliate_id, currency, micros) WHERE state = 'pending'

CREATE INDEX earnings_by_affiliate ON earnings (affiliate_id, id)

CREATE INDEX earnings_by_recruit ON earnings (recruit_id, affiliate_id, currency, micros) WHERE recruit_id IS NOT NULL

CREATE INDEX earnings_by_conversion ON earnings (conversion_id) WHERE conversion_id IS NOT NULL

CREATE INDEX earnings_adjustments ON earnings (id) WHERE kind = 'adjustment'

INSERT INTO earnings (id, affiliate_id, kind, conversion_id, level, from_recruit, currency, earned_micros, micros, state,
    release_at, created_at, updated_at)
SELECT id, affiliate_id, 'payout', id, 0, false, payout_currency, payout_micros, payout_micros, 'pending',
    updated_at, updated_at, updated_at
FROM conversions WHERE status = 'approved' AND payout_micros > 0 AND NOT self_reported

CREATE TABLE balances (
    affiliate_id <id> NOT NULL,
    currency text NOT NULL,
    available <big> NOT NULL CHECK (available >= 0),
    withdrawing <big> NOT NULL CHECK (withdrawing >= 0),
    paid <big> NOT NULL CHECK (paid >= 0),
    debt <big> NOT NULL CHECK (debt >= 0),
    PRIMARY KEY (affiliate_id, currency)
)
";

/// The entries of an affiliate in chronological order: its statement. The balances hold the sums now.
const POSTINGS: &str = "
ALTER TABLE postings ADD COLUMN kind text NOT NULL DEFAULT 'earned'

ALTER TABLE postings ADD COLUMN cause text NOT NULL DEFAULT 'conversion'

ALTER TABLE postings ADD COLUMN cause_id <id>

ALTER TABLE postings ADD COLUMN note text

UPDATE postings SET kind = 'reversed' WHERE key LIKE '%:reversed'

DROP INDEX entries_by_affiliate

CREATE INDEX entries_by_affiliate ON entries (affiliate_id, currency, posting_id) WHERE affiliate_id IS NOT NULL
";

const PROGRAM: &str = "
ALTER TABLE offers ADD COLUMN hold_days <int> NOT NULL DEFAULT 0

ALTER TABLE affiliates ADD COLUMN recruited_by <id>

ALTER TABLE affiliates ADD COLUMN recruited_at <time>

CREATE INDEX affiliates_by_recruiter ON affiliates (recruited_by, id) WHERE recruited_by IS NOT NULL

CREATE TABLE program_settings (
    key text PRIMARY KEY,
    value text NOT NULL,
    updated_at <time> NOT NULL
)

INSERT INTO program_settings (key, value, updated_at) VALUES ('recruiting', '{\"tiers\":[],\"paid_from\":\"program\"}', 0)

CREATE TABLE exchange_rates (
    id <id> PRIMARY KEY,
    from_currency text NOT NULL,
    to_currency text NOT NULL,
    valid_from <time> NOT NULL,
    rate text NOT NULL,
    created_at <time> NOT NULL,
    UNIQUE (from_currency, to_currency, valid_from)
)

CREATE TABLE exchanges (
    id <id> PRIMARY KEY,
    affiliate_id <id> NOT NULL,
    rate_id <id> NOT NULL,
    taken_currency text NOT NULL,
    taken_micros <big> NOT NULL,
    given_currency text NOT NULL,
    given_micros <big> NOT NULL,
    created_at <time> NOT NULL
)

CREATE INDEX exchanges_by_affiliate ON exchanges (affiliate_id, id)
";
