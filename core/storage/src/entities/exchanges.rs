//! Exchanges between currencies. Rows are inserted and never changed.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, ExchangeId, ExchangeRateId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "exchanges")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ExchangeId,
    pub affiliate_id: AffiliateId,
    pub rate_id: ExchangeRateId,
    pub taken_currency: String,
    pub taken_micros: i64,
    pub given_currency: String,
    pub given_micros: i64,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
