//! Queries of withdrawals.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Select,
};

use crate::base::bulk::{Rows, Type};
use crate::base::page::{self, Page, PageRequest, Window};
use crate::{corrupt, from_json, json};
use domain::amounts::{Currency, Money};
use domain::ids::{AffiliateId, WithdrawalBatchId, WithdrawalId, floor_uuid};
use domain::money::withdrawal::{Status, Withdrawal};
use domain::money::withdrawal_batch::Progress;
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `withdrawals`. `history` and `masked_details` are JSON text.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, WithdrawalBatchId, WithdrawalId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "withdrawals")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: WithdrawalId,
        pub affiliate_id: AffiliateId,
        pub method: String,
        pub currency: String,
        pub amount_micros: i64,
        pub fee_micros: i64,
        pub requested_all: bool,
        pub status: String,
        pub note: Option<String>,
        pub history: String,
        pub sealed_details: String,
        pub masked_details: String,
        pub details_changed_at: Timestamp,
        pub batch_id: Option<WithdrawalBatchId>,
        pub accepted_debt_micros: i64,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const TABLE: &str = "withdrawals";

impl TryFrom<Model> for Withdrawal {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let currency: Currency =
            row.currency.parse().map_err(|_| corrupt(TABLE, format_args!("currency {}", row.currency)))?;
        Ok(Self {
            status: Status::from_parts(&row.status, row.note)
                .ok_or_else(|| corrupt(TABLE, format_args!("status {}", row.status)))?,
            history: from_json(TABLE, &row.history)?,
            masked_details: from_json(TABLE, &row.masked_details)?,
            amount: Money { micros: row.amount_micros, currency },
            fee: Money { micros: row.fee_micros, currency },
            id: row.id,
            affiliate_id: row.affiliate_id,
            method: row.method,
            requested_all: row.requested_all,
            sealed_details: row.sealed_details,
            details_changed_at: row.details_changed_at,
            batch_id: row.batch_id,
            accepted_debt: Money { micros: row.accepted_debt_micros, currency },
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<&Withdrawal> for Model {
    fn from(withdrawal: &Withdrawal) -> Self {
        Self {
            id: withdrawal.id,
            affiliate_id: withdrawal.affiliate_id,
            method: withdrawal.method.clone(),
            currency: withdrawal.amount.currency.to_string(),
            amount_micros: withdrawal.amount.micros,
            fee_micros: withdrawal.fee.micros,
            requested_all: withdrawal.requested_all,
            status: withdrawal.status.word().to_owned(),
            note: withdrawal.status.note().map(str::to_owned),
            history: json(&withdrawal.history),
            sealed_details: withdrawal.sealed_details.clone(),
            masked_details: json(&withdrawal.masked_details),
            details_changed_at: withdrawal.details_changed_at,
            batch_id: withdrawal.batch_id,
            accepted_debt_micros: withdrawal.accepted_debt.micros,
            created_at: withdrawal.created_at,
            updated_at: withdrawal.updated_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, withdrawal: &Withdrawal) -> Result<(), DbErr> {
    Entity::insert(Model::from(withdrawal).into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Saves the fields of withdrawals that can change: status, history, batch and accepted debt.
pub async fn save(tx: &impl ConnectionTrait, withdrawals: &[&Withdrawal]) -> Result<(), DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Text, Type::Text, Type::Text, Type::Id, Type::Big, Type::Big]);
    for withdrawal in withdrawals {
        rows.push([
            withdrawal.id.into(),
            withdrawal.status.word().into(),
            withdrawal.status.note().map(str::to_owned).into(),
            json(&withdrawal.history).into(),
            withdrawal.batch_id.into(),
            withdrawal.accepted_debt.micros.into(),
            withdrawal.updated_at.into(),
        ]);
    }
    rows.execute(
        tx,
        "WITH changed (id, status, note, history, batch_id, accepted_debt_micros, updated_at) AS ({rows})
         UPDATE withdrawals SET status = changed.status, note = changed.note, history = changed.history,
             batch_id = changed.batch_id, accepted_debt_micros = changed.accepted_debt_micros,
             updated_at = changed.updated_at
         FROM changed WHERE withdrawals.id = changed.id",
        vec![],
    )
    .await
    .map(drop)
}

pub async fn find(db: &impl ConnectionTrait, id: WithdrawalId) -> Result<Option<Withdrawal>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Withdrawal::try_from).transpose()
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: WithdrawalId) -> Result<Option<Withdrawal>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(Withdrawal::try_from).transpose()
}

/// Locks withdrawals in the order of their ids, so that two transactions cannot deadlock.
pub async fn lock_many(
    tx: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = WithdrawalId>,
) -> Result<BTreeMap<WithdrawalId, Withdrawal>, DbErr> {
    locked(tx, Entity::find().filter(Column::Id.is_in(ids))).await
}

/// Locks all withdrawals of a batch.
pub async fn lock_batch(
    tx: &impl ConnectionTrait,
    batch: WithdrawalBatchId,
) -> Result<BTreeMap<WithdrawalId, Withdrawal>, DbErr> {
    locked(tx, Entity::find().filter(Column::BatchId.eq(batch))).await
}

async fn locked(
    tx: &impl ConnectionTrait,
    select: Select<Entity>,
) -> Result<BTreeMap<WithdrawalId, Withdrawal>, DbErr> {
    let rows = select.order_by_asc(Column::Id).lock_exclusive().all(tx).await?;
    rows.into_iter().map(|row| Ok((row.id, row.try_into()?))).collect()
}

const OWES_NO_MORE_THAN_ACCEPTED: &str = "NOT EXISTS (SELECT 1 FROM balances
    WHERE balances.affiliate_id = withdrawals.affiliate_id AND balances.currency = withdrawals.currency
        AND balances.debt > withdrawals.accepted_debt_micros)";

/// Locks approved withdrawals that are in no batch and that no debt stops, oldest first. Leaves out rows that another
/// transaction has locked: they are being paid or failed.
pub async fn claim_to_pay(
    tx: &impl ConnectionTrait,
    method: &str,
    currency: Currency,
    limit: u64,
) -> Result<Vec<Withdrawal>, DbErr> {
    let rows = Entity::find()
        .filter(Column::Status.eq(Status::Approved.word()))
        .filter(Column::BatchId.is_null())
        .filter(Column::Method.eq(method))
        .filter(Column::Currency.eq(currency.to_string()))
        .filter(Expr::cust(OWES_NO_MORE_THAN_ACCEPTED))
        .order_by_asc(Column::Id)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(tx)
        .await?;
    rows.into_iter().map(Withdrawal::try_from).collect()
}

/// The open withdrawals of a batch, oldest first.
pub async fn list_open(db: &impl ConnectionTrait, batch: WithdrawalBatchId) -> Result<Vec<Withdrawal>, DbErr> {
    let select = Entity::find()
        .filter(Column::BatchId.eq(batch))
        .filter(Column::Status.eq(Status::Approved.word()))
        .order_by_asc(Column::Id);
    select.all(db).await?.into_iter().map(Withdrawal::try_from).collect()
}

/// The withdrawals of an affiliate by this method and in this currency that were created from `since` on.
pub async fn list_since(
    db: &impl ConnectionTrait,
    affiliate_id: AffiliateId,
    method: &str,
    currency: Currency,
    since: Timestamp,
) -> Result<Vec<Withdrawal>, DbErr> {
    let select = Entity::find()
        .filter(Column::AffiliateId.eq(affiliate_id))
        .filter(Column::Method.eq(method))
        .filter(Column::Currency.eq(currency.to_string()))
        .filter(Column::Id.gte(floor_uuid(since)))
        .order_by_desc(Column::Id);
    select.all(db).await?.into_iter().map(Withdrawal::try_from).collect()
}

/// The progress of each of these batches.
pub async fn count_progress(
    db: &impl ConnectionTrait,
    batches: &[WithdrawalBatchId],
) -> Result<BTreeMap<WithdrawalBatchId, Progress>, DbErr> {
    let counts: Vec<(WithdrawalBatchId, String, i64)> = Entity::find()
        .select_only()
        .column(Column::BatchId)
        .column(Column::Status)
        .column_as(Column::Id.count(), "count")
        .filter(Column::BatchId.is_in(batches.iter().copied()))
        .group_by(Column::BatchId)
        .group_by(Column::Status)
        .into_tuple()
        .all(db)
        .await?;
    let mut progress = BTreeMap::<_, Progress>::new();
    for (batch, status, count) in counts {
        let progress = progress.entry(batch).or_default();
        match status.as_str() {
            "paid" => progress.paid = count,
            "failed" => progress.failed = count,
            "returned" => progress.returned = count,
            _ => progress.open += count,
        }
    }
    Ok(progress)
}

/// A filter of withdrawals. `None` matches any value.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    pub status: Option<String>,
    pub method: Option<String>,
    pub currency: Option<Currency>,
    pub batch_id: Option<WithdrawalBatchId>,
}

/// Indexes serve the affiliate, the status and the batch; method and currency are applied to a window of withdrawals.
pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Withdrawal>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(status) = filter.status {
        select = select.filter(Column::Status.eq(status));
    }
    if let Some(batch) = filter.batch_id {
        select = select.filter(Column::BatchId.eq(batch));
    }
    let window = match filter.method.is_some() || filter.currency.is_some() {
        true => Window::of(db, select.clone(), Column::Id, page).await?,
        false => Window::unrestricted(page),
    };
    if let Some(method) = filter.method {
        select = select.filter(Column::Method.eq(method));
    }
    if let Some(currency) = filter.currency {
        select = select.filter(Column::Currency.eq(currency.to_string()));
    }
    let found = page::fetch(db, select, Column::Id, |row| row.id.0, window.page).await?;
    window.close(found).try_map(Withdrawal::try_from)
}
