//! Where sealed secrets are stored: every column that holds some. A new one has to be named here, or a rotation of keys
//! leaves it behind; `tests/it/operation/secret_keys.rs` looks for that.

use sea_orm::{ConnectionTrait, DbErr, Statement};
use uuid::Uuid;

use domain::timestamp::Timestamp;

/// A column of a table with the key `id`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealedColumn {
    pub table: &'static str,
    pub column: &'static str,
    /// JSON with sealed parts; else the text as a whole is sealed.
    pub is_json: bool,
}

const fn whole(table: &'static str, column: &'static str) -> SealedColumn {
    SealedColumn { table, column, is_json: false }
}

const fn json(table: &'static str, column: &'static str) -> SealedColumn {
    SealedColumn { table, column, is_json: true }
}

/// All there are, but for the payout details in `tokens`, whose links end within an hour.
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
    /// Up to `limit` values after this id, in the order of ids. Those that begin with `mark` are left out.
    pub async fn list(
        &self,
        db: &impl ConnectionTrait,
        mark: &str,
        after: Uuid,
        limit: u64,
    ) -> Result<Vec<Stored>, DbErr> {
        let Self { table, column, is_json } = self;
        let which = match is_json {
            true => format!("{column} LIKE '%$sealed%' AND $1 <> ''"),
            false => format!("{column} <> '' AND substr({column}, 1, length($1)) <> $1"),
        };
        let sql =
            format!("SELECT id, {column} AS sealed FROM {table} WHERE {which} AND id > $2 ORDER BY id LIMIT {limit}");
        let values = [mark.into(), after.into()];
        let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
        rows.iter().map(|row| Ok(Stored { id: row.try_get("", "id")?, text: row.try_get("", "sealed")? })).collect()
    }

    /// Puts `new` in the place of what was read, unless somebody changed it meanwhile; says whether it did. Somebody who
    /// read a configuration before and saves it afterwards is told that it has changed: else the old seal would come back.
    pub async fn replace(
        &self,
        tx: &impl ConnectionTrait,
        was: &Stored,
        new: &str,
        now: Timestamp,
    ) -> Result<bool, DbErr> {
        let Self { table, column, is_json } = self;
        let mut values = vec![new.into(), was.id.into(), was.text.clone().into()];
        let mut changed = "";
        if *is_json {
            changed = ", updated_at = CASE WHEN updated_at < $4 THEN $4 ELSE updated_at + 1 END";
            values.push(now.into());
        }
        let sql = format!("UPDATE {table} SET {column} = $1{changed} WHERE id = $2 AND {column} = $3");
        let done = tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
        Ok(done.rows_affected() > 0)
    }
}
