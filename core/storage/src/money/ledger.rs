//! Postings with their entries, and the balances that result from them. Postings are inserted and never changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::base::bulk::{Rows, Type};
use crate::corrupt;
use domain::amounts::Currency;
use domain::ids::{AffiliateId, PostingId};
use domain::money::earning::Balances;
use domain::money::ledger::{Account, Balance, Cause, Posting};

/// Inserts postings, and adds their entries to the balances. A posting whose key exists is left out as a whole. Returns
/// the number of inserted postings. Callers lock the balances that change ([`lock_balances`]); pending money is in no
/// balance.
pub async fn post(tx: &impl ConnectionTrait, postings: &[Posting]) -> Result<usize, DbErr> {
    if postings.is_empty() {
        return Ok(0);
    }
    use Type::{Big, Id, Text};
    let mut rows = Rows::new(&[Id, Text, Text, Text, Id, Id, Text, Text, Big]);
    for posting in postings {
        posting.assert_balanced();
        let (cause, conversion_id, cause_id) = match posting.cause {
            Cause::Conversion(id) => ("conversion", Some(id.0), None),
            Cause::Earning(id) => ("earning", None, Some(id.0)),
            Cause::Withdrawal(id) => ("withdrawal", None, Some(id.0)),
            Cause::Exchange(id) => ("exchange", None, Some(id.0)),
        };
        rows.push([
            posting.id.into(),
            posting.key.clone().into(),
            posting.kind.as_str().into(),
            cause.into(),
            conversion_id.into(),
            cause_id.into(),
            posting.currency.to_string().into(),
            posting.note.clone().into(),
            posting.at.into(),
        ]);
    }
    let added = rows
        .execute(
            tx,
            "INSERT INTO postings (id, key, kind, cause, conversion_id, cause_id, currency, note, created_at) {rows}
             ON CONFLICT (key) DO NOTHING",
            vec![],
        )
        .await?;
    // The ids are read only if some postings existed already.
    let found = if added < postings.len() as u64 { Some(find_ids(tx, postings).await?) } else { None };
    let added_postings =
        || postings.iter().filter(|posting| found.as_ref().is_none_or(|found| found.contains(&posting.id)));

    let mut rows = Rows::new(&[Type::Id, Type::Int, Type::Text, Type::Id, Type::Text, Type::Big]);
    for posting in added_postings() {
        for (number, entry) in (0_i32..).zip(&posting.entries) {
            rows.push([
                posting.id.into(),
                number.into(),
                entry.account.name().into(),
                entry.account.affiliate_id().into(),
                posting.currency.to_string().into(),
                entry.micros.into(),
            ]);
        }
    }
    rows.execute(
        tx,
        "INSERT INTO entries (posting_id, number, account, affiliate_id, currency, micros) {rows}",
        vec![],
    )
    .await?;
    add_to_balances(tx, added_postings()).await?;
    Ok(added as usize)
}

/// The ids of these postings that are stored.
async fn find_ids(tx: &impl ConnectionTrait, postings: &[Posting]) -> Result<HashSet<PostingId>, DbErr> {
    let sql =
        "WITH wanted (id) AS ({rows}) SELECT postings.id AS id FROM wanted JOIN postings ON postings.id = wanted.id";
    let found = Rows::ids(postings.iter().map(|it| it.id)).query(tx, sql, vec![]).await?;
    found.iter().map(|row| row.try_get("", "id")).collect()
}

async fn add_to_balances(tx: &impl ConnectionTrait, postings: impl Iterator<Item = &Posting>) -> Result<(), DbErr> {
    let mut changes = BTreeMap::<(AffiliateId, Currency), Balance>::new();
    for posting in postings {
        for entry in &posting.entries {
            let Some(affiliate) = entry.account.affiliate_id() else { continue };
            let key = (affiliate, posting.currency);
            match entry.account {
                Account::Program | Account::Pending(_) => {}
                Account::Available(_) => changes.entry(key).or_default().available += entry.micros,
                Account::Withdrawing(_) => changes.entry(key).or_default().withdrawing += entry.micros,
                Account::Paid(_) => changes.entry(key).or_default().paid += entry.micros,
                Account::Debt(_) => changes.entry(key).or_default().debt -= entry.micros,
            }
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let held = changes.len() as u64;
    let mut rows = Rows::new(&[Type::Id, Type::Text, Type::Big, Type::Big, Type::Big, Type::Big]);
    for ((affiliate, currency), it) in changes {
        rows.push([
            affiliate.into(),
            currency.to_string().into(),
            it.available.into(),
            it.withdrawing.into(),
            it.paid.into(),
            it.debt.into(),
        ]);
    }
    let added = rows
        .execute(
            tx,
            "WITH changed (affiliate_id, currency, available, withdrawing, paid, debt) AS ({rows})
         UPDATE balances SET available = balances.available + changed.available,
             withdrawing = balances.withdrawing + changed.withdrawing, paid = balances.paid + changed.paid,
             debt = balances.debt + changed.debt
         FROM changed WHERE balances.affiliate_id = changed.affiliate_id AND balances.currency = changed.currency",
            vec![],
        )
        .await?;
    if added < held {
        return Err(DbErr::Custom("money was posted to a balance that is not locked".into()));
    }
    Ok(())
}

/// Locks a balance until `tx` ends. Inserts it if there is none.
pub async fn lock_balance(
    tx: &impl ConnectionTrait,
    affiliate: AffiliateId,
    currency: Currency,
) -> Result<Balance, DbErr> {
    let found = lock_balances(tx, &BTreeSet::from([(affiliate, currency)])).await?;
    Ok(found.get(&(affiliate, currency)).copied().unwrap_or_default())
}

/// Locks several balances, in the order of the keys, so that two transactions cannot deadlock. One statement inserts
/// missing balances and locks the others: the assignment that changes nothing is the lock.
pub async fn lock_balances(
    tx: &impl ConnectionTrait,
    keys: &BTreeSet<(AffiliateId, Currency)>,
) -> Result<Balances, DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Text]);
    for (affiliate, currency) in keys {
        rows.push([(*affiliate).into(), currency.to_string().into()]);
    }
    let locked = rows
        .query(
            tx,
            "WITH wanted (affiliate_id, currency) AS ({rows})
             INSERT INTO balances (affiliate_id, currency, available, withdrawing, paid, debt)
             SELECT affiliate_id, currency, 0, 0, 0, 0 FROM wanted WHERE true ORDER BY affiliate_id, currency
             ON CONFLICT (affiliate_id, currency) DO UPDATE SET debt = balances.debt
             RETURNING affiliate_id, currency, available, withdrawing, paid, debt",
            vec![],
        )
        .await?;
    locked.iter().map(balance).collect()
}

fn balance(row: &QueryResult) -> Result<((AffiliateId, Currency), Balance), DbErr> {
    let currency: String = row.try_get("", "currency")?;
    let currency = currency.parse().map_err(|_| corrupt("balances", format_args!("currency {currency}")))?;
    let balance = Balance {
        available: row.try_get("", "available")?,
        withdrawing: row.try_get("", "withdrawing")?,
        paid: row.try_get("", "paid")?,
        debt: row.try_get("", "debt")?,
    };
    Ok(((row.try_get("", "affiliate_id")?, currency), balance))
}
