//! What came to sources; `headers`, `items` and `adapter_log` are JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, InboundRequestId, SourceId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inbound_requests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InboundRequestId,
    pub source_id: SourceId,
    pub affiliate_id: Option<AffiliateId>,
    pub received_at: Timestamp,
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: String,
    pub body: Vec<u8>,
    pub truncated: bool,
    pub remote_ip: Option<String>,
    pub outcome: String,
    pub code: Option<String>,
    pub sentence: Option<String>,
    pub items: String,
    pub adapter_log: Option<String>,
    pub tries: i32,
    pub due_at: Option<Timestamp>,
    pub lease_until: Option<Timestamp>,
    pub claim: Option<i64>,
    pub settled_at: Option<Timestamp>,
    pub repeats: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
