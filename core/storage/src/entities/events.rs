//! Events; `facts` is JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    pub action: String,
    pub occurred_at: Timestamp,
    pub affiliate_id: AffiliateId,
    pub offer_id: OfferId,
    pub click_id: Option<ClickId>,
    pub conversion_id: Option<ConversionId>,
    pub revision: i32,
    pub facts: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
