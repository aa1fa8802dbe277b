//! Clicks and impressions; `sub_ids` and `params` are JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, ClickId, LinkId, OfferId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "clicks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ClickId,
    pub action: String,
    pub link_id: Option<LinkId>,
    pub affiliate_id: AffiliateId,
    pub offer_id: OfferId,
    pub occurred_at: Timestamp,
    pub external_id: Option<String>,
    pub sub_ids: String,
    pub params: String,
    pub landing_url: String,
    pub referrer: Option<String>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub device: Option<String>,
    pub browser: Option<String>,
    pub os: Option<String>,
    pub likely_bot: bool,
    pub visitor: i64,
    pub is_unique: bool,
    pub person: Option<i64>,
    pub country: Option<String>,
    pub session: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
