//! A table that is a queue: rows are taken with a lease, and given back.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult, Statement};

use domain::delivery::lease::Lease;
use domain::timestamp::Timestamp;

use super::database::{is_one_of, skip_locked};

/// A table with the columns `id`, `lease_until` and `claim`, and which of its rows are pending to somebody.
pub struct Queue {
    pub(crate) table: &'static str,
    /// What makes a row pending; `true` where a row is there only as long as it is pending.
    pub(crate) pending: &'static str,
    /// What makes an pending row due at `$3`, starting with AND; nothing when it is due at once.
    pub(crate) due: &'static str,
    /// Which comes first.
    pub(crate) order: &'static str,
}

impl Queue {
    /// Takes up to `limit` rows that are due and nobody's. They come back in no order.
    pub(crate) async fn take(
        &self,
        db: &DatabaseConnection,
        limit: usize,
        now: Timestamp,
        lease: Lease,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let Self { table, pending, due, order } = self;
        let free = format!(
            "SELECT id FROM {table} WHERE {pending} {due} AND (lease_until IS NULL OR lease_until <= $3)
             ORDER BY {order} LIMIT $4{}",
            skip_locked(db)
        );
        let sql =
            format!("UPDATE {table} SET lease_until = $1, claim = $2 WHERE {} RETURNING *", is_one_of(db, "id", &free));
        let values = [lease.until.into(), lease.claim.into(), now.into(), (limit as i64).into()];
        db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await
    }

    /// Frees what these claims still hold, without waiting for their leases.
    pub async fn release(&self, db: &impl ConnectionTrait, claims: &[i64]) -> Result<(), DbErr> {
        if claims.is_empty() {
            return Ok(());
        }
        // Numbers of our own making, and a list that no database has a type for.
        let claims: Vec<_> = claims.iter().map(i64::to_string).collect();
        self.free(db, &format!("claim IN ({})", claims.join(", "))).await
    }

    /// Frees every claim: only right when no other process can hold one.
    pub async fn release_all(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        self.free(db, "claim IS NOT NULL").await
    }

    async fn free(&self, db: &impl ConnectionTrait, which: &str) -> Result<(), DbErr> {
        let Self { table, pending, .. } = self;
        let sql = format!("UPDATE {table} SET lease_until = NULL, claim = NULL WHERE {pending} AND {which}");
        db.execute_unprepared(&sql).await.map(drop)
    }
}
