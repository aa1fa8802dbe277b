//! Affiliates.

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
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
