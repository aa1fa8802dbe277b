//! Payout overrides. `goal` is empty for the payout of the offer itself, `payout` is JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, OfferId, PayoutOverrideId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payout_overrides")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PayoutOverrideId,
    pub offer_id: OfferId,
    pub affiliate_id: AffiliateId,
    pub goal: String,
    pub payout: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
