//! Reports that were accepted, by what makes them the same.

use sea_orm::entity::prelude::*;

use domain::ids::{ConversionId, SourceId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inbound_reports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_id: SourceId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub fingerprint: String,
    pub conversion_id: ConversionId,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
