//! Customers of the operator, each with its affiliate.

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
