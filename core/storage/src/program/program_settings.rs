//! Settings that people change while the program runs, and internal ones. Each is one JSON text.

use sea_orm::{ConnectionTrait, DbErr, Statement};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::database::for_update;
use crate::{from_json, json};
use domain::delivery::approval::PostbackSettings;
use domain::money::withdrawal::WithdrawalSettings;
use domain::program::buyer_visibility::BuyerVisibility;
use domain::program::order_scope::OrderScope;
use domain::program::sub_affiliate::SubAffiliateSettings;
use domain::timestamp::Timestamp;

const SUB_AFFILIATES: &str = "sub_affiliates";
const WITHDRAWALS: &str = "withdrawals";
const BUYERS: &str = "buyers";
const ORDER_SCOPE: &str = "order_scope";
const POSTBACKS: &str = "postbacks";
const SEALED_BY: &str = "sealed_by";

pub async fn find_sub_affiliates(db: &impl ConnectionTrait) -> Result<SubAffiliateSettings, DbErr> {
    Ok(read(db, SUB_AFFILIATES, "").await?.unwrap_or_default())
}

/// Locks the setting until `tx` ends. Changes of parent affiliates take the same lock.
pub async fn lock_sub_affiliates(tx: &impl ConnectionTrait) -> Result<SubAffiliateSettings, DbErr> {
    Ok(read(tx, SUB_AFFILIATES, for_update(tx)).await?.unwrap_or_default())
}

pub async fn save_sub_affiliates(
    tx: &impl ConnectionTrait,
    settings: &SubAffiliateSettings,
    at: Timestamp,
) -> Result<(), DbErr> {
    save(tx, SUB_AFFILIATES, settings, at).await
}

pub async fn find_withdrawals(db: &impl ConnectionTrait) -> Result<WithdrawalSettings, DbErr> {
    Ok(read(db, WITHDRAWALS, "").await?.unwrap_or_default())
}

pub async fn save_withdrawals(
    db: &impl ConnectionTrait,
    settings: &WithdrawalSettings,
    at: Timestamp,
) -> Result<(), DbErr> {
    save(db, WITHDRAWALS, settings, at).await
}

pub async fn find_buyer_visibility(db: &impl ConnectionTrait) -> Result<BuyerVisibility, DbErr> {
    Ok(read(db, BUYERS, "").await?.unwrap_or_default())
}

/// Locks the setting until `tx` ends.
pub async fn lock_buyer_visibility(tx: &impl ConnectionTrait) -> Result<BuyerVisibility, DbErr> {
    Ok(read(tx, BUYERS, for_update(tx)).await?.unwrap_or_default())
}

pub async fn save_buyer_visibility(
    tx: &impl ConnectionTrait,
    visibility: BuyerVisibility,
    at: Timestamp,
) -> Result<(), DbErr> {
    save(tx, BUYERS, &visibility, at).await
}

pub async fn find_order_scope(db: &impl ConnectionTrait) -> Result<OrderScope, DbErr> {
    Ok(read(db, ORDER_SCOPE, "").await?.unwrap_or_default())
}

/// Locks the setting until `tx` ends.
pub async fn lock_order_scope(tx: &impl ConnectionTrait) -> Result<OrderScope, DbErr> {
    Ok(read(tx, ORDER_SCOPE, for_update(tx)).await?.unwrap_or_default())
}

pub async fn save_order_scope(tx: &impl ConnectionTrait, scope: OrderScope, at: Timestamp) -> Result<(), DbErr> {
    save(tx, ORDER_SCOPE, &scope, at).await
}

pub async fn find_postbacks(db: &impl ConnectionTrait) -> Result<PostbackSettings, DbErr> {
    Ok(read(db, POSTBACKS, "").await?.unwrap_or_default())
}

/// Locks the setting until `tx` ends.
pub async fn lock_postbacks(tx: &impl ConnectionTrait) -> Result<PostbackSettings, DbErr> {
    Ok(read(tx, POSTBACKS, for_update(tx)).await?.unwrap_or_default())
}

pub async fn save_postbacks(tx: &impl ConnectionTrait, settings: PostbackSettings, at: Timestamp) -> Result<(), DbErr> {
    save(tx, POSTBACKS, &settings, at).await
}

/// The version of the check that last searched all stored configurations for unsealed secrets.
pub async fn find_sealed_by(db: &impl ConnectionTrait) -> Result<Option<String>, DbErr> {
    read(db, SEALED_BY, "").await
}

pub async fn save_sealed_by(db: &impl ConnectionTrait, version: &str, at: Timestamp) -> Result<(), DbErr> {
    save(db, SEALED_BY, version, at).await
}

async fn read<T: DeserializeOwned>(db: &impl ConnectionTrait, key: &str, lock: &str) -> Result<Option<T>, DbErr> {
    let sql = format!("SELECT value FROM program_settings WHERE key = $1{lock}");
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [key.into()]);
    let row = db.query_one_raw(statement).await?;
    let text: Option<String> = row.map(|row| row.try_get("", "value")).transpose()?;
    text.map(|text| from_json("program_settings", &text)).transpose()
}

async fn save(
    db: &impl ConnectionTrait,
    key: &str,
    value: &(impl Serialize + ?Sized),
    at: Timestamp,
) -> Result<(), DbErr> {
    let sql = "INSERT INTO program_settings (key, value, updated_at) VALUES ($1, $2, $3)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at";
    let values = [key.into(), json(&value).into(), at.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.map(drop)
}
