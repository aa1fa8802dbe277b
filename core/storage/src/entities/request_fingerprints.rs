//! Fingerprints of requests, per source, each with the first request that had it.

use sea_orm::entity::prelude::*;

use domain::ids::{InboundRequestId, SourceId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "request_fingerprints")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_id: SourceId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub fingerprint: String,
    pub request_id: InboundRequestId,
    pub received_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
