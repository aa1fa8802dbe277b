//! Circuit breakers per lane: one owner's requests to a destination, instead of all requests to it.

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
        dialect::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, DOWN).await
    }
}

/// `breakers.destination` and `deliveries.waiting_for` contain a lane: the destination, followed by a space and the
/// owner's id unless the owner is the program. Waiting deliveries are checked again and get their lane, and failing
/// breakers reopen.
///
/// The previous release treats the lane of an affiliate as a destination of that name. It claims and sends the
/// deliveries that wait there without the breaker, and stores the results as always.
const UP: &str = "
ALTER TABLE breakers ADD COLUMN owner_affiliate_id <id>

DELETE FROM breakers

UPDATE deliveries SET waiting_for = NULL, waiting_rank = NULL, due_at = created_at WHERE waiting_for IS NOT NULL
";

const DOWN: &str = "
DELETE FROM breakers

UPDATE deliveries SET waiting_for = NULL, waiting_rank = NULL, due_at = created_at WHERE waiting_for IS NOT NULL

ALTER TABLE breakers DROP COLUMN owner_affiliate_id
";
