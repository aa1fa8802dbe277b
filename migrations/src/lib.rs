//! The schema of Postrider, one file per change. The same SQL for SQLite and PostgreSQL: see [`dialect`].
//!
//! Expand, then contract: a migration never breaks the previous release. A migration that removes something that older
//! releases still use records this: see [`compatibility`].

pub mod compatibility;
mod dialect;
mod m2026_11_20_000001_spine;
mod m2026_11_21_000002_adapters;
mod m2026_11_21_000003_inbound;
mod m2026_11_21_000004_templates;
mod m2026_11_21_000005_attribution;
mod m2026_11_21_000006_ledger;
mod m2026_11_21_000007_withdrawals;
mod m2026_11_21_000008_people;
mod m2026_11_21_000009_reports;
mod m2026_11_21_000010_inbound;
mod m2026_11_21_000011_owed_events;
mod m2026_11_28_000012_secret_keys;
mod m2026_11_28_000013_compatibility;
mod m2026_11_28_000014_breakers;
mod m2026_11_28_000015_bounds;
mod m2026_11_28_000016_people;
mod m2026_11_28_000018_lanes;
mod m2026_11_28_000019_servers;
mod m2026_11_28_000020_openers;
mod m2026_11_29_000021_names;
mod m2026_11_29_000022_report_versions;
mod m2026_11_29_000024_search;
mod m2026_11_29_000025_archive;
mod m2026_11_29_000026_test_conversions;
mod m2026_11_29_000028_preferences;
mod m2026_11_29_000029_explanations;
mod m2026_11_29_000030_postback_approval;
mod m2026_11_29_000031_saved_views;
mod m2026_11_29_000032_sources;
mod m2026_11_29_000033_rejection_reasons;
mod m2026_11_29_000034_notifications;
mod m2026_11_30_000035_goals;
mod m2026_11_30_000036_lists;
mod m2026_11_30_000038_posting_order;
mod m2026_12_01_000039_sums_of_entries;
mod online;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, EntityTrait};
use sea_orm_migration::seaql_migrations;

/// Runs every migration that this database does not have yet.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m2026_11_20_000001_spine::Migration),
            Box::new(m2026_11_21_000002_adapters::Migration),
            Box::new(m2026_11_21_000003_inbound::Migration),
            Box::new(m2026_11_21_000004_templates::Migration),
            Box::new(m2026_11_21_000005_attribution::Migration),
            Box::new(m2026_11_21_000006_ledger::Migration),
            Box::new(m2026_11_21_000007_withdrawals::Migration),
            Box::new(m2026_11_21_000008_people::Migration),
            Box::new(m2026_11_21_000009_reports::Migration),
            Box::new(m2026_11_21_000010_inbound::Migration),
            Box::new(m2026_11_21_000011_owed_events::Migration),
            Box::new(m2026_11_28_000012_secret_keys::Migration),
            Box::new(m2026_11_28_000013_compatibility::Migration),
            Box::new(m2026_11_28_000014_breakers::Migration),
            Box::new(m2026_11_28_000015_bounds::Migration),
            Box::new(m2026_11_28_000016_people::Migration),
            Box::new(m2026_11_28_000018_lanes::Migration),
            Box::new(m2026_11_28_000019_servers::Migration),
            Box::new(m2026_11_28_000020_openers::Migration),
            Box::new(m2026_11_29_000021_names::Migration),
            Box::new(m2026_11_29_000022_report_versions::Migration),
            Box::new(m2026_11_29_000024_search::Migration),
            Box::new(m2026_11_29_000025_archive::Migration),
            Box::new(m2026_11_29_000026_test_conversions::Migration),
            Box::new(m2026_11_29_000028_preferences::Migration),
            Box::new(m2026_11_29_000029_explanations::Migration),
            Box::new(m2026_11_29_000030_postback_approval::Migration),
            Box::new(m2026_11_29_000031_saved_views::Migration),
            Box::new(m2026_11_29_000032_sources::Migration),
            Box::new(m2026_11_29_000033_rejection_reasons::Migration),
            Box::new(m2026_11_29_000034_notifications::Migration),
            Box::new(m2026_11_30_000035_goals::Migration),
            Box::new(m2026_11_30_000036_lists::Migration),
            Box::new(m2026_11_30_000038_posting_order::Migration),
            Box::new(m2026_12_01_000039_sums_of_entries::Migration),
        ]
    }

    /// Only migrations of this release: it ignores those of a newer release, as long as it may run on the schema.
    async fn get_migration_models<C: ConnectionTrait>(db: &C) -> Result<Vec<seaql_migrations::Model>, DbErr> {
        let mut applied = Self::applied(db).await?;
        let known = Self::migrations();
        applied.retain(|it| known.iter().any(|migration| migration.name() == it.version));
        Ok(applied)
    }
}

impl Migrator {
    /// The schema level of this release.
    pub fn level() -> i32 {
        let newest = Self::migrations().pop().expect("there are migrations");
        compatibility::number(newest.name()).expect("every migration has a number")
    }

    /// Migrations of newer releases that were run on this database.
    pub async fn unknown(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
        let known = Self::migrations();
        let applied = Self::applied(db).await?.into_iter().map(|it| it.version);
        Ok(applied.filter(|it| !known.iter().any(|migration| migration.name() == it)).collect())
    }

    async fn applied(db: &impl ConnectionTrait) -> Result<Vec<seaql_migrations::Model>, DbErr> {
        Self::install(db).await?;
        seaql_migrations::Entity::find().all(db).await
    }
}
