//! Queries of withdrawal batches.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, IntoActiveModel};

use crate::domain::withdrawal_batch::WithdrawalBatch;
use crate::ids::WithdrawalBatchId;

use super::entities::withdrawal_batches::{Column, Entity, Model};
use super::page::{self, Page, PageRequest};

impl TryFrom<Model> for WithdrawalBatch {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            currency: row
                .currency
                .parse()
                .map_err(|_| super::corrupt("withdrawal_batches", format_args!("currency {}", row.currency)))?,
            id: row.id,
            method: row.method,
            count: row.count,
            net_micros: row.net_micros,
            created_by: row.created_by,
            created_at: row.created_at,
        })
    }
}

pub async fn insert(tx: &impl ConnectionTrait, batch: &WithdrawalBatch) -> Result<(), DbErr> {
    let row = Model {
        id: batch.id,
        method: batch.method.clone(),
        currency: batch.currency.to_string(),
        count: batch.count,
        net_micros: batch.net_micros,
        created_by: batch.created_by.clone(),
        created_at: batch.created_at,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn find(db: &impl ConnectionTrait, id: WithdrawalBatchId) -> Result<Option<WithdrawalBatch>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(WithdrawalBatch::try_from).transpose()
}

pub async fn list(db: &impl ConnectionTrait, page: PageRequest) -> Result<Page<WithdrawalBatch>, DbErr> {
    page::fetch(db, Entity::find(), Column::Id, |row| row.id.0, page).await?.try_map(WithdrawalBatch::try_from)
}
