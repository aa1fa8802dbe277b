//! Queries of API keys.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use crate::base::page::{self, Page, PageRequest};
use crate::{corrupt, from_json, json};
use domain::ids::{KeyId, UserId};
use domain::people::api_key::ApiKey;
use domain::people::permission::Role;
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `api_keys`. It has the hash of a key, never the key.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, KeyId, UserId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: KeyId,
        pub name: String,
        pub role: String,
        pub affiliate_id: Option<AffiliateId>,
        pub hash: String,
        pub hint: String,
        pub created_at: Timestamp,
        pub revoked_at: Option<Timestamp>,
        pub user_id: Option<UserId>,
        pub scopes: Option<String>,
        pub expires_at: Option<Timestamp>,
        pub last_used_at: Option<Timestamp>,
        pub vouches: Option<bool>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for ApiKey {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            role: Role::from_word(&row.role).ok_or_else(|| corrupt("api_keys", format_args!("role {}", row.role)))?,
            scopes: row.scopes.map(|text| from_json("api_keys", &text)).transpose()?,
            id: row.id,
            name: row.name,
            user_id: row.user_id,
            affiliate_id: row.affiliate_id,
            hash: row.hash,
            hint: row.hint,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
            vouches: row.vouches,
        })
    }
}

pub async fn insert(tx: &impl ConnectionTrait, key: &ApiKey) -> Result<(), DbErr> {
    let row = Model {
        id: key.id,
        name: key.name.clone(),
        role: key.role.to_string(),
        affiliate_id: key.affiliate_id,
        hash: key.hash.clone(),
        hint: key.hint.clone(),
        created_at: key.created_at,
        revoked_at: key.revoked_at,
        user_id: key.user_id,
        scopes: key.scopes.as_ref().map(json),
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        vouches: key.vouches,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Finds a key by its hash, unless it is revoked.
pub async fn find_by_hash(db: &impl ConnectionTrait, hash: &str) -> Result<Option<ApiKey>, DbErr> {
    let select = Entity::find().filter(Column::Hash.eq(hash)).filter(Column::RevokedAt.is_null());
    select.one(db).await?.map(ApiKey::try_from).transpose()
}

/// With `user`, only a key of this user.
pub async fn find(db: &impl ConnectionTrait, id: KeyId, user: Option<UserId>) -> Result<Option<ApiKey>, DbErr> {
    let mut select = Entity::find_by_id(id);
    if let Some(user) = user {
        select = select.filter(Column::UserId.eq(user));
    }
    select.one(db).await?.map(ApiKey::try_from).transpose()
}

/// Revokes a key and returns it. A revoked key keeps its time of revocation. With `user`, only a key of this user.
pub async fn revoke(
    tx: &impl ConnectionTrait,
    id: KeyId,
    user: Option<UserId>,
    at: Timestamp,
) -> Result<Option<ApiKey>, DbErr> {
    let mut update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(at.millis()))
        .filter(Column::Id.eq(id))
        .filter(Column::RevokedAt.is_null());
    let mut select = Entity::find_by_id(id);
    if let Some(user) = user {
        update = update.filter(Column::UserId.eq(user));
        select = select.filter(Column::UserId.eq(user));
    }
    update.exec(tx).await?;
    select.one(tx).await?.map(ApiKey::try_from).transpose()
}

/// Revokes all keys of a user. Returns their number.
pub async fn revoke_of(tx: &impl ConnectionTrait, user: UserId, at: Timestamp) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(at.millis()))
        .filter(Column::UserId.eq(user))
        .filter(Column::RevokedAt.is_null());
    Ok(update.exec(tx).await?.rows_affected)
}

/// Saves the time of the last use of a key.
pub async fn save_last_used(db: &impl ConnectionTrait, id: KeyId, at: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(at.millis()))
        .filter(Column::Id.eq(id))
        .exec(db)
        .await
        .map(drop)
}

/// With `user`, only keys of this user.
pub async fn list(db: &impl ConnectionTrait, user: Option<UserId>, page: PageRequest) -> Result<Page<ApiKey>, DbErr> {
    let mut select = Entity::find();
    if let Some(user) = user {
        select = select.filter(Column::UserId.eq(user));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(ApiKey::try_from)
}
