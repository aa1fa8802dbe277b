//! Queries of sessions.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};

use domain::ids::{AffiliateId, SessionId, UserId};
use domain::people::session::{Opener, Session};
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

use super::users;

/// A row of `sessions`. It has the hash of the cookie, never the cookie.
mod row {
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
}

/// The maximum number of sessions in a list.
const LIST_MAX: u64 = 100;

impl From<Model> for Session {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            hash: row.hash,
            user_id: row.user_id,
            affiliate_id: row.affiliate_id,
            address: row.address,
            user_agent: row.user_agent,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            // An earlier release stores the opener of a read-only session only in `opened_by`.
            opener: row.opener.as_ref().or(row.opened_by.as_ref()).and_then(|name| Opener::from_name(name)),
            opened_by: row.opened_by,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, session: &Session) -> Result<(), DbErr> {
    let session = session.clone();
    let row = Model {
        id: session.id,
        hash: session.hash,
        user_id: session.user_id,
        affiliate_id: session.affiliate_id,
        address: session.address,
        user_agent: session.user_agent,
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        revoked_at: session.revoked_at,
        opened_by: session.opened_by,
        opener: session.opener.map(Opener::name),
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Also finds expired and revoked sessions.
pub async fn find_by_hash(db: &impl ConnectionTrait, hash: &str) -> Result<Option<Session>, DbErr> {
    Ok(Entity::find().filter(Column::Hash.eq(hash)).one(db).await?.map(Session::from))
}

/// The valid sessions of a user, newest first.
pub async fn list(db: &impl ConnectionTrait, user: UserId, now: Timestamp) -> Result<Vec<Session>, DbErr> {
    let select = Entity::find()
        .filter(Column::UserId.eq(user))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::ExpiresAt.gt(now.millis()))
        .order_by_desc(Column::Id)
        .limit(LIST_MAX);
    Ok(select.all(db).await?.into_iter().map(Session::from).collect())
}

/// Saves the time of the last request of a session.
pub async fn save_last_seen(db: &impl ConnectionTrait, id: SessionId, at: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::LastSeenAt, Expr::value(at.millis()))
        .filter(Column::Id.eq(id))
        .exec(db)
        .await
        .map(drop)
}

/// Revokes a session. Returns false if there is no such session or it is revoked. With `user`, only a session of this
/// user.
pub async fn revoke(
    tx: &impl ConnectionTrait,
    id: SessionId,
    user: Option<UserId>,
    at: Timestamp,
) -> Result<bool, DbErr> {
    let mut update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(at.millis()))
        .filter(Column::Id.eq(id))
        .filter(Column::RevokedAt.is_null());
    if let Some(user) = user {
        update = update.filter(Column::UserId.eq(user));
    }
    Ok(update.exec(tx).await?.rows_affected == 1)
}

/// Revokes all sessions of a user except `except`. Returns their number.
pub async fn revoke_all(
    tx: &impl ConnectionTrait,
    user: UserId,
    except: Option<SessionId>,
    at: Timestamp,
) -> Result<u64, DbErr> {
    let mut update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(at.millis()))
        .filter(Column::UserId.eq(user))
        .filter(Column::RevokedAt.is_null());
    if let Some(except) = except {
        update = update.filter(Column::Id.ne(except));
    }
    Ok(update.exec(tx).await?.rows_affected)
}

/// Revokes all sessions for an affiliate: of its users, of customers with a login link, and read-only sessions of
/// staff.
pub async fn revoke_of_affiliate(tx: &impl ConnectionTrait, id: AffiliateId, at: Timestamp) -> Result<u64, DbErr> {
    let people = sea_orm::sea_query::Query::select()
        .column(users::row::Column::Id)
        .from(users::row::Entity)
        .and_where(users::row::Column::AffiliateId.eq(id))
        .to_owned();
    let update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(at.millis()))
        .filter(Condition::any().add(Column::AffiliateId.eq(id)).add(Column::UserId.in_subquery(people)))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::ExpiresAt.gt(at.millis()));
    Ok(update.exec(tx).await?.rows_affected)
}

/// Deletes sessions that expired before `before`. Returns their number.
pub async fn delete_older_than(db: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::ExpiresAt.lt(before.millis())).exec(db).await?.rows_affected)
}
