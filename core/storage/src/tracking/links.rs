//! Queries of links.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};

use crate::base::page::{self, Page, PageRequest};
use crate::base::search::{self, Place};
use crate::corrupt;
use domain::archive::ArchivedFilter;
use domain::ids::{AffiliateId, LinkId, OfferId};
use domain::search::Search;
use domain::timestamp::Timestamp;
use domain::tracking::link::{Link, LinkStatus};
use row::{Column, Entity, Model};

/// A row of `links`.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, LinkId, OfferId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "links")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: LinkId,
        pub affiliate_id: AffiliateId,
        pub offer_id: OfferId,
        pub status: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
        pub deep_url: Option<String>,
        pub landing_page: Option<String>,
        pub archived_at: Option<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Link {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            affiliate_id: row.affiliate_id,
            offer_id: row.offer_id,
            status: LinkStatus::from_word(&row.status)
                .ok_or_else(|| corrupt("links", format_args!("status {}", row.status)))?,
            deep_url: row.deep_url,
            landing_page: row.landing_page,
            created_at: row.created_at,
            updated_at: row.updated_at,
            archived_at: row.archived_at,
        })
    }
}

impl From<&Link> for Model {
    fn from(link: &Link) -> Self {
        Self {
            id: link.id,
            affiliate_id: link.affiliate_id,
            offer_id: link.offer_id,
            status: link.status.to_string(),
            created_at: link.created_at,
            updated_at: link.updated_at,
            deep_url: link.deep_url.clone(),
            landing_page: link.landing_page.clone(),
            archived_at: link.archived_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, link: &Link) -> Result<(), DbErr> {
    Entity::insert(Model::from(link).into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, link: &Link) -> Result<(), DbErr> {
    Model::from(link).into_active_model().reset_all().update(tx).await.map(drop)
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: LinkId) -> Result<Option<Link>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(Link::try_from).transpose()
}

pub async fn find(db: &impl ConnectionTrait, id: LinkId) -> Result<Option<Link>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Link::try_from).transpose()
}

/// Pauses all links of an affiliate to an offer. Returns the ids of those that were active.
pub async fn pause_all(
    tx: &impl ConnectionTrait,
    affiliate_id: AffiliateId,
    offer_id: OfferId,
    at: Timestamp,
) -> Result<Vec<LinkId>, DbErr> {
    let active = Entity::find()
        .filter(Column::AffiliateId.eq(affiliate_id))
        .filter(Column::OfferId.eq(offer_id))
        .filter(Column::Status.eq(LinkStatus::Active.as_str()));
    let ids: Vec<LinkId> = active.lock_exclusive().all(tx).await?.into_iter().map(|row| row.id).collect();
    Entity::update_many()
        .col_expr(Column::Status, Expr::value(LinkStatus::Paused.as_str()))
        .col_expr(Column::UpdatedAt, Expr::value(at))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .exec(tx)
        .await?;
    Ok(ids)
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    pub offer_id: Option<OfferId>,
    /// Finds coupons, deep links, published URLs and ids.
    pub search: Option<Search>,
    pub archived: ArchivedFilter,
}

pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Link>, DbErr> {
    let mut select = page::filter_archived(Entity::find(), Column::ArchivedAt, filter.archived);
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(id) = filter.offer_id {
        select = select.filter(Column::OfferId.eq(id));
    }
    if let Some(search) = filter.search {
        let places = vec![
            Place::Text { table: "coupons", column: "code", id: "link_id", ranges: search.ranges() },
            Place::text("links", "deep_url", search.url_ranges()),
            Place::Ids { table: "links", range: search.link_range(LinkId::PREFIX) },
        ];
        select = select.filter(Column::Id.in_subquery(search::ids(db.get_database_backend(), places)));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(Link::try_from)
}
