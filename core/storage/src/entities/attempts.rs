//! Attempts; headers and the adapter's log are JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::DeliveryId;
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub delivery_id: DeliveryId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    pub at: Timestamp,
    pub duration_ms: i32,
    pub method: String,
    pub url: String,
    pub request_headers: String,
    pub request_body: Option<String>,
    pub status: Option<i32>,
    pub response_headers: String,
    pub response_body: Option<String>,
    pub truncated: bool,
    pub outcome: String,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub adapter_log: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
