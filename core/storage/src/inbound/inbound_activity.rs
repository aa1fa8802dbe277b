//! Queries of what arrives at a source: counts of its requests, and status words without a meaning. Both read a bounded
//! number of rows.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use crate::{corrupt, from_json};
use domain::ids::{SourceId, floor_uuid};
use domain::inbound::inbound_request::Item;
use domain::inbound::notification::Outcome;
use domain::timestamp::Timestamp;

const HOUR_MS: i64 = 3_600_000;

/// The requests of one hour with the same outcome and code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrivals {
    /// The beginning of the hour; hours are counted from the beginning of the period.
    pub hour: Timestamp,
    pub outcome: Outcome,
    pub code: Option<String>,
    pub count: u64,
    /// When the last of them was received.
    pub last_at: Timestamp,
}

/// Counts the requests to a source since `from`, of at most the newest `limit`.
pub async fn count_arrivals(
    db: &impl ConnectionTrait,
    source: SourceId,
    from: Timestamp,
    limit: u64,
) -> Result<Vec<Arrivals>, DbErr> {
    let sql = format!(
        "SELECT (received_at - $3) / {HOUR_MS} AS hour, outcome, code, count(*) AS count, max(received_at) AS last_at
         FROM (SELECT received_at, outcome, code FROM inbound_requests
               WHERE source_id = $1 AND id >= $2 ORDER BY id DESC LIMIT $4) AS newest
         GROUP BY 1, 2, 3"
    );
    let values = [source.into(), floor_uuid(from).into(), from.into(), limit.cast_signed().into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    rows.iter().map(|row| arrivals(row, from)).collect()
}

fn arrivals(row: &QueryResult, from: Timestamp) -> Result<Arrivals, DbErr> {
    let (hour, count): (i64, i64) = (row.try_get("", "hour")?, row.try_get("", "count")?);
    let outcome: String = row.try_get("", "outcome")?;
    Ok(Arrivals {
        hour: Timestamp::from_millis(from.millis() + hour * HOUR_MS),
        outcome: Outcome::from_word(&outcome)
            .ok_or_else(|| corrupt("inbound_requests", format_args!("outcome {outcome}")))?,
        code: row.try_get("", "code")?,
        count: count.max(0).cast_unsigned(),
        last_at: row.try_get("", "last_at")?,
    })
}

/// The last request to each of these sources: when it was received, and its outcome. Sources without a request are left
/// out.
pub async fn list_last(
    db: &impl ConnectionTrait,
    sources: &[SourceId],
) -> Result<BTreeMap<SourceId, (Timestamp, Outcome)>, DbErr> {
    let mut last = BTreeMap::new();
    for source in sources {
        let sql = "SELECT received_at, outcome FROM inbound_requests WHERE source_id = $1 ORDER BY id DESC LIMIT 1";
        let values = [(*source).into()];
        let row = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
        if let Some(row) = row {
            let outcome: String = row.try_get("", "outcome")?;
            let outcome = Outcome::from_word(&outcome)
                .ok_or_else(|| corrupt("inbound_requests", format_args!("outcome {outcome}")))?;
            last.insert(*source, (row.try_get("", "received_at")?, outcome));
        }
    }
    Ok(last)
}

/// A status word without a meaning, and the notifications that wait for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownStatus {
    /// The word, as it was sent last.
    pub word: String,
    pub count: u64,
    pub last_at: Timestamp,
}

/// The status words for whose meaning requests to a source wait, of at most `limit` requests; the most frequent first.
/// Words that differ only in case are one.
pub async fn list_unknown_statuses(
    db: &impl ConnectionTrait,
    source: SourceId,
    limit: u64,
) -> Result<Vec<UnknownStatus>, DbErr> {
    let sql = "SELECT items, received_at FROM inbound_requests
               WHERE source_id = $1 AND outcome = 'waiting' AND code = 'unknown_status' LIMIT $2";
    let values = [source.into(), limit.cast_signed().into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    let mut words: BTreeMap<String, UnknownStatus> = BTreeMap::new();
    for row in rows {
        let (items, at): (String, Timestamp) = (row.try_get("", "items")?, row.try_get("", "received_at")?);
        let items: Vec<Item> = from_json("inbound_requests", &items)?;
        for item in items.into_iter().filter(|item| item.result.is("unknown_status")) {
            let word = item.status.unwrap_or_default().trim().to_owned();
            let found = words.entry(word.to_lowercase());
            let found = found.or_insert_with(|| UnknownStatus { word: word.clone(), count: 0, last_at: at });
            found.count += 1;
            if at >= found.last_at {
                (found.word, found.last_at) = (word, at);
            }
        }
    }
    let mut words: Vec<_> = words.into_values().filter(|it| !it.word.is_empty()).collect();
    words.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.word.cmp(&b.word)));
    Ok(words)
}
