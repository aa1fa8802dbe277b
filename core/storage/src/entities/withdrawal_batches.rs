//! Withdrawal batches.

use sea_orm::entity::prelude::*;

use domain::ids::WithdrawalBatchId;
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "withdrawal_batches")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WithdrawalBatchId,
    pub method: String,
    pub currency: String,
    pub count: i32,
    pub net_micros: i64,
    pub created_by: String,
    pub exported_at: Option<Timestamp>,
    pub dissolved_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
