//! Creates the monthly partitions of large tables on PostgreSQL in advance. If a partition cannot be created, requests
//! are still served, and the creation is tried again.

use sea_orm::DbErr;

use domain::timestamp::Timestamp;
use storage::Database;
use storage::base::partitions::{ensure, has_this_month};

/// Creates partitions at the start, only if the partition of the current month is missing. If that fails, the start
/// continues without it.
pub async fn prepare(db: &Database, now: Timestamp) -> Result<(), DbErr> {
    if !has_this_month(db, now).await? {
        maintain(db, now).await?;
    }
    Ok(())
}

/// Creates missing partitions, and logs each one that could not be created, with the reason.
pub async fn maintain(db: &Database, now: Timestamp) -> Result<(), DbErr> {
    for it in ensure(db, now).await? {
        let (partition, reason) = (&it.partition, &it.why);
        if it.is_this_month {
            tracing::warn!(
                partition,
                %reason,
                "The current month has no partition, so its rows go to the default partition; the creation is tried again in a minute"
            );
        } else {
            tracing::info!(partition, %reason, "A future month has no partition yet; the creation is tried again in a minute");
        }
    }
    Ok(())
}
