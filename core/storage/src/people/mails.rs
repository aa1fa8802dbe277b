//! Queries of messages that are to be sent. A message that was sent or given up is deleted, because it has personal
//! data.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use crate::base::queue::Queue;
use crate::{model, readable};
use domain::delivery::lease::{Lease, Leased};
use domain::ids::MailId;
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `mails`.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::MailId;
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "mails")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: MailId,
        pub sealed: String,
        pub attempts: i32,
        pub due_at: Timestamp,
        pub give_up_at: Timestamp,
        pub lease_until: Option<Timestamp>,
        pub claim: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The queue of the worker "mail". Every row is pending.
pub const QUEUE: Queue = Queue { table: "mails", pending: "true", due: "AND due_at <= $3", order: "due_at" };

/// A stored message. Only the vault can open `sealed`.
#[derive(Clone, Debug)]
pub struct StoredMail {
    pub id: MailId,
    pub sealed: String,
    /// The number of attempts to send it.
    pub attempts: u32,
    pub give_up_at: Timestamp,
}

pub async fn insert(tx: &impl ConnectionTrait, mail: &StoredMail, due_at: Timestamp) -> Result<(), DbErr> {
    let row = Model {
        id: mail.id,
        sealed: mail.sealed.clone(),
        attempts: mail.attempts as i32,
        due_at,
        give_up_at: mail.give_up_at,
        lease_until: None,
        claim: None,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Claims up to `limit` due messages, in no order.
pub async fn claim(
    db: &DatabaseConnection,
    limit: usize,
    now: Timestamp,
    lease: Lease,
) -> Result<Vec<Leased<StoredMail>>, DbErr> {
    let rows = QUEUE.claim(db, limit, now, lease).await?;
    let read = |row| {
        let row = model::<Entity>(row)?;
        let mail =
            StoredMail { id: row.id, sealed: row.sealed, attempts: row.attempts as u32, give_up_at: row.give_up_at };
        Ok(Leased { it: mail, lease })
    };
    Ok(readable("mails", &rows, read))
}

/// Replaces the request for a message with the written message. Returns false if the lease was lost.
pub async fn replace(tx: &impl ConnectionTrait, mail: &StoredMail, lease: Lease) -> Result<bool, DbErr> {
    let changed = Entity::update_many()
        .col_expr(Column::Sealed, Expr::value(&mail.sealed))
        .col_expr(Column::GiveUpAt, Expr::value(mail.give_up_at))
        .filter(Column::Id.eq(mail.id))
        .filter(Column::Claim.eq(lease.claim))
        .exec(tx)
        .await?;
    Ok(changed.rows_affected == 1)
}

/// Saves the number of attempts and the time of the next one, and releases the lease.
pub async fn postpone(
    db: &impl ConnectionTrait,
    id: MailId,
    lease: Lease,
    attempts: u32,
    due_at: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Attempts, Expr::value(attempts as i32))
        .col_expr(Column::DueAt, Expr::value(due_at))
        .col_expr(Column::LeaseUntil, Expr::value(None::<Timestamp>))
        .col_expr(Column::Claim, Expr::value(None::<i64>))
        .filter(Column::Id.eq(id))
        .filter(Column::Claim.eq(lease.claim))
        .exec(db)
        .await
        .map(drop)
}

/// Deletes a message that was sent, given up or not needed, unless the lease was lost.
pub async fn delete(db: &impl ConnectionTrait, id: MailId, lease: Lease) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::Claim.eq(lease.claim)).exec(db).await.map(drop)
}
