//! From a click to a postback: people, offers, links, clicks, conversions, the ledger, events, deliveries.

use sea_orm_migration::prelude::*;

use crate::dialect;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// All or nothing: an interrupted start must not leave a partial schema.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, PROGRAM).await?;
        dialect::run(manager, LEDGER).await?;
        dialect::run(manager, PIPELINE).await?;
        dialect::default_partitions(manager, &["clicks", "events", "deliveries", "attempts"]).await
    }

    /// This is the first migration, so there is nothing to go back to.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            "attempts",
            "deliveries",
            "events",
            "entries",
            "postings",
            "conversions",
            "clicks",
            "idempotency_keys",
            "postbacks",
            "api_keys",
            "links",
            "offers",
            "affiliates",
        ] {
            manager.get_connection().execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        Ok(())
    }
}

const PROGRAM: &str = "
CREATE TABLE affiliates (
    id <id> PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    referral_code text NOT NULL UNIQUE,
    status text NOT NULL,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL
)

CREATE TABLE offers (
    id <id> PRIMARY KEY,
    name text NOT NULL,
    landing_url text NOT NULL,
    currency text NOT NULL,
    payout_kind text NOT NULL,
    payout_value text NOT NULL,
    status text NOT NULL,
    is_default <bool> NOT NULL,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL
)

CREATE UNIQUE INDEX offers_one_default ON offers (is_default) WHERE is_default

CREATE TABLE links (
    id <id> PRIMARY KEY,
    affiliate_id <id> NOT NULL REFERENCES affiliates (id),
    offer_id <id> NOT NULL REFERENCES offers (id),
    coupon text UNIQUE,
    status text NOT NULL,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL
)

CREATE INDEX links_by_affiliate ON links (affiliate_id, id)

CREATE TABLE api_keys (
    id <id> PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL,
    affiliate_id <id> REFERENCES affiliates (id),
    hash text NOT NULL UNIQUE,
    hint text NOT NULL,
    created_at <time> NOT NULL,
    revoked_at <time>
)

CREATE TABLE postbacks (
    id <id> PRIMARY KEY,
    name text NOT NULL,
    adapter text NOT NULL,
    adapter_version text NOT NULL,
    config text NOT NULL,
    action text NOT NULL,
    affiliate_id <id> REFERENCES affiliates (id),
    offer_id <id> REFERENCES offers (id),
    firing_status text NOT NULL,
    rejection_reasons text NOT NULL,
    delay_value <int>,
    delay_unit text,
    ordering text NOT NULL,
    enabled <bool> NOT NULL,
    owner_affiliate_id <id> REFERENCES affiliates (id),
    verified_at <time>,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL,
    archived_at <time>
)

CREATE INDEX postbacks_live ON postbacks (affiliate_id, action) WHERE enabled AND archived_at IS NULL

CREATE TABLE idempotency_keys (
    actor text NOT NULL,
    key text NOT NULL,
    request_hash text NOT NULL,
    status <int>,
    body text,
    created_at <time> NOT NULL,
    PRIMARY KEY (actor, key)
)

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)
";

const LEDGER: &str = "
CREATE TABLE conversions (
    id <id> PRIMARY KEY,
    offer_id <id> NOT NULL,
    transaction_id text NOT NULL,
    revision <int> NOT NULL,
    status text NOT NULL,
    rejection_reason text,
    affiliate_id <id> NOT NULL,
    link_id <id>,
    click_id <id>,
    attributed_by text NOT NULL,
    goal text,
    sale_micros <big>,
    sale_currency text,
    payout_micros <big>,
    payout_currency text,
    revenue_micros <big>,
    revenue_currency text,
    customer_name text,
    customer_email text,
    plan_name text,
    plan_price_micros <big>,
    purchase_id text,
    purchase_date <time>,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL,
    UNIQUE (transaction_id, offer_id)
)

CREATE INDEX conversions_by_affiliate ON conversions (affiliate_id, id)

CREATE INDEX conversions_by_click ON conversions (click_id) WHERE click_id IS NOT NULL

CREATE TABLE postings (
    id <id> PRIMARY KEY,
    key text NOT NULL UNIQUE,
    conversion_id <id>,
    currency text NOT NULL,
    created_at <time> NOT NULL
)

CREATE TABLE entries (
    posting_id <id> NOT NULL,
    number <int> NOT NULL,
    account text NOT NULL,
    affiliate_id <id>,
    currency text NOT NULL,
    micros <big> NOT NULL,
    PRIMARY KEY (posting_id, number)
)

CREATE INDEX entries_by_affiliate ON entries (affiliate_id, account, currency) WHERE affiliate_id IS NOT NULL
";

const PIPELINE: &str = "
CREATE TABLE clicks (
    id <id> PRIMARY KEY,
    action text NOT NULL,
    link_id <id>,
    affiliate_id <id> NOT NULL,
    offer_id <id> NOT NULL,
    occurred_at <time> NOT NULL,
    external_id text,
    sub_ids text NOT NULL,
    params text NOT NULL,
    landing_url text NOT NULL,
    referrer text,
    ip text,
    user_agent text,
    device text,
    browser text,
    os text,
    likely_bot <bool> NOT NULL,
    visitor <big> NOT NULL,
    is_unique <bool> NOT NULL
) <by time id>

CREATE INDEX clicks_by_affiliate ON clicks (affiliate_id, id)

CREATE INDEX clicks_first_of_visitor ON clicks (visitor) WHERE is_unique

CREATE TABLE events (
    id <id> PRIMARY KEY,
    action text NOT NULL,
    occurred_at <time> NOT NULL,
    affiliate_id <id> NOT NULL,
    offer_id <id> NOT NULL,
    click_id <id>,
    conversion_id <id>,
    revision <int> NOT NULL,
    facts text NOT NULL,
    routed_at <time>,
    lease_until <time>,
    claim <big>
) <by time id>

CREATE INDEX events_owed ON events (id) WHERE routed_at IS NULL

CREATE INDEX events_by_affiliate ON events (affiliate_id, id)

CREATE INDEX events_by_conversion ON events (conversion_id) WHERE conversion_id IS NOT NULL

CREATE TABLE deliveries (
    id <id> PRIMARY KEY,
    event_id <id> NOT NULL,
    postback_id <id> NOT NULL,
    conversion_id <id>,
    revision <int> NOT NULL,
    affiliate_id <id> NOT NULL,
    state text NOT NULL,
    reason_code text,
    reason text,
    due_at <time> NOT NULL,
    lease_until <time>,
    claim <big>,
    attempts <int> NOT NULL,
    attempts_before_retry <int> NOT NULL,
    created_at <time> NOT NULL,
    settled_at <time>
) <by time id>

CREATE INDEX deliveries_owed ON deliveries (due_at) WHERE state = 'pending'

CREATE INDEX deliveries_by_conversion ON deliveries (conversion_id) WHERE conversion_id IS NOT NULL

CREATE INDEX deliveries_by_postback ON deliveries (postback_id, id)

CREATE TABLE attempts (
    delivery_id <id> NOT NULL,
    number <int> NOT NULL,
    at <time> NOT NULL,
    duration_ms <int> NOT NULL,
    method text NOT NULL,
    url text NOT NULL,
    request_headers text NOT NULL,
    request_body text,
    status <int>,
    response_headers text NOT NULL,
    response_body text,
    truncated <bool> NOT NULL,
    outcome text NOT NULL,
    error_code text,
    error text,
    PRIMARY KEY (delivery_id, number)
) <by time delivery_id>
";
