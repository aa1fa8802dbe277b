//! Sessions; only their hashes are kept.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, SessionId, UserId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    pub hash: String,
    pub user_id: Option<UserId>,
    pub affiliate_id: Option<AffiliateId>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub opened_by: Option<String>,
    /// A user, a key or "bootstrap".
    pub opener: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
