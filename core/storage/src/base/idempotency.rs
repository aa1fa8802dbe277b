//! Answers to requests that carried an `Idempotency-Key`.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `idempotency_keys`. `status` and `body` are missing until the request is answered.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "idempotency_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub actor: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: String,
        pub request_hash: String,
        pub status: Option<i32>,
        pub body: Option<String>,
        pub created_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The state of a key when a request arrives.
#[derive(Debug)]
pub enum KeyState {
    /// The key was unknown, and belongs to this request now.
    Started,
    /// The first request with the key has no answer yet.
    Unfinished {
        request_hash: String,
        since: Timestamp,
    },
    Answered {
        request_hash: String,
        status: u16,
        body: String,
    },
}

/// Inserts the key for this request, or returns the state of the first request with the key.
pub async fn start(
    db: &impl ConnectionTrait,
    actor: &str,
    key: &str,
    request_hash: &str,
    now: Timestamp,
) -> Result<KeyState, DbErr> {
    let row = Model {
        actor: actor.to_owned(),
        key: key.to_owned(),
        request_hash: request_hash.to_owned(),
        status: None,
        body: None,
        created_at: now,
    };
    let inserted = Entity::insert(row.into_active_model())
        .on_conflict(OnConflict::columns([Column::Actor, Column::Key]).do_nothing().to_owned())
        .exec_without_returning(db)
        .await;
    match inserted {
        Ok(1..) => return Ok(KeyState::Started),
        Ok(0) | Err(DbErr::RecordNotInserted) => {}
        Err(error) => return Err(error),
    }
    let found = Entity::find_by_id((actor.to_owned(), key.to_owned())).one(db).await?;
    Ok(match found {
        None => KeyState::Unfinished { request_hash: request_hash.to_owned(), since: now },
        Some(Model { request_hash, status: Some(status), body, .. }) => {
            KeyState::Answered { request_hash, status: status as u16, body: body.unwrap_or_default() }
        }
        Some(row) => KeyState::Unfinished { request_hash: row.request_hash, since: row.created_at },
    })
}

/// Saves the answer to the request.
pub async fn finish(db: &impl ConnectionTrait, actor: &str, key: &str, status: u16, body: &str) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Status, Expr::value(i32::from(status)))
        .col_expr(Column::Body, Expr::value(body))
        .filter(Column::Actor.eq(actor))
        .filter(Column::Key.eq(key))
        .exec(db)
        .await
        .map(drop)
}

/// Deletes the key of a request that changed nothing, so that the request can be sent again.
pub async fn delete(db: &impl ConnectionTrait, actor: &str, key: &str) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::Actor.eq(actor)).filter(Column::Key.eq(key)).exec(db).await.map(drop)
}

/// Deletes keys that were first used before `before`. Returns their number.
pub async fn delete_older_than(db: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::CreatedAt.lt(before)).exec(db).await?.rows_affected)
}
