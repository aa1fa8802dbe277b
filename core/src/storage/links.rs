//! Queries of links.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};

use crate::domain::link::{Link, LinkStatus};
use crate::ids::{AffiliateId, LinkId, OfferId};

use super::entities::links::{Column, Entity, Model};
use super::page::{self, Page, PageRequest};

impl TryFrom<Model> for Link {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            affiliate_id: row.affiliate_id,
            offer_id: row.offer_id,
            coupon: row.coupon,
            status: LinkStatus::from_word(&row.status)
                .ok_or_else(|| super::corrupt("links", format_args!("status {}", row.status)))?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<&Link> for Model {
    fn from(link: &Link) -> Self {
        Self {
            id: link.id,
            affiliate_id: link.affiliate_id,
            offer_id: link.offer_id,
            coupon: link.coupon.clone(),
            status: link.status.to_string(),
            created_at: link.created_at,
            updated_at: link.updated_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, link: &Link) -> Result<(), DbErr> {
    Entity::insert(Model::from(link).into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, link: &Link) -> Result<(), DbErr> {
    Model::from(link).into_active_model().reset_all().update(tx).await.map(drop)
}

/// Held until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: LinkId) -> Result<Option<Link>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(Link::try_from).transpose()
}

pub async fn find(db: &impl ConnectionTrait, id: LinkId) -> Result<Option<Link>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Link::try_from).transpose()
}

/// `coupon` in its normal form.
pub async fn find_by_coupon(db: &impl ConnectionTrait, coupon: &str) -> Result<Option<Link>, DbErr> {
    Entity::find().filter(Column::Coupon.eq(coupon)).one(db).await?.map(Link::try_from).transpose()
}

pub async fn list(
    db: &impl ConnectionTrait,
    affiliate_id: Option<AffiliateId>,
    offer_id: Option<OfferId>,
    page: PageRequest,
) -> Result<Page<Link>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(id) = offer_id {
        select = select.filter(Column::OfferId.eq(id));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(Link::try_from)
}
