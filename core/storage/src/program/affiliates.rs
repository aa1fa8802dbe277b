//! Queries of affiliates.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};

use crate::base::page::{self, Page, PageRequest};
use crate::base::search::{self, Place};
use crate::corrupt;
use domain::archive::ArchivedFilter;
use domain::ids::AffiliateId;
use domain::program::affiliate::{Affiliate, AffiliateStatus};
use domain::search::Search;
use row::{Column, Entity, Model};

/// A row of `affiliates`.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::AffiliateId;
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "affiliates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: AffiliateId,
        pub name: String,
        pub email: String,
        pub referral_code: String,
        pub status: String,
        pub parent_affiliate_id: Option<AffiliateId>,
        pub parent_since: Option<Timestamp>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
        pub former_email: Option<String>,
        pub email_changed_at: Option<Timestamp>,
        pub archived_at: Option<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Affiliate {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            name: row.name,
            email: row.email,
            referral_code: row.referral_code,
            status: AffiliateStatus::from_word(&row.status)
                .ok_or_else(|| corrupt("affiliates", format_args!("status {}", row.status)))?,
            parent_affiliate_id: row.parent_affiliate_id,
            parent_since: row.parent_since,
            created_at: row.created_at,
            updated_at: row.updated_at,
            former_email: row.former_email,
            email_changed_at: row.email_changed_at,
            archived_at: row.archived_at,
        })
    }
}

impl From<&Affiliate> for Model {
    fn from(affiliate: &Affiliate) -> Self {
        Self {
            id: affiliate.id,
            name: affiliate.name.clone(),
            email: affiliate.email.clone(),
            referral_code: affiliate.referral_code.clone(),
            status: affiliate.status.to_string(),
            parent_affiliate_id: affiliate.parent_affiliate_id,
            parent_since: affiliate.parent_since,
            created_at: affiliate.created_at,
            updated_at: affiliate.updated_at,
            former_email: affiliate.former_email.clone(),
            email_changed_at: affiliate.email_changed_at,
            archived_at: affiliate.archived_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, affiliate: &Affiliate) -> Result<(), DbErr> {
    Entity::insert(Model::from(affiliate).into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, affiliate: &Affiliate) -> Result<(), DbErr> {
    Model::from(affiliate).into_active_model().reset_all().update(tx).await.map(drop)
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: AffiliateId) -> Result<Option<Affiliate>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(Affiliate::try_from).transpose()
}

pub async fn find(db: &impl ConnectionTrait, id: AffiliateId) -> Result<Option<Affiliate>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Affiliate::try_from).transpose()
}

/// `code` must be in its normal form.
pub async fn find_by_code(db: &impl ConnectionTrait, code: &str) -> Result<Option<Affiliate>, DbErr> {
    Entity::find().filter(Column::ReferralCode.eq(code)).one(db).await?.map(Affiliate::try_from).transpose()
}

/// Unknown ids are left out.
pub async fn find_many(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = AffiliateId>,
) -> Result<HashMap<AffiliateId, Affiliate>, DbErr> {
    let rows = Entity::find().filter(Column::Id.is_in(ids)).all(db).await?;
    rows.into_iter().map(|row| Affiliate::try_from(row).map(|it| (it.id, it))).collect()
}

/// `confined_to` restricts the list to one affiliate. A search finds names, e-mail addresses, referral codes and ids.
pub async fn list(
    db: &impl ConnectionTrait,
    confined_to: Option<AffiliateId>,
    search: Option<&Search>,
    archived: ArchivedFilter,
    page: PageRequest,
) -> Result<Page<Affiliate>, DbErr> {
    let mut select = page::filter_archived(Entity::find(), Column::ArchivedAt, archived);
    if let Some(id) = confined_to {
        select = select.filter(Column::Id.eq(id));
    }
    if let Some(search) = search {
        let places = vec![
            Place::text("affiliates", "name", search.ranges()),
            Place::text("affiliates", "email", search.ranges()),
            Place::text("affiliates", "referral_code", search.ranges()),
            Place::Ids { table: "affiliates", range: search.id_range(AffiliateId::PREFIX) },
        ];
        select = select.filter(Column::Id.in_subquery(search::ids(db.get_database_backend(), places)));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(Affiliate::try_from)
}

/// The sub-affiliates of an affiliate, newest first.
pub async fn list_sub_affiliates(
    db: &impl ConnectionTrait,
    parent: AffiliateId,
    page: PageRequest,
) -> Result<Page<Affiliate>, DbErr> {
    let select = Entity::find().filter(Column::ParentAffiliateId.eq(parent));
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(Affiliate::try_from)
}
