//! Sources; `config` and `settings` are JSON text.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, SourceId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sources")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SourceId,
    /// Read by the release before; see the migration.
    pub key: String,
    pub name: String,
    pub adapter: String,
    pub adapter_version: String,
    pub config: String,
    pub affiliate_id: Option<AffiliateId>,
    pub settings: String,
    pub decorates: bool,
    pub enabled: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub archived_at: Option<Timestamp>,
    pub template: Option<String>,
    pub session_parameter: Option<String>,
    pub key_hash: Option<String>,
    pub key_hint: Option<String>,
    pub key_sealed: Option<String>,
    pub key_until: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
