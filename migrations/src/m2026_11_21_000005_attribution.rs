//! Terms of offers, applications, coupons, caps, and the evidence for attribution.

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
        dialect::run(manager, ATTRIBUTION).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for sql in [
            "DROP INDEX clicks_of_person",
            "ALTER TABLE clicks DROP COLUMN person",
            "DROP INDEX conversions_by_customer",
            "ALTER TABLE conversions DROP COLUMN attribution",
            "ALTER TABLE conversions DROP COLUMN customer_key",
            "ALTER TABLE conversions DROP COLUMN customer_id",
            "DROP TABLE cap_counters",
            "DROP TABLE applications",
            "DROP TABLE exceptions",
            "DROP TABLE coupons",
            "ALTER TABLE links DROP COLUMN landing_page",
            "ALTER TABLE links DROP COLUMN deep_url",
            "ALTER TABLE offers DROP COLUMN terms",
            "ALTER TABLE offers DROP COLUMN visibility",
        ] {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }
}

/// `links.coupon` remains for the previous release; this release uses only `coupons`.
const ATTRIBUTION: &str = "
ALTER TABLE offers ADD COLUMN visibility text NOT NULL DEFAULT 'public'

ALTER TABLE offers ADD COLUMN terms text NOT NULL DEFAULT '{}'

ALTER TABLE links ADD COLUMN deep_url text

ALTER TABLE links ADD COLUMN landing_page text

CREATE TABLE coupons (
    code text PRIMARY KEY,
    link_id <id> NOT NULL REFERENCES links (id),
    position <int> NOT NULL,
    starts_at <time>,
    ends_at <time>
)

CREATE INDEX coupons_by_link ON coupons (link_id, position)

INSERT INTO coupons (code, link_id, position) SELECT coupon, id, 0 FROM links WHERE coupon IS NOT NULL

CREATE TABLE exceptions (
    id <id> PRIMARY KEY,
    offer_id <id> NOT NULL REFERENCES offers (id),
    affiliate_id <id> NOT NULL REFERENCES affiliates (id),
    goal text NOT NULL,
    payout text NOT NULL,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL,
    UNIQUE (offer_id, affiliate_id, goal)
)

CREATE TABLE applications (
    id <id> PRIMARY KEY,
    offer_id <id> NOT NULL REFERENCES offers (id),
    affiliate_id <id> NOT NULL REFERENCES affiliates (id),
    status text NOT NULL,
    message text,
    reason text,
    decided_at <time>,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL,
    UNIQUE (affiliate_id, offer_id)
)

CREATE TABLE cap_counters (
    offer_id <id> NOT NULL,
    affiliate_id <id> NOT NULL,
    goal text NOT NULL,
    period text NOT NULL,
    conversions <big> NOT NULL,
    payout_micros <big> NOT NULL,
    updated_at <time> NOT NULL,
    PRIMARY KEY (offer_id, affiliate_id, goal, period)
)

ALTER TABLE conversions ADD COLUMN customer_id text

ALTER TABLE conversions ADD COLUMN customer_key <big>

ALTER TABLE conversions ADD COLUMN attribution text

CREATE INDEX conversions_by_customer ON conversions (customer_key, id) WHERE customer_key IS NOT NULL

ALTER TABLE clicks ADD COLUMN person <big>

CREATE INDEX clicks_of_person ON clicks (person, id) WHERE person IS NOT NULL
";
