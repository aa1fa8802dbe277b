//! Indexes for searches and filters of lists.
//!
//! Writes: rows of affiliates, offers, links, coupons, postbacks, users, sources and customers change rarely, so their
//! indexes cost nothing that matters. The others are partial and cost one entry only for rows that have the value: a
//! click with an external id, a conversion with a customer, with an e-mail address, or of an affiliate's own source.
//! An entry of `clicks_by_external_id` is a random write within the month's partition. There is no index of sub ids:
//! see `Window` in `core/storage/src/base/page.rs`.

use sea_orm_migration::prelude::*;

use crate::dialect;
use crate::online::LargeIndex;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// PostgreSQL builds the indexes of large tables outside of a transaction; each step can be repeated.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column("conversions", "customer_email_key").await? {
            dialect::run(manager, "ALTER TABLE conversions ADD COLUMN customer_email_key <big>").await?;
        }
        for (table, column) in SEARCHED {
            let sql = format!("CREATE INDEX IF NOT EXISTS {table}_search_{column} ON {table} (<folded {column}>)");
            dialect::run(manager, &sql).await?;
        }
        for index in FILTERS {
            index.create(manager).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in FILTERS {
            index.drop(manager).await?;
        }
        for (table, column) in SEARCHED {
            dialect::run(manager, &format!("DROP INDEX {table}_search_{column}")).await?;
        }
        dialect::run(manager, "ALTER TABLE conversions DROP COLUMN customer_email_key").await
    }
}

/// The columns that are searched by prefix.
const SEARCHED: &[(&str, &str)] = &[
    ("affiliates", "name"),
    ("affiliates", "email"),
    ("affiliates", "referral_code"),
    ("offers", "name"),
    ("offers", "landing_url"),
    ("links", "deep_url"),
    ("coupons", "code"),
    ("postbacks", "name"),
    ("postback_destinations", "destination"),
    ("users", "name"),
    ("users", "email"),
    ("sources", "name"),
    ("customers", "external_id"),
    ("customers", "name"),
    ("customers", "email"),
];

/// `customer_email_key` has the first 64 bits of the SHA-256 of the address. The maintenance adds it to rows that have
/// none, such as those that an earlier release inserts, and finds them by `conversions_without_email_key`.
const FILTERS: &[LargeIndex] = &[
    LargeIndex::new(
        "conversions",
        "conversions_by_email",
        "(customer_email_key, id) WHERE customer_email_key IS NOT NULL",
    ),
    LargeIndex::new(
        "conversions",
        "conversions_without_email_key",
        "(id) WHERE customer_email IS NOT NULL AND customer_email_key IS NULL",
    ),
    LargeIndex::new("conversions", "conversions_by_customer_id", "(customer_id, id) WHERE customer_id IS NOT NULL"),
    LargeIndex::new("conversions", "conversions_self_reported", "(<prefix transaction_id>) WHERE self_reported"),
    LargeIndex::new("clicks", "clicks_by_external_id", "(external_id, id) WHERE external_id IS NOT NULL"),
];
