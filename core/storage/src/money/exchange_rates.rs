//! Queries of exchange rates. Rates are inserted and never changed, so that past exchanges stay traceable.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use uuid::Uuid;

use crate::base::bulk::Rows;
use crate::base::page::{Page, PageRequest};
use crate::corrupt;
use domain::amounts::Currency;
use domain::ids::ExchangeRateId;
use domain::money::exchange::ExchangeRate;
use domain::timestamp::Timestamp;

/// Inserts a rate. Returns false if a rate for the same currencies and time exists.
pub async fn insert(db: &impl ConnectionTrait, rate: &ExchangeRate) -> Result<bool, DbErr> {
    let sql = "INSERT INTO exchange_rates (id, from_currency, to_currency, valid_from, rate, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (from_currency, to_currency, valid_from) DO NOTHING";
    let values = [
        rate.id.into(),
        rate.from.to_string().into(),
        rate.to.to_string().into(),
        rate.valid_from.into(),
        rate.rate.to_string().into(),
        rate.created_at.into(),
    ];
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(done.rows_affected() == 1)
}

/// The rate that is valid at `at`.
pub async fn find(
    db: &impl ConnectionTrait,
    from: Currency,
    to: Currency,
    at: Timestamp,
) -> Result<Option<ExchangeRate>, DbErr> {
    let sql = "SELECT * FROM exchange_rates WHERE from_currency = $1 AND to_currency = $2 AND valid_from <= $3
         ORDER BY valid_from DESC LIMIT 1";
    let values = [from.to_string().into(), to.to_string().into(), at.into()];
    let row = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn find_many(
    db: &impl ConnectionTrait,
    ids: &BTreeSet<ExchangeRateId>,
) -> Result<BTreeMap<ExchangeRateId, ExchangeRate>, DbErr> {
    let sql = "WITH wanted (id) AS ({rows})
         SELECT exchange_rates.* FROM wanted JOIN exchange_rates ON exchange_rates.id = wanted.id";
    let found = Rows::ids(ids.iter().copied()).query(db, sql, vec![]).await?;
    found.iter().map(|row| read(row).map(|rate| (rate.id, rate))).collect()
}

/// Rates, the last inserted first.
pub async fn list(db: &impl ConnectionTrait, page: PageRequest) -> Result<Page<ExchangeRate>, DbErr> {
    let sql = "SELECT * FROM exchange_rates WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT $3";
    let (before, oldest) = (page.before.unwrap_or(Uuid::max()), page.oldest.unwrap_or_default());
    let values = [before.into(), oldest.into(), (page.limit as i64 + 1).into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    let more = rows.len() as u64 > page.limit;
    let items: Vec<_> = rows.iter().take(page.limit as usize).map(read).collect::<Result<_, _>>()?;
    let next = items.last().filter(|_| more).map(|it| it.id.0);
    Ok(Page { items, next })
}

fn read(row: &QueryResult) -> Result<ExchangeRate, DbErr> {
    fn parsed<T: std::str::FromStr>(row: &QueryResult, column: &str) -> Result<T, DbErr> {
        let text: String = row.try_get("", column)?;
        text.parse().map_err(|_| corrupt("exchange_rates", format_args!("{column} {text}")))
    }
    Ok(ExchangeRate {
        id: row.try_get("", "id")?,
        from: parsed(row, "from_currency")?,
        to: parsed(row, "to_currency")?,
        rate: parsed(row, "rate")?,
        valid_from: row.try_get("", "valid_from")?,
        created_at: row.try_get("", "created_at")?,
    })
}
