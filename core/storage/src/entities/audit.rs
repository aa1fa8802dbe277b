//! The audit log. It only grows.

use sea_orm::entity::prelude::*;

use domain::ids::{AuditId, UserId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AuditId,
    pub at: Timestamp,
    pub actor: String,
    pub user_id: Option<UserId>,
    pub role: String,
    pub operation: String,
    pub object: Option<String>,
    pub fields: String,
    pub address: Option<String>,
    pub request_id: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
