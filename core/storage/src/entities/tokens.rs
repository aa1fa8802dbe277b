//! One-time links; only their hashes are kept.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, UserId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    pub purpose: String,
    pub user_id: Option<UserId>,
    pub affiliate_id: Option<AffiliateId>,
    pub data: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
