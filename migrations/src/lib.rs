//! The schema of Postrider, one file a change. The same SQL for SQLite and PostgreSQL: see [`dialect`].
//!
//! Expand, then contract: a migration never breaks the release before it.

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
mod m2026_11_28_000014_breakers;

use sea_orm_migration::prelude::*;

/// Runs every migration that this database has not seen.
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
            Box::new(m2026_11_28_000014_breakers::Migration),
        ]
    }
}
