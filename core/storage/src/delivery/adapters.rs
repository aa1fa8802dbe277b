//! Queries of adapter versions. The table has few rows.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, Statement};

use crate::corrupt;
use domain::delivery::adapter::{AdapterState, AdapterVersion, Origin};
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `adapters` without `wasm`, the component, which lists must not load.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "adapters")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub version: String,
        pub digest: String,
        pub origin: String,
        pub state: String,
        pub faults: i32,
        pub reason: Option<String>,
        pub installed_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for AdapterVersion {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |what: &str| corrupt("adapters", format_args!("a {what} of adapter {} {}", row.id, row.version));
        Ok(Self {
            origin: Origin::from_word(&row.origin).ok_or_else(|| bad("origin"))?,
            state: AdapterState::from_word(&row.state).ok_or_else(|| bad("state"))?,
            id: row.id,
            version: row.version,
            digest: row.digest,
            faults: row.faults,
            reason: row.reason,
            installed_at: row.installed_at,
            updated_at: row.updated_at,
        })
    }
}

pub async fn find(db: &impl ConnectionTrait, id: &str, version: &str) -> Result<Option<AdapterVersion>, DbErr> {
    let key = (id.to_owned(), version.to_owned());
    Entity::find_by_id(key).one(db).await?.map(AdapterVersion::try_from).transpose()
}

/// All versions of one adapter, or of all adapters.
pub async fn list(db: &impl ConnectionTrait, id: Option<&str>) -> Result<Vec<AdapterVersion>, DbErr> {
    let mut select = Entity::find().order_by_asc(Column::Id).order_by_asc(Column::Version);
    if let Some(id) = id {
        select = select.filter(Column::Id.eq(id));
    }
    select.all(db).await?.into_iter().map(AdapterVersion::try_from).collect()
}

pub async fn count_out_of_service(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    Entity::find().filter(Column::State.eq(AdapterState::OutOfService.as_str())).count(db).await
}

/// Finds the component of a version.
pub async fn find_component(db: &impl ConnectionTrait, id: &str, version: &str) -> Result<Option<Vec<u8>>, DbErr> {
    let sql = "SELECT wasm FROM adapters WHERE id = $1 AND version = $2";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into(), version.into()]);
    db.query_one_raw(statement).await?.map(|row| row.try_get("", "wasm")).transpose()
}

/// Inserts a version unless it exists. Returns whether it was inserted.
pub async fn insert(tx: &impl ConnectionTrait, adapter: &AdapterVersion, wasm: &[u8]) -> Result<bool, DbErr> {
    let sql =
        "INSERT INTO adapters (id, version, digest, origin, state, faults, reason, installed_at, updated_at, wasm)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id, version) DO NOTHING";
    Ok(write(tx, sql, adapter, wasm).await? > 0)
}

/// Replaces the component of a version. Only built-in versions may be replaced.
pub async fn replace(tx: &impl ConnectionTrait, adapter: &AdapterVersion, wasm: &[u8]) -> Result<(), DbErr> {
    let sql = "UPDATE adapters SET digest = $3, origin = $4, state = $5, faults = $6, reason = $7, installed_at = $8,
                   updated_at = $9, wasm = $10 WHERE id = $1 AND version = $2";
    write(tx, sql, adapter, wasm).await.map(drop)
}

async fn write(tx: &impl ConnectionTrait, sql: &str, adapter: &AdapterVersion, wasm: &[u8]) -> Result<u64, DbErr> {
    let values = [
        adapter.id.clone().into(),
        adapter.version.clone().into(),
        adapter.digest.clone().into(),
        adapter.origin.as_str().into(),
        adapter.state.as_str().into(),
        adapter.faults.into(),
        adapter.reason.clone().into(),
        adapter.installed_at.into(),
        adapter.updated_at.into(),
        wasm.to_vec().into(),
    ];
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// Saves a person's decision about a version.
pub async fn save_state(tx: &impl ConnectionTrait, adapter: &AdapterVersion) -> Result<(), DbErr> {
    let sql = "UPDATE adapters SET state = $3, faults = $4, reason = $5, updated_at = $6
               WHERE id = $1 AND version = $2";
    let values = [
        adapter.id.clone().into(),
        adapter.version.clone().into(),
        adapter.state.as_str().into(),
        adapter.faults.into(),
        adapter.reason.clone().into(),
        adapter.updated_at.into(),
    ];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// Saves the number of faults of an active version.
pub async fn save_faults(tx: &impl ConnectionTrait, id: &str, version: &str, faults: u32) -> Result<(), DbErr> {
    let sql = "UPDATE adapters SET faults = $3 WHERE id = $1 AND version = $2 AND state = 'active'";
    let values = [id.into(), version.into(), i64::from(faults).into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// Takes an active version out of service. Returns false if the version is not active.
pub async fn take_out_of_service(
    tx: &impl ConnectionTrait,
    id: &str,
    version: &str,
    faults: u32,
    reason: &str,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let sql = "UPDATE adapters SET state = 'out_of_service', faults = $3, reason = $4, updated_at = $5
               WHERE id = $1 AND version = $2 AND state = 'active'";
    let values = [id.into(), version.into(), i64::from(faults).into(), reason.into(), now.into()];
    let done = tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected() > 0)
}
