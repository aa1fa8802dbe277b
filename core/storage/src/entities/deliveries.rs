//! Deliveries.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, ConversionId, DeliveryId, EventId, PostbackId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DeliveryId,
    pub event_id: EventId,
    pub postback_id: PostbackId,
    pub conversion_id: Option<ConversionId>,
    pub revision: i32,
    pub affiliate_id: AffiliateId,
    pub state: String,
    pub reason_code: Option<String>,
    pub reason: Option<String>,
    pub due_at: Timestamp,
    pub lease_until: Option<Timestamp>,
    pub claim: Option<i64>,
    pub attempts: i32,
    pub attempts_before_retry: i32,
    pub created_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    pub waiting_for: Option<String>,
    pub waiting_rank: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
