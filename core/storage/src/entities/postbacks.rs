//! Postbacks; `config`, `rejection_reasons` and `secret_origins` are JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, OfferId, PostbackId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "postbacks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PostbackId,
    pub name: String,
    pub adapter: String,
    pub adapter_version: String,
    pub config: String,
    pub action: String,
    pub affiliate_id: Option<AffiliateId>,
    pub offer_id: Option<OfferId>,
    pub firing_status: String,
    pub rejection_reasons: String,
    pub delay_value: Option<i32>,
    pub delay_unit: Option<String>,
    pub ordering: String,
    pub enabled: bool,
    pub owner_affiliate_id: Option<AffiliateId>,
    pub verified_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub archived_at: Option<Timestamp>,
    pub template: Option<String>,
    pub secret_origins: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
