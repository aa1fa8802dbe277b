//! Queries of applications.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};

use crate::base::page::{self, Page, PageRequest};
use crate::corrupt;
use domain::ids::{AffiliateId, ApplicationId, OfferId};
use domain::program::application::{Application, ApplicationStatus};
use row::{Column, Entity, Model};

/// A row of `applications`.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, ApplicationId, OfferId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "applications")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: ApplicationId,
        pub offer_id: OfferId,
        pub affiliate_id: AffiliateId,
        pub status: String,
        pub message: Option<String>,
        pub reason: Option<String>,
        pub decided_at: Option<Timestamp>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Application {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            offer_id: row.offer_id,
            affiliate_id: row.affiliate_id,
            status: ApplicationStatus::from_word(&row.status)
                .ok_or_else(|| corrupt("applications", format_args!("status {}", row.status)))?,
            message: row.message,
            reason: row.reason,
            decided_at: row.decided_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<&Application> for Model {
    fn from(application: &Application) -> Self {
        Self {
            id: application.id,
            offer_id: application.offer_id,
            affiliate_id: application.affiliate_id,
            status: application.status.to_string(),
            message: application.message.clone(),
            reason: application.reason.clone(),
            decided_at: application.decided_at,
            created_at: application.created_at,
            updated_at: application.updated_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, application: &Application) -> Result<(), DbErr> {
    Entity::insert(Model::from(application).into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, application: &Application) -> Result<(), DbErr> {
    Model::from(application).into_active_model().reset_all().update(tx).await.map(drop)
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: ApplicationId) -> Result<Option<Application>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(Application::try_from).transpose()
}

pub async fn find(db: &impl ConnectionTrait, id: ApplicationId) -> Result<Option<Application>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Application::try_from).transpose()
}

/// The application of an affiliate for an offer.
pub async fn find_of(
    db: &impl ConnectionTrait,
    offer_id: OfferId,
    affiliate_id: AffiliateId,
) -> Result<Option<Application>, DbErr> {
    list_of(db, [offer_id], affiliate_id).await.map(|found| found.into_iter().next())
}

/// The applications of an affiliate for these offers.
pub async fn list_of(
    db: &impl ConnectionTrait,
    offers: impl IntoIterator<Item = OfferId>,
    affiliate_id: AffiliateId,
) -> Result<Vec<Application>, DbErr> {
    let select = Entity::find().filter(Column::AffiliateId.eq(affiliate_id)).filter(Column::OfferId.is_in(offers));
    select.all(db).await?.into_iter().map(Application::try_from).collect()
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    pub offer_id: Option<OfferId>,
    pub status: Option<ApplicationStatus>,
}

pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Application>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(id) = filter.offer_id {
        select = select.filter(Column::OfferId.eq(id));
    }
    if let Some(status) = filter.status {
        select = select.filter(Column::Status.eq(status.as_str()));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(Application::try_from)
}
