//! Indexes of lists: the postbacks of an affiliate or of the program, and the links of an offer. Both change rarely.

use sea_orm_migration::prelude::*;

use crate::online::LargeIndex;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// PostgreSQL builds the indexes outside of a transaction; each step can be repeated.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in INDEXES {
            index.create(manager).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in INDEXES {
            index.drop(manager).await?;
        }
        Ok(())
    }
}

const INDEXES: [LargeIndex; 2] = [
    LargeIndex::new("postbacks", "postbacks_by_owner", "(owner_affiliate_id, id)"),
    LargeIndex::new("links", "links_by_offer", "(offer_id, id)"),
];
