//! Queries of retry jobs. A running row that is due and not leased can be claimed by the worker "retries".

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, QueryFilter, Statement,
};

use crate::base::database::for_update;
use crate::base::page::{self, Page, PageRequest};
use crate::base::queue::Queue;
use crate::{corrupt, from_json, json, model, readable};
use domain::delivery::lease::{Lease, Leased};
use domain::delivery::retry_job::{RetryJob, RetryJobStatus};
use domain::ids::{AffiliateId, RetryJobId};
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `retry_jobs`. `filter` is JSON text.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, DeliveryId, RetryJobId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "retry_jobs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: RetryJobId,
        pub owner_affiliate_id: Option<AffiliateId>,
        pub filter: String,
        pub status: String,
        pub matching: i32,
        pub retried: i32,
        pub skipped: i32,
        pub cursor: Option<DeliveryId>,
        pub due_at: Timestamp,
        pub lease_until: Option<Timestamp>,
        pub claim: Option<i64>,
        pub created_at: Timestamp,
        pub settled_at: Option<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for RetryJob {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            owner: row.owner_affiliate_id,
            filter: from_json("retry_jobs", &row.filter)?,
            status: RetryJobStatus::from_word(&row.status)
                .ok_or_else(|| corrupt("retry_jobs", format_args!("status {}", row.status)))?,
            matching: row.matching.cast_unsigned(),
            retried: row.retried.cast_unsigned(),
            skipped: row.skipped.cast_unsigned(),
            cursor: row.cursor,
            due_at: row.due_at,
            created_at: row.created_at,
            settled_at: row.settled_at,
        })
    }
}

/// The queue of the worker "retries".
pub const QUEUE: Queue =
    Queue { table: "retry_jobs", pending: "status = 'running'", due: "AND due_at <= $3", order: "due_at" };

/// # Errors
/// `UniqueConstraintViolation` if a job of the affiliate is running.
pub async fn insert(tx: &impl ConnectionTrait, job: &RetryJob) -> Result<(), DbErr> {
    let row = Model {
        id: job.id,
        owner_affiliate_id: job.owner,
        filter: json(&job.filter),
        status: job.status.to_string(),
        matching: job.matching.cast_signed(),
        retried: job.retried.cast_signed(),
        skipped: job.skipped.cast_signed(),
        cursor: job.cursor,
        due_at: job.due_at,
        lease_until: None,
        claim: None,
        created_at: job.created_at,
        settled_at: job.settled_at,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Claims the job that is due longest.
pub async fn claim(db: &DatabaseConnection, now: Timestamp, lease: Lease) -> Result<Option<Leased<RetryJob>>, DbErr> {
    let rows = QUEUE.claim(db, 1, now, lease).await?;
    let read = |row| Ok(Leased { it: RetryJob::try_from(model::<Entity>(row)?)?, lease });
    Ok(readable("retry_jobs", &rows, read).pop())
}

/// When the next job without a claim is due.
pub async fn find_next_due(db: &impl ConnectionTrait) -> Result<Option<Timestamp>, DbErr> {
    let sql = "SELECT due_at FROM retry_jobs WHERE status = 'running' ORDER BY due_at LIMIT 1";
    let found = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    found.map(|row| row.try_get("", "due_at")).transpose()
}

/// Saves the progress of a claimed job and releases its lease. Returns false if the lease was lost or the job was
/// cancelled.
pub async fn save_progress(tx: &impl ConnectionTrait, job: &RetryJob, lease: Lease) -> Result<bool, DbErr> {
    let sql =
        "UPDATE retry_jobs SET status = $1, retried = $2, skipped = $3, cursor = $4, due_at = $5, settled_at = $6,
             lease_until = NULL, claim = NULL
         WHERE id = $7 AND claim = $8 AND status = 'running'";
    let values = [
        job.status.as_str().into(),
        job.retried.cast_signed().into(),
        job.skipped.cast_signed().into(),
        job.cursor.into(),
        job.due_at.into(),
        job.settled_at.into(),
        job.id.into(),
        lease.claim.into(),
    ];
    let done = tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected() == 1)
}

/// Saves that a person cancelled the job. A batch in progress is rolled back.
pub async fn save_cancelled(tx: &impl ConnectionTrait, job: &RetryJob) -> Result<(), DbErr> {
    let sql = "UPDATE retry_jobs SET status = $1, settled_at = $2, lease_until = NULL, claim = NULL WHERE id = $3";
    let values = [job.status.as_str().into(), job.settled_at.into(), job.id.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// The lock is held until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: RetryJobId) -> Result<Option<RetryJob>, DbErr> {
    let sql = format!("SELECT * FROM retry_jobs WHERE id = $1{}", for_update(tx));
    let found = tx.query_one_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, [id.into()])).await?;
    found.map(|row| model::<Entity>(&row)?.try_into()).transpose()
}

pub async fn find(db: &impl ConnectionTrait, id: RetryJobId) -> Result<Option<RetryJob>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(RetryJob::try_from).transpose()
}

/// The jobs of an affiliate, or all jobs.
pub async fn list(
    db: &impl ConnectionTrait,
    owner: Option<AffiliateId>,
    page: PageRequest,
) -> Result<Page<RetryJob>, DbErr> {
    let mut select = Entity::find();
    if let Some(owner) = owner {
        select = select.filter(Column::OwnerAffiliateId.eq(owner));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(RetryJob::try_from)
}

/// Deletes jobs that ended before `before`.
pub async fn delete_older_than(db: &impl ConnectionTrait, before: Timestamp) -> Result<(), DbErr> {
    let sql = "DELETE FROM retry_jobs WHERE status <> 'running' AND settled_at < $1";
    let values = [before.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.map(drop)
}
