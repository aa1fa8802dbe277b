//! The months of big tables on PostgreSQL, made ahead. Never ahead of serving: what can't be made now is made later.

use sea_orm::DbErr;

use domain::timestamp::Timestamp;
use storage::Database;
use storage::base::partitions::{ensure, has_this_month};

/// At the start: makes months only when the one at hand is missing, and goes on without it if it can't be had.
pub async fn prepare(db: &Database, now: Timestamp) -> Result<(), DbErr> {
    if !has_this_month(db, now).await? {
        look_after(db, now).await?;
    }
    Ok(())
}

/// Makes what is missing, and says which month could not be made and why.
pub async fn look_after(db: &Database, now: Timestamp) -> Result<(), DbErr> {
    for it in ensure(db, now).await? {
        let (partition, why) = (&it.partition, &it.why);
        if it.is_this_month {
            tracing::warn!(
                partition,
                %why,
                "A month has no partition, so its rows go to the default partition; it is tried again in a minute"
            );
        } else {
            tracing::info!(partition, %why, "A month ahead has no partition yet; it is tried again in a minute");
        }
    }
    Ok(())
}
