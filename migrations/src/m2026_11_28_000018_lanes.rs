//! Breakers of lanes: an owner's requests to a destination, and no longer everybody's.

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

/// `breakers.destination` and `deliveries.waiting_for` name a lane from here on: the destination, followed by a space and the owner's id
/// unless the program is the owner. What waits is judged again and finds its lane, and breakers open again if they must.
///
/// The release before takes the lane of an affiliate for a destination of that name. What waits there it claims and sends
/// without the breaker, and stores it as always.
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
