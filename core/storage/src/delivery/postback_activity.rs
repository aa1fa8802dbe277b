//! What postbacks did last: the state of their destinations, the last delivery, and the results of a period.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::base::bulk::Rows;
use crate::corrupt;
use domain::delivery::delivery::DeliveryState;
use domain::ids::{DeliveryId, PostbackId, floor_uuid};
use domain::timestamp::Timestamp;

use super::breakers;

/// The most deliveries of a postback that are counted, the newest first: a list of busy postbacks must stay quick.
pub const COUNTED_MAX: i64 = 1_000;

/// What a postback did last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Activity {
    /// Whether the breaker of one of its destinations is not closed.
    pub is_paused: bool,
    pub last: Option<LastDelivery>,
    /// Deliveries of the period that were accepted, and that failed.
    pub success: i64,
    pub failed: i64,
    /// Whether the period has more deliveries than [`COUNTED_MAX`], of which the newest were counted.
    pub is_capped: bool,
}

/// The newest delivery of a postback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastDelivery {
    pub id: DeliveryId,
    pub at: Timestamp,
    pub state: DeliveryState,
}

/// The query of [`find_many`]: `{rows}` are the postbacks, `{1}` is the lowest id of the period. Each part reads the end
/// of one range of the index `deliveries_by_postback`.
pub fn sql(paused: &str) -> String {
    let newest = |what: &str| {
        format!(
            "SELECT {what} FROM deliveries WHERE deliveries.postback_id = wanted.id ORDER BY deliveries.id DESC LIMIT 1"
        )
    };
    let count = |condition: &str| {
        format!(
            "SELECT count(*) FROM (SELECT state FROM deliveries
                 WHERE deliveries.postback_id = wanted.id AND deliveries.id >= {{1}}
                 ORDER BY deliveries.id DESC LIMIT {COUNTED_MAX}) AS latest{condition}"
        )
    };
    format!(
        "WITH wanted (id) AS ({{rows}})
         SELECT wanted.id AS id, ({}) AS last_id, ({}) AS last_at, ({}) AS last_state, ({}) AS success, ({}) AS failed,
             ({}) AS counted, CASE WHEN wanted.id IN ({paused}) THEN 1 ELSE 0 END AS paused
         FROM wanted",
        newest("deliveries.id"),
        newest("deliveries.created_at"),
        newest("deliveries.state"),
        count(" WHERE latest.state = 'success'"),
        count(" WHERE latest.state = 'failed'"),
        count(""),
    )
}

/// What these postbacks did last, with the results since `from`.
pub async fn find_many(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = PostbackId>,
    from: Timestamp,
) -> Result<HashMap<PostbackId, Activity>, DbErr> {
    let sql = sql(&breakers::paused_postbacks(db.get_database_backend()));
    let found = Rows::ids(ids).query(db, &sql, vec![floor_uuid(from).into()]).await?;
    found.iter().map(|row| Ok((row.try_get("", "id")?, read(row)?))).collect()
}

fn read(row: &QueryResult) -> Result<Activity, DbErr> {
    let id: Option<DeliveryId> = row.try_get("", "last_id")?;
    let last = match id {
        Some(id) => {
            let state: String = row.try_get("", "last_state")?;
            let state = DeliveryState::from_word(&state);
            let state = state.ok_or_else(|| corrupt("deliveries", format_args!("a state of delivery {id}")))?;
            Some(LastDelivery { id, at: row.try_get("", "last_at")?, state })
        }
        None => None,
    };
    let (paused, counted): (i32, i64) = (row.try_get("", "paused")?, row.try_get("", "counted")?);
    Ok(Activity {
        is_paused: paused != 0,
        last,
        success: row.try_get("", "success")?,
        failed: row.try_get("", "failed")?,
        is_capped: counted >= COUNTED_MAX,
    })
}
