//! Queries of attempts.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr};

use crate::base::bulk::{Rows, Type};
use crate::{corrupt, from_json, json, model};
use domain::delivery::delivery::{Attempt, AttemptOutcome};
use domain::ids::DeliveryId;
use domain::timestamp::Timestamp;
use row::{Entity, Model};

/// A row of `attempts`. The headers and `adapter_log` are JSON text.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::DeliveryId;
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "attempts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub delivery_id: DeliveryId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        pub at: Timestamp,
        pub duration_ms: i32,
        pub method: String,
        pub url: String,
        pub request_headers: String,
        pub request_body: Option<String>,
        pub status: Option<i32>,
        pub response_headers: String,
        pub response_body: Option<String>,
        pub truncated: bool,
        pub outcome: String,
        pub error_code: Option<String>,
        pub error: Option<String>,
        pub adapter_log: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Attempt {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            delivery_id: row.delivery_id,
            number: row.number,
            at: row.at,
            duration_ms: row.duration_ms,
            method: row.method,
            url: row.url,
            request_headers: from_json("attempts", &row.request_headers)?,
            request_body: row.request_body,
            status: row.status,
            response_headers: from_json("attempts", &row.response_headers)?,
            response_body: row.response_body,
            truncated: row.truncated,
            outcome: AttemptOutcome::from_word(&row.outcome)
                .ok_or_else(|| corrupt("attempts", format_args!("outcome {}", row.outcome)))?,
            error_code: row.error_code,
            error: row.error,
            adapter_log: row.adapter_log.map_or(Ok(Vec::new()), |log| from_json("attempts", &log))?,
        })
    }
}

/// Inserts attempts. An attempt whose number exists is left out: another process sent it.
pub async fn insert(tx: &impl ConnectionTrait, attempts: impl IntoIterator<Item = &Attempt>) -> Result<(), DbErr> {
    use Type::{Big, Bool, Document, Id, Int, Text};
    let mut rows = Rows::new(&[
        Id, Int, Big, Int, Text, Document, Document, Document, Int, Document, Document, Bool, Text, Text, Text, Text,
    ]);
    for attempt in attempts {
        rows.push([
            attempt.delivery_id.into(),
            attempt.number.into(),
            attempt.at.into(),
            attempt.duration_ms.into(),
            attempt.method.clone().into(),
            attempt.url.clone().into(),
            json(&attempt.request_headers).into(),
            attempt.request_body.clone().into(),
            attempt.status.into(),
            json(&attempt.response_headers).into(),
            attempt.response_body.clone().into(),
            attempt.truncated.into(),
            attempt.outcome.as_str().into(),
            attempt.error_code.clone().into(),
            attempt.error.clone().into(),
            Some(&attempt.adapter_log).filter(|log| !log.is_empty()).map(json).into(),
        ]);
    }
    rows.execute(
        tx,
        "INSERT INTO attempts (delivery_id, number, at, duration_ms, method, url, request_headers, request_body, status,
             response_headers, response_body, truncated, outcome, error_code, error, adapter_log) {rows}
         ON CONFLICT (delivery_id, number) DO NOTHING",
        vec![],
    )
    .await
    .map(drop)
}

/// The attempts of each of these deliveries, in their order.
pub async fn list(
    db: &impl ConnectionTrait,
    deliveries: impl IntoIterator<Item = DeliveryId>,
) -> Result<HashMap<DeliveryId, Vec<Attempt>>, DbErr> {
    let found = Rows::ids(deliveries)
        .query(
            db,
            "WITH wanted (id) AS ({rows})
             SELECT attempts.* FROM wanted JOIN attempts ON attempts.delivery_id = wanted.id
             ORDER BY attempts.delivery_id, attempts.number",
            vec![],
        )
        .await?;
    let mut attempts: HashMap<DeliveryId, Vec<Attempt>> = HashMap::new();
    for row in &found {
        let attempt = Attempt::try_from(model::<Entity>(row)?)?;
        attempts.entry(attempt.delivery_id).or_default().push(attempt);
    }
    Ok(attempts)
}

/// What a list shows of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptSummary {
    pub at: Timestamp,
    pub duration_ms: i32,
    /// HTTP status of the response; `None` if there was no response.
    pub status: Option<i32>,
    pub outcome: AttemptOutcome,
    pub error_code: Option<String>,
}

/// The last attempt of each of these deliveries, given with the number of their attempts. Bodies are not read.
pub async fn list_last(
    db: &impl ConnectionTrait,
    deliveries: impl IntoIterator<Item = (DeliveryId, i32)>,
) -> Result<HashMap<DeliveryId, AttemptSummary>, DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Int]);
    for (id, number) in deliveries {
        rows.push([id.into(), number.into()]);
    }
    let found = rows
        .query(
            db,
            "WITH wanted (id, number) AS ({rows})
             SELECT attempts.delivery_id, attempts.at, attempts.duration_ms, attempts.status, attempts.outcome,
                 attempts.error_code
             FROM wanted JOIN attempts ON attempts.delivery_id = wanted.id AND attempts.number = wanted.number",
            vec![],
        )
        .await?;
    let mut attempts = HashMap::new();
    for row in &found {
        let outcome: String = row.try_get("", "outcome")?;
        let summary = AttemptSummary {
            at: row.try_get("", "at")?,
            duration_ms: row.try_get("", "duration_ms")?,
            status: row.try_get("", "status")?,
            outcome: AttemptOutcome::from_word(&outcome)
                .ok_or_else(|| corrupt("attempts", format_args!("outcome {outcome}")))?,
            error_code: row.try_get("", "error_code")?,
        };
        attempts.insert(row.try_get("", "delivery_id")?, summary);
    }
    Ok(attempts)
}
