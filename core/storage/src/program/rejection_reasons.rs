//! Queries of the catalogue of rejection reasons. It is small, so it is read as a whole.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryOrder, QuerySelect,
};

use domain::program::rejection_reason::{Catalogue, REASONS_MAX, RejectionReason};
use row::{Column, Entity, Model};

/// A row of `rejection_reasons`.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "rejection_reasons")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub code: String,
        pub text: String,
        pub retired_at: Option<Timestamp>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<Model> for RejectionReason {
    fn from(row: Model) -> Self {
        let Model { code, text, retired_at, created_at, updated_at } = row;
        Self { code, text, retired_at, created_at, updated_at }
    }
}

impl From<&RejectionReason> for Model {
    fn from(reason: &RejectionReason) -> Self {
        let RejectionReason { code, text, retired_at, created_at, updated_at } = reason.clone();
        Self { code, text, retired_at, created_at, updated_at }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, reason: &RejectionReason) -> Result<(), DbErr> {
    Entity::insert(Model::from(reason).into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, reason: &RejectionReason) -> Result<(), DbErr> {
    Model::from(reason).into_active_model().reset_all().update(tx).await.map(drop)
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, code: &str) -> Result<Option<RejectionReason>, DbErr> {
    Ok(Entity::find_by_id(code.to_owned()).lock_exclusive().one(tx).await?.map(RejectionReason::from))
}

pub async fn count(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    Entity::find().count(db).await
}

/// All reasons in the order of their codes.
pub async fn find_all(db: &impl ConnectionTrait) -> Result<Catalogue, DbErr> {
    let rows = Entity::find().order_by_asc(Column::Code).limit(2 * REASONS_MAX as u64).all(db).await?;
    Ok(Catalogue::new(rows.into_iter().map(RejectionReason::from).collect()))
}
