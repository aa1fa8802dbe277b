//! Queries of raw clicks and conversions, which reports pack or count.

use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use crate::base::bulk::{Rows, Type};
use crate::{corrupt, from_json, json};
use domain::amounts::Money;
use domain::ids::{ClickId, ConversionId};
use domain::money::earning::{SecondTier, second_tier};
use domain::reports::packed::{BOT, CLICK, ConversionMeasures, Row, Status, UNIQUE};
use domain::reports::{Dimension, Scope, Values, Visit, cut};
use domain::tracking::action::Action;
use domain::tracking::click::Agent;

use super::statement;

/// A raw click, before its scope gets its number.
#[derive(Clone, Debug)]
pub struct RawClick {
    pub id: ClickId,
    pub scope: Scope,
    pub flags: u8,
    pub visit: Visit,
}

/// Up to `limit` clicks and impressions with ids between `after` and `before`, both excluded, ordered by id.
pub async fn list_raw_clicks(
    db: &impl ConnectionTrait,
    (after, before): (Uuid, Uuid),
    limit: usize,
) -> Result<Vec<RawClick>, DbErr> {
    let sql =
        "SELECT id, action, link_id, affiliate_id, offer_id, sub_ids, params, referrer, device, browser, os, country,
                   likely_bot, is_unique
               FROM clicks WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3";
    let values = vec![after.into(), before.into(), (limit as i64).into()];
    db.query_all_raw(statement(db, sql, values)).await?.iter().map(raw_click).collect()
}

fn raw_click(row: &QueryResult) -> Result<RawClick, DbErr> {
    let action: String = row.try_get("", "action")?;
    let (bot, unique): (bool, bool) = (row.try_get("", "likely_bot")?, row.try_get("", "is_unique")?);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    Ok(RawClick {
        id: row.try_get("", "id")?,
        scope: Scope {
            affiliate_id: row.try_get("", "affiliate_id")?,
            offer_id: row.try_get("", "offer_id")?,
            link_id: row.try_get("", "link_id")?,
        },
        flags: flag(action == Action::Click.as_str(), CLICK) | flag(unique, UNIQUE) | flag(bot, BOT),
        visit: visit(row)?,
    })
}

fn visit(row: &QueryResult) -> Result<Visit, DbErr> {
    let pairs = |column: &str| -> Result<Vec<(String, String)>, DbErr> {
        match row.try_get::<String>("", column)? {
            text if text == "[]" => Ok(Vec::new()),
            text => from_json("clicks", &text),
        }
    };
    let agent = Agent {
        device: row.try_get("", "device")?,
        browser: row.try_get("", "browser")?,
        os: row.try_get("", "os")?,
        likely_bot: false,
    };
    Ok(Visit {
        sub_ids: pairs("sub_ids")?,
        params: pairs("params")?,
        referrer: row.try_get("", "referrer")?,
        country: row.try_get("", "country")?,
        device: agent.device,
        browser: agent.browser,
        os: agent.os,
    })
}

/// A raw conversion, before its scope gets its number.
#[derive(Clone, Debug)]
pub struct RawConversion {
    pub id: ConversionId,
    pub revision: i32,
    pub scope: Scope,
    pub measures: ConversionMeasures,
    pub values: Values,
    /// The values of its visit are not stored in `report_visits` yet. They must be, because the click will be deleted.
    pub is_new: bool,
}

/// Up to `limit` conversions, without tests, with ids between `after` and `before`, both excluded, ordered by id.
pub async fn list_raw_conversions(
    db: &impl ConnectionTrait,
    (after, before): (Uuid, Uuid),
    limit: usize,
) -> Result<Vec<RawConversion>, DbErr> {
    let sql = "SELECT c.id AS id, c.revision AS revision, c.affiliate_id AS affiliate_id, c.offer_id AS offer_id,
                   c.link_id AS link_id, c.status AS status, c.self_reported AS self_reported, c.goal AS goal,
                   c.payout_micros AS payout_micros, c.payout_currency AS payout_currency,
                   c.revenue_micros AS revenue_micros, c.revenue_currency AS revenue_currency,
                   c.attribution AS attribution, v.facts AS facts,
                   k.sub_ids AS sub_ids, k.params AS params, k.referrer AS referrer, k.device AS device,
                   k.browser AS browser, k.os AS os, k.country AS country
               FROM conversions c LEFT JOIN report_visits v ON v.conversion_id = c.id
                   LEFT JOIN clicks k ON k.id = c.click_id AND v.conversion_id IS NULL
               WHERE c.id > $1 AND c.id < $2 AND NOT c.test ORDER BY c.id LIMIT $3";
    let values = vec![after.into(), before.into(), (limit as i64).into()];
    db.query_all_raw(statement(db, sql, values)).await?.iter().map(raw_conversion).collect()
}

fn raw_conversion(row: &QueryResult) -> Result<RawConversion, DbErr> {
    let money = |what: &str| -> Result<Option<Money>, DbErr> {
        let micros: Option<i64> = row.try_get("", &format!("{what}_micros"))?;
        let currency: Option<String> = row.try_get("", &format!("{what}_currency"))?;
        Ok(micros.zip(currency.and_then(|it| it.parse().ok())).map(|(micros, currency)| Money { micros, currency }))
    };
    let word: String = row.try_get("", "status")?;
    let facts: Option<String> = row.try_get("", "facts")?;
    let sub_ids: Option<String> = row.try_get("", "sub_ids")?;
    let mut values: Values = match &facts {
        Some(facts) => from_json("report_visits", facts)?,
        None if sub_ids.is_some() => visit(row)?.values(),
        None => Values::new(),
    };
    let is_new = facts.is_none() && sub_ids.is_some();
    let status = Status::from_word(&word).ok_or_else(|| corrupt("conversions", format_args!("status {word}")))?;
    let (payout, self_reported): (_, bool) = (money("payout")?, row.try_get("", "self_reported")?);
    let second_tier = match payout {
        Some(payout) if status == Status::Approved && !self_reported => second_tier_of(row, payout)?,
        _ => SecondTier::default(),
    };
    let goal: Option<String> = row.try_get("", "goal")?;
    values.extend(goal.map(|goal| (Dimension::Goal, cut(&goal))));
    Ok(RawConversion {
        id: row.try_get("", "id")?,
        revision: row.try_get("", "revision")?,
        scope: Scope {
            affiliate_id: row.try_get("", "affiliate_id")?,
            offer_id: row.try_get("", "offer_id")?,
            link_id: row.try_get("", "link_id")?,
        },
        measures: ConversionMeasures { status, self_reported, payout, revenue: money("revenue")?, second_tier },
        values,
        is_new,
    })
}

fn second_tier_of(row: &QueryResult, payout: Money) -> Result<SecondTier, DbErr> {
    let trace: Option<String> = row.try_get("", "attribution")?;
    // Most programs have no second tier, and then nothing must be parsed.
    match trace.filter(|text| text.contains("\"commissions\"")) {
        Some(text) => Ok(second_tier(payout, &from_json("conversions", &text)?)),
        None => Ok(SecondTier::default()),
    }
}

/// Inserts the values of the visits of conversions, which remain when the clicks are out of retention.
pub async fn insert_visits<'a>(
    tx: &impl ConnectionTrait,
    visits: impl Iterator<Item = (ConversionId, &'a Values)>,
) -> Result<(), DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Text]);
    for (conversion, values) in visits {
        let values: Vec<_> = values.iter().filter(|(dimension, _)| *dimension != Dimension::Goal).collect();
        rows.push([conversion.into(), json(&values).into()]);
    }
    let sql = "INSERT INTO report_visits (conversion_id, facts) {rows} ON CONFLICT (conversion_id) DO NOTHING";
    rows.execute(tx, sql, vec![]).await.map(drop)
}

/// The row of a click for packing. `scope` is the number of its scope.
pub fn row_of_click(scope: u32, click: RawClick) -> Row<u8> {
    Row { scope, measure: click.flags, values: click.visit.values() }
}

/// The row of a conversion for packing. `scope` is the number of its scope.
pub fn row_of_conversion(scope: u32, conversion: RawConversion) -> Row<ConversionMeasures> {
    Row { scope, measure: conversion.measures, values: conversion.values }
}
