//! Offers. A payout is stored as its kind and the text that was entered; `terms` is JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::OfferId;
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "offers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OfferId,
    pub name: String,
    pub landing_url: String,
    pub currency: String,
    pub payout_kind: String,
    pub payout_value: String,
    pub status: String,
    pub is_default: bool,
    pub hold_days: i32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub visibility: String,
    pub terms: String,
    pub minimum_withdrawal_micros: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
