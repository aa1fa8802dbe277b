//! Queries of the recovery codes of users.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use domain::ids::UserId;
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `recovery_codes`. It has the hash of a code, never the code.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::UserId;
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "recovery_codes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: UserId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: String,
        pub used_at: Option<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Replaces the recovery codes of a user.
pub async fn replace(tx: &impl ConnectionTrait, id: UserId, hashes: &[String]) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::UserId.eq(id)).exec(tx).await?;
    if hashes.is_empty() {
        return Ok(());
    }
    let rows = hashes.iter().map(|hash| Model { user_id: id, hash: hash.clone(), used_at: None }.into_active_model());
    Entity::insert_many(rows).exec_without_returning(tx).await.map(drop)
}

/// Marks a code of a user as used. Returns false if the user has no such code or it was used before.
pub async fn mark_used(tx: &impl ConnectionTrait, id: UserId, hash: &str, now: Timestamp) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now.millis()))
        .filter(Column::UserId.eq(id))
        .filter(Column::Hash.eq(hash))
        .filter(Column::UsedAt.is_null())
        .exec(tx)
        .await?;
    Ok(result.rows_affected == 1)
}
