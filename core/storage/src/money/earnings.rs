//! Queries of earnings.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Statement};

use crate::base::bulk::{Rows, Type};
use crate::base::database::{for_update, skip_locked};
use crate::base::page::{self, Page, PageRequest, Window};
use crate::{corrupt, model};
use domain::amounts::{Currency, Money};
use domain::ids::{AffiliateId, ConversionId, EarningId};
use domain::money::earning::{Earning, EarningKind, EarningState};
use domain::money::release;
use domain::program::sub_affiliate::Commission;
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

use super::sums;

/// A row of `earnings`. `micros` is the part of `earned_micros` that is not reversed.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, ConversionId, EarningId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "earnings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: EarningId,
        pub affiliate_id: AffiliateId,
        pub kind: String,
        pub conversion_id: Option<ConversionId>,
        pub sub_affiliate_id: Option<AffiliateId>,
        pub level: i32,
        pub percent: Option<String>,
        pub paid_by_sub_affiliate: bool,
        pub currency: String,
        pub earned_micros: i64,
        pub micros: i64,
        pub state: String,
        pub release_at: Timestamp,
        pub released_at: Option<Timestamp>,
        pub retry_at: Option<Timestamp>,
        pub reason: Option<String>,
        pub created_by: Option<String>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Earning {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |what: &str| corrupt("earnings", format_args!("a {what} of earning {}", row.id));
        let percent = row.percent.as_deref().map(|text| text.parse().map_err(|_| bad("percent"))).transpose()?;
        Ok(Self {
            id: row.id,
            affiliate_id: row.affiliate_id,
            kind: EarningKind::from_word(&row.kind).ok_or_else(|| bad("kind"))?,
            conversion_id: row.conversion_id,
            sub_affiliate_id: row.sub_affiliate_id,
            commission: percent.map(|percent| Commission {
                affiliate_id: row.affiliate_id,
                level: row.level,
                percent,
                paid_by_sub_affiliate: row.paid_by_sub_affiliate,
            }),
            earned: Money { micros: row.earned_micros, currency: row.currency.parse().map_err(|_| bad("currency"))? },
            left: row.micros,
            state: EarningState::from_word(&row.state).ok_or_else(|| bad("state"))?,
            release_at: row.release_at,
            released_at: row.released_at,
            retry_at: row.retry_at,
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

pub async fn insert(tx: &impl ConnectionTrait, earnings: &[Earning]) -> Result<(), DbErr> {
    use Type::{Big, Bool, Id, Int, Text};
    let mut rows =
        Rows::new(&[Id, Id, Text, Id, Id, Int, Text, Bool, Text, Big, Big, Text, Big, Big, Big, Text, Text, Big, Big]);
    for earning in earnings {
        rows.push([
            earning.id.into(),
            earning.affiliate_id.into(),
            earning.kind.as_str().into(),
            earning.conversion_id.into(),
            earning.sub_affiliate_id.into(),
            earning.commission.map_or(0, |it| it.level).into(),
            earning.commission.map(|it| it.percent.to_string()).into(),
            earning.commission.is_some_and(|it| it.paid_by_sub_affiliate).into(),
            earning.earned.currency.to_string().into(),
            earning.earned.micros.into(),
            earning.left.into(),
            earning.state.as_str().into(),
            earning.release_at.into(),
            earning.released_at.into(),
            earning.retry_at.into(),
            earning.reason.clone().into(),
            earning.created_by.clone().into(),
            earning.created_at.into(),
            earning.updated_at.into(),
        ]);
    }
    rows.execute(
        tx,
        "INSERT INTO earnings (id, affiliate_id, kind, conversion_id, sub_affiliate_id, level, percent, paid_by_sub_affiliate, currency,
             earned_micros, micros, state, release_at, released_at, retry_at, reason, created_by, created_at, updated_at) {rows}",
        vec![],
    )
    .await
    .map(drop)
}

/// Saves the fields of earnings that can change: what is left, state and times.
pub async fn save(tx: &impl ConnectionTrait, earnings: &[&Earning]) -> Result<(), DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Big, Type::Text, Type::Big, Type::Big, Type::Big]);
    for earning in earnings {
        rows.push([
            earning.id.into(),
            earning.left.into(),
            earning.state.as_str().into(),
            earning.released_at.into(),
            earning.retry_at.into(),
            earning.updated_at.into(),
        ]);
    }
    rows.execute(
        tx,
        "WITH changed (id, micros, state, released_at, retry_at, updated_at) AS ({rows})
         UPDATE earnings SET micros = changed.micros, state = changed.state, released_at = changed.released_at,
             retry_at = changed.retry_at, updated_at = changed.updated_at
         FROM changed WHERE earnings.id = changed.id",
        vec![],
    )
    .await
    .map(drop)
}

/// The commissions of a parent affiliate from each of these sub-affiliates, less reversals, in micros.
pub async fn sum_by_sub_affiliate(
    db: &impl ConnectionTrait,
    parent: AffiliateId,
    sub_affiliates: impl IntoIterator<Item = AffiliateId>,
) -> Result<HashMap<AffiliateId, Vec<(Currency, i128)>>, DbErr> {
    let sql = format!(
        "WITH wanted (id) AS ({{rows}})
         SELECT earnings.sub_affiliate_id AS sub_affiliate_id, earnings.currency AS currency, {}
         FROM wanted JOIN earnings ON earnings.sub_affiliate_id = wanted.id AND earnings.affiliate_id = {{1}}
         GROUP BY earnings.sub_affiliate_id, earnings.currency ORDER BY earnings.currency",
        sums::of("earnings.micros")
    );
    let mut found = HashMap::<_, Vec<_>>::new();
    for row in Rows::ids(sub_affiliates).query(db, &sql, vec![parent.into()]).await? {
        let currency: String = row.try_get("", "currency")?;
        let currency = currency.parse().map_err(|_| corrupt("earnings", format_args!("currency {currency}")))?;
        found.entry(row.try_get("", "sub_affiliate_id")?).or_default().push((currency, sums::read(&row)?));
    }
    Ok(found)
}

/// Locks all earnings of these conversions until `tx` ends. Oldest first.
pub async fn lock_of_conversions(
    tx: &impl ConnectionTrait,
    conversions: &BTreeSet<ConversionId>,
) -> Result<HashMap<ConversionId, Vec<Earning>>, DbErr> {
    let of_earnings = match for_update(tx) {
        "" => " ORDER BY earnings.id".to_owned(),
        lock => format!(" ORDER BY earnings.id{lock} OF earnings"),
    };
    let sql = format!(
        "WITH wanted (id) AS ({{rows}})
         SELECT earnings.* FROM wanted JOIN earnings ON earnings.conversion_id = wanted.id{of_earnings}"
    );
    let mut found = HashMap::<_, Vec<Earning>>::new();
    for row in Rows::ids(conversions.iter().copied()).query(tx, &sql, vec![]).await? {
        let earning: Earning = model::<Entity>(&row)?.try_into()?;
        if let Some(conversion) = earning.conversion_id {
            found.entry(conversion).or_default().push(earning);
        }
    }
    Ok(found)
}

/// The time of the next try to release an earning: the end of its hold, or the time to which it is deferred. The same
/// expression as in the index `earnings_to_release`.
const DUE_AT: &str = "COALESCE(retry_at, release_at)";

/// Locks due earnings of one affiliate or of all, oldest first. Leaves out rows that another process has locked.
pub async fn lock_due(
    tx: &impl ConnectionTrait,
    affiliate: Option<AffiliateId>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Earning>, DbErr> {
    let (of_affiliate, lock) = (affiliate.map_or("", |_| " AND affiliate_id = $3"), skip_locked(tx));
    let sql = format!(
        "SELECT * FROM earnings WHERE state = 'pending' AND {DUE_AT} <= $1{of_affiliate} ORDER BY {DUE_AT}, id LIMIT $2{lock}"
    );
    let values = [now.into(), (limit as i64).into()].into_iter().chain(affiliate.map(Into::into));
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    tx.query_all_raw(statement).await?.iter().map(|row| model::<Entity>(row)?.try_into()).collect()
}

/// The affiliates of the first due earnings.
pub async fn list_due_affiliates(
    db: &impl ConnectionTrait,
    limit: usize,
    now: Timestamp,
) -> Result<BTreeSet<AffiliateId>, DbErr> {
    let sql = format!(
        "SELECT affiliate_id FROM earnings WHERE state = 'pending' AND {DUE_AT} <= $1 ORDER BY {DUE_AT}, id LIMIT $2"
    );
    let values = [now.into(), (limit as i64).into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    rows.iter().map(|row| row.try_get("", "affiliate_id")).collect()
}

/// Defers all due earnings of an affiliate, as [`release::retry_at`] does for one earning. Reads no row, because a row
/// that cannot be read may be the cause.
pub async fn defer_due(db: &impl ConnectionTrait, affiliate: AffiliateId, now: Timestamp) -> Result<u64, DbErr> {
    let sql = format!(
        "UPDATE earnings SET retry_at = $1 + CASE WHEN $1 - release_at < $3 THEN $3 WHEN $1 - release_at > $4 THEN $4
             ELSE $1 - release_at END
         WHERE affiliate_id = $2 AND state = 'pending' AND {DUE_AT} <= $1"
    );
    let millis = |wait: Duration| wait.as_millis() as i64;
    let values = [now.into(), affiliate.into(), millis(release::RETRY_MIN).into(), millis(release::RETRY_MAX).into()];
    Ok(db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?.rows_affected())
}

/// The time of the next try to release an earning.
pub async fn find_next_release(db: &impl ConnectionTrait) -> Result<Option<Timestamp>, DbErr> {
    let sql = format!("SELECT {DUE_AT} AS due_at FROM earnings WHERE state = 'pending' ORDER BY {DUE_AT}, id LIMIT 1");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    row.map(|row| row.try_get("", "due_at")).transpose()
}

/// The pending earning of an affiliate in a currency whose hold ends first.
pub async fn find_next_of(
    db: &impl ConnectionTrait,
    affiliate: AffiliateId,
    currency: Currency,
) -> Result<Option<Earning>, DbErr> {
    let sql = "SELECT * FROM earnings WHERE affiliate_id = $1 AND currency = $2 AND state = 'pending'
         ORDER BY release_at LIMIT 1";
    let values = [affiliate.into(), currency.to_string().into()];
    let row = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    row.map(|row| model::<Entity>(&row)?.try_into()).transpose()
}

pub async fn find(db: &impl ConnectionTrait, id: EarningId) -> Result<Option<Earning>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Earning::try_from).transpose()
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    pub conversion_id: Option<ConversionId>,
    pub kind: Option<EarningKind>,
    pub state: Option<EarningState>,
    pub currency: Option<Currency>,
}

/// Indexes serve the affiliate, the conversion, and adjustments; other filters are applied to a window of earnings.
pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Earning>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(id) = filter.conversion_id {
        select = select.filter(Column::ConversionId.eq(id));
    }
    let kind = match filter.kind {
        Some(EarningKind::Adjustment) => {
            // As a literal, because a plan for any kind does not use the index of adjustments.
            select = select.filter(Expr::cust("kind = 'adjustment'"));
            None
        }
        other => other,
    };
    let window = match kind.is_some() || filter.state.is_some() || filter.currency.is_some() {
        true => Window::of(db, select.clone(), Column::Id, page).await?,
        false => Window::unrestricted(page),
    };
    if let Some(kind) = kind {
        select = select.filter(Column::Kind.eq(kind.as_str()));
    }
    if let Some(state) = filter.state {
        select = select.filter(Column::State.eq(state.as_str()));
    }
    if let Some(currency) = filter.currency {
        select = select.filter(Column::Currency.eq(currency.to_string()));
    }
    let found = page::fetch(db, select, Column::Id, |row| row.id.0, window.page).await?;
    window.close(found).try_map(Earning::try_from)
}
