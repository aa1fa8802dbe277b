//! Queries of withdrawal batches.

use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QuerySelect};

use crate::base::page::{self, Page, PageRequest};
use crate::corrupt;
use domain::ids::WithdrawalBatchId;
use domain::money::withdrawal_batch::WithdrawalBatch;
use row::{Column, Entity, Model};

/// A row of `withdrawal_batches`.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::WithdrawalBatchId;
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "withdrawal_batches")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: WithdrawalBatchId,
        pub method: String,
        pub currency: String,
        pub count: i32,
        pub net_micros: i64,
        pub created_by: String,
        pub exported_at: Option<Timestamp>,
        pub dissolved_at: Option<Timestamp>,
        pub created_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for WithdrawalBatch {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            currency: row
                .currency
                .parse()
                .map_err(|_| corrupt("withdrawal_batches", format_args!("currency {}", row.currency)))?,
            id: row.id,
            method: row.method,
            count: row.count,
            net_micros: row.net_micros,
            created_by: row.created_by,
            exported_at: row.exported_at,
            dissolved_at: row.dissolved_at,
            created_at: row.created_at,
        })
    }
}

impl From<&WithdrawalBatch> for Model {
    fn from(batch: &WithdrawalBatch) -> Self {
        Self {
            id: batch.id,
            method: batch.method.clone(),
            currency: batch.currency.to_string(),
            count: batch.count,
            net_micros: batch.net_micros,
            created_by: batch.created_by.clone(),
            exported_at: batch.exported_at,
            dissolved_at: batch.dissolved_at,
            created_at: batch.created_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, batch: &WithdrawalBatch) -> Result<(), DbErr> {
    Entity::insert(Model::from(batch).into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, batch: &WithdrawalBatch) -> Result<(), DbErr> {
    Model::from(batch).into_active_model().reset_all().update(tx).await.map(drop)
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: WithdrawalBatchId) -> Result<Option<WithdrawalBatch>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(WithdrawalBatch::try_from).transpose()
}

pub async fn find(db: &impl ConnectionTrait, id: WithdrawalBatchId) -> Result<Option<WithdrawalBatch>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(WithdrawalBatch::try_from).transpose()
}

pub async fn list(db: &impl ConnectionTrait, page: PageRequest) -> Result<Page<WithdrawalBatch>, DbErr> {
    page::fetch(db, Entity::find(), Column::Id, |row| row.id.0, page).await?.try_map(WithdrawalBatch::try_from)
}
