//! Tables that are queues: rows are claimed with a lease and released.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult, Statement};

use domain::delivery::lease::Lease;
use domain::timestamp::Timestamp;

use super::database::{is_one_of, skip_locked};

/// A table with the columns `id`, `lease_until` and `claim`, and the conditions of its pending and due rows.
pub struct Queue {
    pub(crate) table: &'static str,
    /// The condition of a pending row; `true` if rows are deleted when they are done.
    pub(crate) pending: &'static str,
    /// The condition of a due row at the time `$3`, starting with AND. Empty if pending rows are due immediately.
    pub(crate) due: &'static str,
    /// The columns by which rows are claimed.
    pub(crate) order: &'static str,
}

impl Queue {
    /// Claims up to `limit` due rows that nobody has leased. The result has no order.
    pub(crate) async fn claim(
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

    /// Releases the rows that these claims still hold, before their leases end.
    pub async fn release(&self, db: &impl ConnectionTrait, claims: &[i64]) -> Result<(), DbErr> {
        if claims.is_empty() {
            return Ok(());
        }
        // The numbers are our own, so they need no parameters; the two databases share no type for a list.
        let claims: Vec<_> = claims.iter().map(i64::to_string).collect();
        self.release_where(db, &format!("claim IN ({})", claims.join(", "))).await
    }

    /// Releases every claim. Correct only if no other process can hold one.
    pub async fn release_all(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        self.release_where(db, "claim IS NOT NULL").await
    }

    async fn release_where(&self, db: &impl ConnectionTrait, condition: &str) -> Result<(), DbErr> {
        let Self { table, pending, .. } = self;
        let sql = format!("UPDATE {table} SET lease_until = NULL, claim = NULL WHERE {pending} AND {condition}");
        db.execute_unprepared(&sql).await.map(drop)
    }
}
