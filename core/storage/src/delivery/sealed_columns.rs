//! The columns with sealed secrets. A new column has to be listed here, or a rotation of the secret key leaves it out;
//! `tests/it/operation/secret_keys.rs` checks this.

use sea_orm::{ConnectionTrait, DbErr, Statement};
use uuid::Uuid;

use domain::timestamp::Timestamp;

/// A column of a table with the key `id`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealedColumn {
    pub table: &'static str,
    pub column: &'static str,
    /// The column has JSON with sealed parts. Otherwise the whole text is sealed.
    pub is_json: bool,
}

const fn whole(table: &'static str, column: &'static str) -> SealedColumn {
    SealedColumn { table, column, is_json: false }
}

const fn json(table: &'static str, column: &'static str) -> SealedColumn {
    SealedColumn { table, column, is_json: true }
}

/// All columns with sealed secrets, except the payout details in `tokens`, whose links expire within an hour.
pub const ALL: [SealedColumn; 9] = [
    json("postbacks", "config"),
    json("sources", "config"),
    json("sources", "settings"),
    whole("sources", "key_sealed"),
    whole("payout_details", "sealed"),
    whole("withdrawals", "sealed_details"),
    whole("users", "totp_secret"),
    whole("users", "totp_pending"),
    whole("mails", "sealed"),
];

/// A stored value that is sealed or has sealed parts.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: Uuid,
    pub text: String,
}

impl SealedColumn {
    /// Up to `limit` values of rows after this id, ordered by id. Wholly sealed texts that begin with `mark` are left
    /// out.
    pub async fn list(
        &self,
        db: &impl ConnectionTrait,
        mark: &str,
        after: Uuid,
        limit: u64,
    ) -> Result<Vec<Stored>, DbErr> {
        let Self { table, column, is_json } = self;
        let condition = match is_json {
            true => format!("{column} LIKE '%$sealed%' AND $1 <> ''"),
            false => format!("{column} <> '' AND substr({column}, 1, length($1)) <> $1"),
        };
        let sql = format!(
            "SELECT id, {column} AS sealed FROM {table} WHERE {condition} AND id > $2 ORDER BY id LIMIT {limit}"
        );
        let values = [mark.into(), after.into()];
        let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
        rows.iter().map(|row| Ok(Stored { id: row.try_get("", "id")?, text: row.try_get("", "sealed")? })).collect()
    }

    /// Replaces the value that was read with `new`. Returns false if the value was changed meanwhile. For JSON it also
    /// changes `updated_at`, so that a caller who read the configuration before cannot save the old sealed parts again.
    pub async fn replace(
        &self,
        tx: &impl ConnectionTrait,
        read: &Stored,
        new: &str,
        now: Timestamp,
    ) -> Result<bool, DbErr> {
        let Self { table, column, is_json } = self;
        let mut values = vec![new.into(), read.id.into(), read.text.clone().into()];
        let mut touch = "";
        if *is_json {
            touch = ", updated_at = CASE WHEN updated_at < $4 THEN $4 ELSE updated_at + 1 END";
            values.push(now.into());
        }
        let sql = format!("UPDATE {table} SET {column} = $1{touch} WHERE id = $2 AND {column} = $3");
        let done = tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
        Ok(done.rows_affected() > 0)
    }
}
