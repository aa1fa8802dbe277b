//! What came of the changes in the audit log. It only grows.

use sea_orm::entity::prelude::*;

use domain::ids::AuditId;
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_outcomes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub audit_id: AuditId,
    pub at: Timestamp,
    pub outcome: String,
    pub status: Option<i32>,
    pub object: Option<String>,
    pub changes: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
