//! Earnings. `micros` is what is left of `earned_micros`.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, ConversionId, EarningId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "earnings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EarningId,
    pub affiliate_id: AffiliateId,
    pub kind: String,
    pub conversion_id: Option<ConversionId>,
    pub sub_affiliate_id: Option<AffiliateId>,
    pub level: i32,
    pub percent: Option<String>,
    pub paid_by_sub_affiliate: bool,
    pub currency: String,
    pub earned_micros: i64,
    pub micros: i64,
    pub state: String,
    pub release_at: Timestamp,
    pub released_at: Option<Timestamp>,
    pub retry_at: Option<Timestamp>,
    pub reason: Option<String>,
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
