//! Queries of customers.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};

use crate::base::page::{self, Page, PageRequest};
use crate::base::search::{self, Place};
use domain::ids::CustomerId;
use domain::program::customer::Customer;
use domain::search::Search;
use row::{Column, Entity, Model};

/// A row of `customers`.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, CustomerId, LinkId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "customers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: CustomerId,
        pub external_id: String,
        pub name: String,
        pub email: String,
        pub affiliate_id: AffiliateId,
        pub link_id: Option<LinkId>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<Model> for Customer {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            external_id: row.external_id,
            name: row.name,
            email: row.email,
            affiliate_id: row.affiliate_id,
            link_id: row.link_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl From<&Customer> for Model {
    fn from(customer: &Customer) -> Self {
        Self {
            id: customer.id,
            external_id: customer.external_id.clone(),
            name: customer.name.clone(),
            email: customer.email.clone(),
            affiliate_id: customer.affiliate_id,
            link_id: customer.link_id,
            created_at: customer.created_at,
            updated_at: customer.updated_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, customer: &Customer) -> Result<(), DbErr> {
    Entity::insert(Model::from(customer).into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, customer: &Customer) -> Result<(), DbErr> {
    Model::from(customer).into_active_model().reset_all().update(tx).await.map(drop)
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: CustomerId) -> Result<Option<Customer>, DbErr> {
    Ok(Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(Customer::from))
}

/// Locks the row until `tx` ends.
pub async fn lock_by_external_id(tx: &impl ConnectionTrait, external_id: &str) -> Result<Option<Customer>, DbErr> {
    let select = Entity::find().filter(Column::ExternalId.eq(external_id)).lock_exclusive();
    Ok(select.one(tx).await?.map(Customer::from))
}

pub async fn find(db: &impl ConnectionTrait, id: CustomerId) -> Result<Option<Customer>, DbErr> {
    Ok(Entity::find_by_id(id).one(db).await?.map(Customer::from))
}

/// A search finds external ids, names and e-mail addresses.
pub async fn list(
    db: &impl ConnectionTrait,
    external_id: Option<&str>,
    search: Option<&Search>,
    page: PageRequest,
) -> Result<Page<Customer>, DbErr> {
    let mut select = Entity::find();
    if let Some(external_id) = external_id {
        select = select.filter(Column::ExternalId.eq(external_id));
    }
    if let Some(search) = search {
        let places = vec![
            Place::text("customers", "external_id", search.ranges()),
            Place::text("customers", "name", search.ranges()),
            Place::text("customers", "email", search.ranges()),
        ];
        select = select.filter(Column::Id.in_subquery(search::ids(db.get_database_backend(), places)));
    }
    Ok(page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.map(Customer::from))
}
