//! Withdrawals; `history` and `masked_details` are JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, WithdrawalBatchId, WithdrawalId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "withdrawals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WithdrawalId,
    pub affiliate_id: AffiliateId,
    pub method: String,
    pub currency: String,
    pub amount_micros: i64,
    pub fee_micros: i64,
    pub requested_all: bool,
    pub status: String,
    pub note: Option<String>,
    pub history: String,
    pub sealed_details: String,
    pub masked_details: String,
    pub details_changed_at: Timestamp,
    pub batch_id: Option<WithdrawalBatchId>,
    pub accepted_debt_micros: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
