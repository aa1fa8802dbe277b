//! Payout details. `sealed` is opened only by the vault; `masked` is JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, PayoutDetailsId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payout_details")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PayoutDetailsId,
    pub affiliate_id: AffiliateId,
    pub method: String,
    pub sealed: String,
    pub masked: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
