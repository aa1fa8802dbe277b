//! Queries of exceptions.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use crate::base::page::{self, Page, PageRequest};
use crate::entities::exceptions::{Column, Entity, Model};
use crate::{from_json, json};
use domain::ids::{AffiliateId, ExceptionId, OfferId};
use domain::program::exception::Exception;

impl TryFrom<Model> for Exception {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            offer_id: row.offer_id,
            affiliate_id: row.affiliate_id,
            goal: Some(row.goal).filter(|goal| !goal.is_empty()),
            payout: from_json("exceptions", &row.payout)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<&Exception> for Model {
    fn from(it: &Exception) -> Self {
        Self {
            id: it.id,
            offer_id: it.offer_id,
            affiliate_id: it.affiliate_id,
            goal: it.goal.clone().unwrap_or_default(),
            payout: json(&it.payout),
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

/// Adds it, or changes the payout of the one for the same affiliate and goal; comes back with what is stored.
pub async fn set(tx: &impl ConnectionTrait, exception: &Exception) -> Result<Exception, DbErr> {
    let same = OnConflict::columns([Column::OfferId, Column::AffiliateId, Column::Goal])
        .update_columns([Column::Payout, Column::UpdatedAt])
        .to_owned();
    let row = Model::from(exception).into_active_model();
    Entity::insert(row).on_conflict(same).exec_with_returning(tx).await?.try_into()
}

pub async fn find(db: &impl ConnectionTrait, id: ExceptionId) -> Result<Option<Exception>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Exception::try_from).transpose()
}

pub async fn delete(tx: &impl ConnectionTrait, id: ExceptionId) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(tx).await.map(drop)
}

/// All of an offer; of one affiliate or of all.
pub async fn list_of(
    db: &impl ConnectionTrait,
    offers: impl IntoIterator<Item = OfferId>,
    affiliate_id: Option<AffiliateId>,
) -> Result<Vec<Exception>, DbErr> {
    let mut select = Entity::find().filter(Column::OfferId.is_in(offers));
    if let Some(id) = affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    select.all(db).await?.into_iter().map(Exception::try_from).collect()
}

pub async fn list(db: &impl ConnectionTrait, offer_id: OfferId, page: PageRequest) -> Result<Page<Exception>, DbErr> {
    let select = Entity::find().filter(Column::OfferId.eq(offer_id));
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(Exception::try_from)
}
