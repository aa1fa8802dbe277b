//! Queries of fingerprints of received requests, by which repeated ones are recognized.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Statement};

use crate::corrupt;
use domain::ids::{InboundRequestId, SourceId};
use domain::timestamp::Timestamp;

/// A row of `request_fingerprints`: a fingerprint of a request, with the first request that had it.
mod request_row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{InboundRequestId, SourceId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "request_fingerprints")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub source_id: SourceId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub fingerprint: String,
        pub request_id: InboundRequestId,
        pub received_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The first request with this fingerprint and its time of receipt. `request`, received at `received_at`, replaces a
/// stored request that was received before `since`.
pub async fn find_or_insert_request(
    tx: &impl ConnectionTrait,
    source: SourceId,
    fingerprint: &str,
    request: InboundRequestId,
    received_at: Timestamp,
    since: Timestamp,
) -> Result<(InboundRequestId, Timestamp), DbErr> {
    let sql =
        "INSERT INTO request_fingerprints (source_id, fingerprint, request_id, received_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (source_id, fingerprint) DO UPDATE SET
                   request_id = CASE WHEN request_fingerprints.received_at < $5
                       THEN excluded.request_id ELSE request_fingerprints.request_id END,
                   received_at = CASE WHEN request_fingerprints.received_at < $5
                       THEN excluded.received_at ELSE request_fingerprints.received_at END
               RETURNING request_id, received_at";
    let values = [source.into(), fingerprint.into(), request.into(), received_at.into(), since.into()];
    let row = tx.query_one_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    let row = row.ok_or_else(|| corrupt("request_fingerprints", "an insert that returned no row"))?;
    Ok((row.try_get("", "request_id")?, row.try_get("", "received_at")?))
}

/// Deletes fingerprints of requests that were received before `before`. Returns their number.
pub async fn delete_requests_older_than(db: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    use request_row::{Column, Entity};
    Ok(Entity::delete_many().filter(Column::ReceivedAt.lt(before)).exec(db).await?.rows_affected)
}
