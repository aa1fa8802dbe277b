//! Queries of payout details.

use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use crate::base::page::{self, Page, PageRequest};
use crate::{from_json, json};
use domain::ids::{AffiliateId, PayoutDetailsId};
use domain::money::payout_details::PayoutDetails;
use row::{Column, Entity, Model};

/// A row of `payout_details`. Only the vault opens `sealed`; `masked` is JSON text.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, PayoutDetailsId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "payout_details")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: PayoutDetailsId,
        pub affiliate_id: AffiliateId,
        pub method: String,
        pub sealed: String,
        pub masked: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for PayoutDetails {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            masked: from_json("payout_details", &row.masked)?,
            id: row.id,
            affiliate_id: row.affiliate_id,
            method: row.method,
            sealed: row.sealed,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<&PayoutDetails> for Model {
    fn from(details: &PayoutDetails) -> Self {
        Self {
            id: details.id,
            affiliate_id: details.affiliate_id,
            method: details.method.clone(),
            sealed: details.sealed.clone(),
            masked: json(&details.masked),
            created_at: details.created_at,
            updated_at: details.updated_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, details: &PayoutDetails) -> Result<(), DbErr> {
    Entity::insert(Model::from(details).into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, details: &PayoutDetails) -> Result<(), DbErr> {
    Model::from(details).into_active_model().reset_all().update(tx).await.map(drop)
}

/// Withdrawals have their own copy, so no row refers to these.
pub async fn delete(tx: &impl ConnectionTrait, id: PayoutDetailsId) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(tx).await.map(drop)
}

pub async fn find(db: &impl ConnectionTrait, id: PayoutDetailsId) -> Result<Option<PayoutDetails>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(PayoutDetails::try_from).transpose()
}

pub async fn find_of(
    db: &impl ConnectionTrait,
    affiliate_id: AffiliateId,
    method: &str,
) -> Result<Option<PayoutDetails>, DbErr> {
    let select = Entity::find().filter(Column::AffiliateId.eq(affiliate_id)).filter(Column::Method.eq(method));
    select.one(db).await?.map(PayoutDetails::try_from).transpose()
}

pub async fn list(
    db: &impl ConnectionTrait,
    affiliate_id: Option<AffiliateId>,
    page: PageRequest,
) -> Result<Page<PayoutDetails>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(PayoutDetails::try_from)
}
