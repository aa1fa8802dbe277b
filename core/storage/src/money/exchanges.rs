//! Queries of exchanges. Each exchange names its rate.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use crate::base::page::{self, Page, PageRequest};
use crate::corrupt;
use domain::amounts::{Currency, Money};
use domain::ids::{AffiliateId, ExchangeId, ExchangeRateId};
use domain::money::exchange::{Exchange, ExchangeRate};
use row::{ActiveModel, Column, Entity, Model};

use super::exchange_rates;

/// A row of `exchanges`. Rows are never changed.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, ExchangeId, ExchangeRateId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "exchanges")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: ExchangeId,
        pub affiliate_id: AffiliateId,
        pub rate_id: ExchangeRateId,
        pub taken_currency: String,
        pub taken_micros: i64,
        pub given_currency: String,
        pub given_micros: i64,
        pub created_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    /// Exchanges from or to this currency.
    pub currency: Option<Currency>,
}

pub async fn insert(tx: &impl ConnectionTrait, exchange: &Exchange) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(exchange.id),
        affiliate_id: Set(exchange.affiliate_id),
        rate_id: Set(exchange.rate.id),
        taken_currency: Set(exchange.taken.currency.to_string()),
        taken_micros: Set(exchange.taken.micros),
        given_currency: Set(exchange.given.currency.to_string()),
        given_micros: Set(exchange.given.micros),
        created_at: Set(exchange.at),
    };
    Entity::insert(row).exec_without_returning(tx).await.map(drop)
}

pub async fn find(db: &impl ConnectionTrait, id: ExchangeId) -> Result<Option<Exchange>, DbErr> {
    let Some(row) = Entity::find_by_id(id).one(db).await? else { return Ok(None) };
    let rates = exchange_rates::find_many(db, &BTreeSet::from([row.rate_id])).await?;
    read(row, &rates).map(Some)
}

pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Exchange>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(currency) = filter.currency.map(|it| it.to_string()) {
        let either = Condition::any().add(Column::TakenCurrency.eq(currency.as_str()));
        select = select.filter(either.add(Column::GivenCurrency.eq(currency)));
    }
    let page = page::fetch(db, select, Column::Id, |row| row.id.0, page).await?;
    let rates = exchange_rates::find_many(db, &page.items.iter().map(|row| row.rate_id).collect()).await?;
    page.try_map(|row| read(row, &rates))
}

fn read(row: Model, rates: &BTreeMap<ExchangeRateId, ExchangeRate>) -> Result<Exchange, DbErr> {
    let money = |micros: i64, currency: &str| match currency.parse() {
        Ok(currency) => Ok(Money { micros, currency }),
        Err(_) => Err(corrupt("exchanges", format_args!("currency {currency}"))),
    };
    let rate = rates.get(&row.rate_id).copied();
    Ok(Exchange {
        id: row.id,
        affiliate_id: row.affiliate_id,
        taken: money(row.taken_micros, &row.taken_currency)?,
        given: money(row.given_micros, &row.given_currency)?,
        rate: rate.ok_or_else(|| DbErr::RecordNotFound(format!("exchange rate {}", row.rate_id)))?,
        at: row.created_at,
    })
}
