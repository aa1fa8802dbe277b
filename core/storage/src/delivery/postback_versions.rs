//! Queries of former configurations of postbacks. A version applied until `replaced_at`; the secrets in it are masks.

use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

use crate::{json, model, readable};
use domain::delivery::postback::Postback;
use domain::ids::PostbackId;
use domain::timestamp::Timestamp;

use super::postbacks::row::Entity;

/// Inserts the configuration that applied until `replaced_at`. `former` has masks in place of secrets.
pub async fn insert(tx: &impl ConnectionTrait, former: &Postback, replaced_at: Timestamp) -> Result<(), DbErr> {
    let rule = &former.rule;
    let sql =
        "INSERT INTO postback_versions (postback_id, replaced_at, updated_at, name, adapter_version, config, action,
             affiliate_id, offer_id, firing_status, rejection_reasons, delay_value, delay_unit, ordering, enabled,
             version, saved_by, saved_by_staff, approval)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         ON CONFLICT (postback_id, replaced_at) DO NOTHING";
    let values: [Value; 19] = [
        former.id.into(),
        replaced_at.into(),
        former.updated_at.into(),
        former.name.clone().into(),
        former.adapter_version.clone().into(),
        json(&former.config).into(),
        rule.action.as_str().into(),
        rule.scope.affiliate_id.into(),
        rule.scope.offer_id.into(),
        rule.firing_status.as_str().into(),
        json(&rule.rejection_reasons).into(),
        rule.delay.map(|delay| delay.value.cast_signed()).into(),
        rule.delay.map(|delay| delay.unit.to_string()).into(),
        former.ordering.as_str().into(),
        former.enabled.into(),
        former.version.into(),
        former.saved_by.as_ref().map(|it| it.name.clone()).into(),
        former.saved_by.as_ref().is_some_and(|it| it.is_staff).into(),
        former.approval.as_str().into(),
    ];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// The version that applied at `at`, if the postback was changed after that time. Its `updated_at` is later than `at` if
/// it is not certain that it applied already then.
pub async fn find_replaced_after(
    db: &impl ConnectionTrait,
    id: PostbackId,
    at: Timestamp,
) -> Result<Option<Postback>, DbErr> {
    let sql = format!("{VERSION} AND former.replaced_at > $2 ORDER BY former.replaced_at LIMIT 1");
    let values = [id.into(), at.into()];
    let found = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    found.map(|row| model::<Entity>(&row)?.try_into()).transpose()
}

/// A former version of a postback as a postback. A rotation of secret keys also sets `updated_at`, but an older version
/// proves that nothing else changed since.
const VERSION: &str = "SELECT it.id, it.adapter, it.owner_affiliate_id, it.verified_at, it.created_at, it.template,
         it.secret_origins, CAST(NULL AS bigint) AS archived_at, CAST(NULL AS text) AS refusal_reason, former.name,
         former.adapter_version, former.config, former.action, former.affiliate_id, former.offer_id,
         former.firing_status, former.rejection_reasons, former.delay_value, former.delay_unit, former.ordering,
         former.enabled, former.version, former.saved_by, former.saved_by_staff, former.approval,
         COALESCE((SELECT max(older.replaced_at) FROM postback_versions AS older
                   WHERE older.postback_id = it.id AND older.replaced_at < former.replaced_at),
                  former.updated_at) AS updated_at
     FROM postback_versions AS former JOIN postbacks AS it ON it.id = former.postback_id
     WHERE former.postback_id = $1";

/// Up to `limit` former versions, the newest first. Each has the time of its change in `updated_at`.
pub async fn list(db: &impl ConnectionTrait, id: PostbackId, limit: u32) -> Result<Vec<Postback>, DbErr> {
    let sql = format!("{VERSION} ORDER BY former.replaced_at DESC LIMIT {limit}");
    let found = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await?;
    Ok(readable("postback_versions", &found, |row| model::<Entity>(row)?.try_into()))
}

/// A former version by its number.
pub async fn find(db: &impl ConnectionTrait, id: PostbackId, version: i32) -> Result<Option<Postback>, DbErr> {
    let sql = format!("{VERSION} AND former.version = $2 ORDER BY former.replaced_at DESC LIMIT 1");
    let values = [id.into(), version.into()];
    let found = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    found.map(|row| model::<Entity>(&row)?.try_into()).transpose()
}

/// When the present configuration replaced the latest version. `None` if no version is stored.
pub async fn find_last_replaced(db: &impl ConnectionTrait, id: PostbackId) -> Result<Option<Timestamp>, DbErr> {
    let sql = "SELECT max(replaced_at) AS at FROM postback_versions WHERE postback_id = $1";
    let values = [id.into()];
    let found = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    found.map_or(Ok(None), |row| row.try_get("", "at"))
}

/// Deletes versions that were replaced before `before`: no event is as old.
pub async fn delete_older_than(db: &impl ConnectionTrait, before: Timestamp) -> Result<(), DbErr> {
    let sql = "DELETE FROM postback_versions WHERE replaced_at < $1";
    let values = [before.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.map(drop)
}
