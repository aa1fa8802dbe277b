//! Queries of API keys.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use crate::clock::Timestamp;
use crate::domain::api_key::ApiKey;
use crate::ids::KeyId;

use super::entities::api_keys::{Column, Entity, Model};
use super::page::{self, Page, PageRequest};

impl From<Model> for ApiKey {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            name: row.name,
            affiliate_id: row.affiliate_id,
            hash: row.hash,
            hint: row.hint,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, key: &ApiKey) -> Result<(), DbErr> {
    let row = Model {
        id: key.id,
        name: key.name.clone(),
        role: if key.affiliate_id.is_some() { "affiliate" } else { "admin" }.to_owned(),
        affiliate_id: key.affiliate_id,
        hash: key.hash.clone(),
        hint: key.hint.clone(),
        created_at: key.created_at,
        revoked_at: key.revoked_at,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// A key that still opens something.
pub async fn find_by_hash(db: &impl ConnectionTrait, hash: &str) -> Result<Option<ApiKey>, DbErr> {
    let select = Entity::find().filter(Column::Hash.eq(hash)).filter(Column::RevokedAt.is_null());
    Ok(select.one(db).await?.map(ApiKey::from))
}

/// The key as it is afterwards; revoking twice keeps the first time.
pub async fn revoke(tx: &impl ConnectionTrait, id: KeyId, at: Timestamp) -> Result<Option<ApiKey>, DbErr> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(at.millis()))
        .filter(Column::Id.eq(id))
        .filter(Column::RevokedAt.is_null())
        .exec(tx)
        .await?;
    Ok(Entity::find_by_id(id).one(tx).await?.map(ApiKey::from))
}

pub async fn list(db: &impl ConnectionTrait, page: PageRequest) -> Result<Page<ApiKey>, DbErr> {
    Ok(page::fetch(db, Entity::find(), Column::Id, |row| row.id.0, page).await?.map(ApiKey::from))
}
