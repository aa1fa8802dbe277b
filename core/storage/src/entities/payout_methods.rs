//! Payout methods; `details_schema`, `currencies` and `payer` are JSON text.

use sea_orm::entity::prelude::*;

use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payout_methods")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub name: String,
    pub processing_time: String,
    pub details_schema: String,
    pub currencies: String,
    pub file: String,
    pub payer: Option<String>,
    pub enabled: bool,
    pub built_in: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
