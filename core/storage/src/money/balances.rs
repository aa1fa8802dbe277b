//! Queries of balances and statements. `ledger` writes them.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use uuid::Uuid;

use crate::base::bulk::{Rows, Type};
use crate::corrupt;
use domain::amounts::Currency;
use domain::ids::{AffiliateId, PostingId};
use domain::money::ledger::PostingKind;
use domain::money::statement::{AccountSums, ConversionLine, StatementLine};
use domain::tracking::conversion::transaction_id_in;

use super::sums;

/// The sums of these affiliates, in each currency with a balance or pending earnings.
pub async fn find(
    db: &impl ConnectionTrait,
    affiliates: &[AffiliateId],
) -> Result<BTreeMap<(AffiliateId, Currency), AccountSums>, DbErr> {
    let mut found = BTreeMap::<_, AccountSums>::new();
    let sql = "WITH wanted (id) AS ({rows})
         SELECT balances.* FROM wanted JOIN balances ON balances.affiliate_id = wanted.id";
    for row in Rows::ids(affiliates.iter().copied()).query(db, sql, vec![]).await? {
        let sums = found.entry(key(&row)?).or_default();
        let held = |account: &str| row.try_get::<i64>("", account).map(i128::from);
        sums.available = held("available")?;
        sums.withdrawing = held("withdrawing")?;
        sums.paid = held("paid")?;
        sums.debt = held("debt")?;
    }
    let sql = format!(
        "WITH wanted (id) AS ({{rows}})
         SELECT affiliate_id, currency, {}
         FROM wanted JOIN earnings ON earnings.affiliate_id = wanted.id AND earnings.state = 'pending'
         GROUP BY affiliate_id, currency",
        sums::of("micros")
    );
    for row in Rows::ids(affiliates.iter().copied()).query(db, &sql, vec![]).await? {
        found.entry(key(&row)?).or_default().pending = sums::read(&row)?;
    }
    Ok(found)
}

/// The debts for these keys, in micros. Keys without a debt are left out.
pub async fn find_debts(
    db: &impl ConnectionTrait,
    keys: impl IntoIterator<Item = (AffiliateId, Currency)>,
) -> Result<BTreeMap<(AffiliateId, Currency), i64>, DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Text]);
    for (affiliate, currency) in keys {
        rows.push([affiliate.into(), currency.to_string().into()]);
    }
    let sql = "WITH wanted (affiliate_id, currency) AS ({rows})
         SELECT DISTINCT balances.affiliate_id AS affiliate_id, balances.currency AS currency, balances.debt AS debt
         FROM wanted JOIN balances
             ON balances.affiliate_id = wanted.affiliate_id AND balances.currency = wanted.currency
         WHERE balances.debt > 0";
    rows.query(db, sql, vec![]).await?.iter().map(|row| Ok((key(row)?, row.try_get("", "debt")?))).collect()
}

fn key(row: &QueryResult) -> Result<(AffiliateId, Currency), DbErr> {
    let currency: String = row.try_get("", "currency")?;
    let currency = currency.parse().map_err(|_| corrupt("balances", format_args!("currency {currency}")))?;
    Ok((row.try_get("", "affiliate_id")?, currency))
}

/// The sums of all entries of earlier postings than `posting_id`.
pub async fn find_sums_before(
    db: &impl ConnectionTrait,
    affiliate: AffiliateId,
    currency: Currency,
    posting_id: Uuid,
) -> Result<AccountSums, DbErr> {
    let sql = format!(
        "SELECT account, {} FROM entries
         WHERE affiliate_id = $1 AND currency = $2 AND posting_id < $3 GROUP BY account",
        sums::of("micros")
    );
    let values = [affiliate.into(), currency.to_string().into(), posting_id.into()];
    let mut sums = AccountSums::default();
    for row in db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await? {
        sums.add(&row.try_get::<String>("", "account")?, sums::read(&row)?);
    }
    Ok(sums)
}

/// The next lines from the posting id `first` on and before `end`, oldest first, from at most `chunk` entries. Empty after the
/// last line.
pub async fn list_lines(
    db: &impl ConnectionTrait,
    affiliate: AffiliateId,
    currency: Currency,
    (first, end): (Uuid, Uuid),
    chunk: usize,
) -> Result<Vec<StatementLine>, DbErr> {
    let sql = "SELECT postings.id AS id, postings.kind AS kind, conversions.id AS conversion_id,
             postings.cause_id AS cause_id, postings.note AS note, postings.created_at AS created_at,
             entries.account AS account, entries.micros AS micros, conversions.affiliate_id AS affiliate_id,
             conversions.transaction_id AS transaction_id, conversions.rejection_reason AS rejection_reason,
             offers.name AS offer
         FROM entries JOIN postings ON postings.id = entries.posting_id
         LEFT JOIN earnings ON earnings.id = postings.cause_id AND postings.cause = 'earning'
         LEFT JOIN conversions ON conversions.id = COALESCE(postings.conversion_id, earnings.conversion_id)
         LEFT JOIN offers ON offers.id = conversions.offer_id
         WHERE entries.affiliate_id = $1 AND entries.currency = $2
             AND entries.posting_id >= $3 AND entries.posting_id < $4
         ORDER BY entries.posting_id LIMIT $5";
    let values = [affiliate.into(), currency.to_string().into(), first.into(), end.into(), (chunk as i64).into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    let whole = rows.len() < chunk;
    let mut lines: Vec<StatementLine> = Vec::new();
    for row in &rows {
        let id: PostingId = row.try_get("", "id")?;
        if lines.last().is_none_or(|line| line.posting_id != id) {
            lines.push(line(row, id)?);
        }
        let line = lines.last_mut().expect("it was just added");
        line.change.add(&row.try_get::<String>("", "account")?, row.try_get::<i64>("", "micros")?.into());
    }
    if !whole {
        // More entries of the last line can be in the next chunk.
        lines.pop();
    }
    Ok(lines)
}

fn line(row: &QueryResult, posting_id: PostingId) -> Result<StatementLine, DbErr> {
    let kind: String = row.try_get("", "kind")?;
    let transaction: Option<String> = row.try_get("", "transaction_id")?;
    let conversion = match transaction {
        None => None,
        Some(key) => Some(ConversionLine {
            id: row.try_get("", "conversion_id")?,
            affiliate_id: row.try_get("", "affiliate_id")?,
            transaction_id: transaction_id_in(&key).to_owned(),
            offer: row.try_get::<Option<String>>("", "offer")?.unwrap_or_default(),
            rejection_reason: row.try_get("", "rejection_reason")?,
        }),
    };
    Ok(StatementLine {
        posting_id,
        at: row.try_get("", "created_at")?,
        kind: PostingKind::from_word(&kind).ok_or_else(|| corrupt("postings", format_args!("kind {kind}")))?,
        conversion,
        cause_id: row.try_get("", "cause_id")?,
        note: row.try_get("", "note")?,
        change: AccountSums::default(),
    })
}
