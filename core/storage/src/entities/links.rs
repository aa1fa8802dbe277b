//! Links.

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
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
