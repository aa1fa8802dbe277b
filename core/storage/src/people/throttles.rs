//! Queries of throttles. They are stored, so that they survive a restart and count for all processes.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
};

use domain::people::throttle::Throttle;
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `throttles`.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "throttles")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub subject: String,
        pub failures: i32,
        pub last_at: Timestamp,
        pub blocked_until: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Locks the throttle of a subject until `tx` ends. Inserts it if it does not exist.
pub async fn lock(tx: &impl ConnectionTrait, subject: &str, now: Timestamp) -> Result<Throttle, DbErr> {
    let new = Model { subject: subject.to_owned(), failures: 0, last_at: now, blocked_until: now };
    let inserted = Entity::insert(new.into_active_model())
        .on_conflict(OnConflict::column(Column::Subject).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await;
    if let Err(error) = inserted
        && !matches!(error, DbErr::RecordNotInserted)
    {
        return Err(error);
    }
    let found = Entity::find_by_id(subject).lock_exclusive().one(tx).await?;
    let row = found.ok_or_else(|| DbErr::RecordNotFound("a throttle that was just inserted".to_owned()))?;
    Ok(Throttle {
        subject: row.subject,
        failures: row.failures,
        last_at: row.last_at,
        blocked_until: row.blocked_until,
    })
}

pub async fn save(tx: &impl ConnectionTrait, throttle: &Throttle) -> Result<(), DbErr> {
    let row = Model {
        subject: throttle.subject.clone(),
        failures: throttle.failures,
        last_at: throttle.last_at,
        blocked_until: throttle.blocked_until,
    };
    row.into_active_model().reset_all().update(tx).await.map(drop)
}

/// Deletes throttles whose last failure was before `before`. Returns their number.
pub async fn delete_older_than(db: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::LastAt.lt(before.millis())).exec(db).await?.rows_affected)
}
