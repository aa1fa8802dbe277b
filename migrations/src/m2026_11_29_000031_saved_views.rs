//! Saved views: names for pages with their filters.

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

/// `page` is a path, `query` the query of its URL.
const UP: &str = "
CREATE TABLE saved_views (
    id <id> PRIMARY KEY,
    user_id <id> NOT NULL REFERENCES users (id),
    page text NOT NULL,
    query text NOT NULL,
    name text NOT NULL,
    created_at <time> NOT NULL
)

CREATE UNIQUE INDEX saved_views_of_user ON saved_views (user_id, page, name)
";

const DOWN: &str = "
DROP TABLE saved_views
";
