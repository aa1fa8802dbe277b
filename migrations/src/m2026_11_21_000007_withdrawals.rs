//! Payouts to affiliates: methods, details, withdrawals and their batches.

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
        dialect::run(manager, WITHDRAWALS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["withdrawals", "withdrawal_batches", "payout_details", "payout_methods"] {
            manager.get_connection().execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        manager.get_connection().execute_unprepared("DROP INDEX offers_with_minimum").await?;
        manager.get_connection().execute_unprepared("ALTER TABLE offers DROP COLUMN minimum_withdrawal_micros").await?;
        Ok(())
    }
}

const WITHDRAWALS: &str = "
ALTER TABLE offers ADD COLUMN minimum_withdrawal_micros <big>

CREATE INDEX offers_with_minimum ON offers (currency, minimum_withdrawal_micros)
    WHERE minimum_withdrawal_micros IS NOT NULL

CREATE TABLE payout_methods (
    id text PRIMARY KEY,
    name text NOT NULL,
    processing_time text NOT NULL,
    details_schema text NOT NULL,
    currencies text NOT NULL,
    file text NOT NULL,
    payer text,
    enabled <bool> NOT NULL,
    built_in <bool> NOT NULL,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL
)

CREATE TABLE payout_details (
    id <id> PRIMARY KEY,
    affiliate_id <id> NOT NULL REFERENCES affiliates (id),
    method text NOT NULL REFERENCES payout_methods (id),
    sealed text NOT NULL,
    masked text NOT NULL,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL,
    UNIQUE (affiliate_id, method)
)

CREATE TABLE withdrawal_batches (
    id <id> PRIMARY KEY,
    method text NOT NULL REFERENCES payout_methods (id),
    currency text NOT NULL,
    count <int> NOT NULL,
    net_micros <big> NOT NULL,
    created_by text NOT NULL,
    exported_at <time>,
    dissolved_at <time>,
    created_at <time> NOT NULL
)

CREATE TABLE withdrawals (
    id <id> PRIMARY KEY,
    affiliate_id <id> NOT NULL REFERENCES affiliates (id),
    method text NOT NULL REFERENCES payout_methods (id),
    currency text NOT NULL,
    amount_micros <big> NOT NULL CHECK (amount_micros > 0),
    fee_micros <big> NOT NULL CHECK (fee_micros >= 0 AND fee_micros < amount_micros),
    asked_all <bool> NOT NULL,
    status text NOT NULL,
    note text,
    history text NOT NULL,
    sealed_details text NOT NULL,
    masked_details text NOT NULL,
    details_changed_at <time> NOT NULL,
    batch_id <id> REFERENCES withdrawal_batches (id),
    accepted_debt_micros <big> NOT NULL,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL
)

CREATE INDEX withdrawals_by_affiliate ON withdrawals (affiliate_id, id)

CREATE INDEX withdrawals_by_status ON withdrawals (status, id)

CREATE INDEX withdrawals_by_batch ON withdrawals (batch_id, id) WHERE batch_id IS NOT NULL

CREATE INDEX withdrawals_to_pay ON withdrawals (method, currency, id) WHERE status = 'approved' AND batch_id IS NULL
";
