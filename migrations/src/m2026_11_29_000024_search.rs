//! Indexes for searches and filters of lists.
//!
//! Writes: rows of affiliates, offers, links, coupons, postbacks, users, sources and customers change rarely, so their
//! indexes cost nothing that matters. The others are partial and cost one entry only for rows that have the value: a
//! click with an external id, a conversion with a customer, with an e-mail address, or of an affiliate's own source.
//! An entry of `clicks_by_external_id` is a random write within the month's partition. There is no index of sub ids:
//! see `Window` in `core/storage/src/base/page.rs`.

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
        for (table, column) in SEARCHED {
            let sql = format!("CREATE INDEX {table}_search_{column} ON {table} (<folded {column}>)");
            dialect::run(manager, &sql).await?;
        }
        dialect::run(manager, FILTERS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, FILTERS_REMOVED).await?;
        for (table, column) in SEARCHED {
            dialect::run(manager, &format!("DROP INDEX {table}_search_{column}")).await?;
        }
        Ok(())
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

/// The first 64 bits of the SHA-256 of the address. The maintenance adds it to rows that have none, such as those that
/// an earlier release inserts.
const FILTERS: &str = "
ALTER TABLE conversions ADD COLUMN customer_email_key <big>

CREATE INDEX conversions_by_email ON conversions (customer_email_key, id) WHERE customer_email_key IS NOT NULL

CREATE INDEX conversions_without_email_key ON conversions (id)
    WHERE customer_email IS NOT NULL AND customer_email_key IS NULL

CREATE INDEX conversions_by_customer_id ON conversions (customer_id, id) WHERE customer_id IS NOT NULL

CREATE INDEX conversions_self_reported ON conversions (<prefix transaction_id>) WHERE self_reported

CREATE INDEX clicks_by_external_id ON clicks (external_id, id) WHERE external_id IS NOT NULL
";

const FILTERS_REMOVED: &str = "
DROP INDEX clicks_by_external_id

DROP INDEX conversions_self_reported

DROP INDEX conversions_by_customer_id

DROP INDEX conversions_without_email_key

DROP INDEX conversions_by_email

ALTER TABLE conversions DROP COLUMN customer_email_key
";
