//! Adapter versions. The component itself (`wasm`) is read alone: a list must not carry it.

use sea_orm::entity::prelude::*;

use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "adapters")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: String,
    pub digest: String,
    pub origin: String,
    pub state: String,
    pub faults: i32,
    pub reason: Option<String>,
    pub installed_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
