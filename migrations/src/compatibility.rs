//! Which releases may run on a schema.
//!
//! A schema level is the number of a migration, and a release has the level of its newest one. Most migrations only
//! add: releases of earlier levels still run, so nodes are upgraded and rolled back one by one. A migration that
//! removes something that earlier releases use calls [`require_level`] in its own transaction. Releases below that
//! level then refuse to start, and running ones report that they are not ready.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, Statement};

/// The lowest level of a release that may run on a database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    pub level: i32,
    /// The first release with that level, for messages.
    pub release: String,
}

impl Requirement {
    /// Whether a release of this level may run on such a database.
    pub fn admits(&self, level: i32) -> bool {
        self.level <= level
    }
}

/// The number in the name of a migration: 13 of `m2026_11_28_000013_compatibility`.
pub(crate) fn number(name: &str) -> Option<i32> {
    name.split('_').nth(3)?.parse().ok()
}

/// The requirement of the database; `None` before the migration that creates the table.
pub async fn find(db: &impl ConnectionTrait) -> Result<Option<Requirement>, DbErr> {
    let sql = "SELECT oldest_level, oldest_release FROM schema_compatibility";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    row.map(|row| {
        let (level, release) = (row.try_get("", "oldest_level")?, row.try_get("", "oldest_release")?);
        Ok(Requirement { level, release })
    })
    .transpose()
}

/// Admits only releases of this level or a later one: for a migration that removes something.
pub(crate) async fn require_level(manager: &SchemaManager<'_>, level: i32, release: &str) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let sql = "UPDATE schema_compatibility SET oldest_level = $1, oldest_release = $2 WHERE oldest_level < $1";
    let values = [level.into(), release.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Migrator;

    #[test]
    fn levels_rise_with_every_migration() {
        let levels: Vec<_> = Migrator::migrations().iter().map(|it| number(it.name()).expect("a number")).collect();
        assert!(levels.is_sorted_by(|a, b| a < b), "{levels:?}");
        assert_eq!(levels.last(), Some(&Migrator::level()));
    }

    #[test]
    fn a_release_runs_on_a_schema_that_requires_its_level_or_less() {
        let requirement = |level| Requirement { level, release: "1.0.0".to_owned() };
        for (required, own, expected) in [(13, 12, false), (13, 13, true), (13, 14, true)] {
            assert_eq!(requirement(required).admits(own), expected, "{own} where {required} is required");
        }
    }
}
