//! Postings with their entries, and the balances that result from them. Postings are inserted and never changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use crate::base::bulk::{Rows, Type};
use crate::clock::Clock;
use crate::{Database, corrupt};
use domain::amounts::Currency;
use domain::ids::{AffiliateId, PostingId, floor_uuid, time_of};
use domain::money::ledger::{self, Account, Balance, Balances, Cause, Posting};
use domain::timestamp::Timestamp;

/// Numbers postings in their order, inserts them, and adds their entries to the balances. A posting whose key exists is
/// left out as a whole. Returns the number of inserted postings.
///
/// `locked` has the balance of every entry, as [`lock_balances`] returned it; also those of pending money, which is in
/// no balance. So the time, which is read here, is not before that of a posting of another transaction.
pub async fn post(
    tx: &impl ConnectionTrait,
    clock: &Clock,
    locked: &Balances,
    postings: &[Posting],
) -> Result<usize, DbErr> {
    if postings.is_empty() {
        return Ok(0);
    }
    let ids = ledger::number(postings, locked, clock.now()).map_err(|error| DbErr::Custom(error.to_string()))?;
    use Type::{Big, Id, Text};
    let mut rows = Rows::new(&[Id, Text, Text, Text, Id, Id, Text, Text, Big]);
    for (id, posting) in ids.iter().zip(postings) {
        posting.assert_balanced();
        let (cause, conversion_id, cause_id) = match posting.cause {
            Cause::Conversion(id) => ("conversion", Some(id.0), None),
            Cause::Earning(id) => ("earning", None, Some(id.0)),
            Cause::Withdrawal(id) => ("withdrawal", None, Some(id.0)),
            Cause::Exchange(id) => ("exchange", None, Some(id.0)),
        };
        rows.push([
            (*id).into(),
            posting.key.clone().into(),
            posting.kind.as_str().into(),
            cause.into(),
            conversion_id.into(),
            cause_id.into(),
            posting.currency.to_string().into(),
            posting.note.clone().into(),
            time_of(id.0).into(),
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
    let found = if added < postings.len() as u64 { Some(find_ids(tx, &ids).await?) } else { None };
    let added_postings =
        || ids.iter().zip(postings).filter(|(id, _)| found.as_ref().is_none_or(|found| found.contains(id)));

    let mut rows = Rows::new(&[Type::Id, Type::Int, Type::Text, Type::Id, Type::Text, Type::Big]);
    for (id, posting) in added_postings() {
        for (number, entry) in (0_i32..).zip(&posting.entries) {
            rows.push([
                (*id).into(),
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

/// The ids of stored postings among these.
async fn find_ids(tx: &impl ConnectionTrait, ids: &[PostingId]) -> Result<HashSet<PostingId>, DbErr> {
    let sql =
        "WITH wanted (id) AS ({rows}) SELECT postings.id AS id FROM wanted JOIN postings ON postings.id = wanted.id";
    let found = Rows::ids(ids.iter().copied()).query(tx, sql, vec![]).await?;
    found.iter().map(|row| row.try_get("", "id")).collect()
}

async fn add_to_balances(
    tx: &impl ConnectionTrait,
    postings: impl Iterator<Item = (&PostingId, &Posting)>,
) -> Result<(), DbErr> {
    let mut changes = BTreeMap::<(AffiliateId, Currency), (PostingId, Balance)>::new();
    for (id, posting) in postings {
        for entry in &posting.entries {
            let Some(affiliate) = entry.account.affiliate_id() else { continue };
            let (last, change) = changes.entry((affiliate, posting.currency)).or_insert((*id, Balance::default()));
            *last = *id;
            match entry.account {
                Account::Program | Account::Pending(_) => {}
                Account::Available(_) => change.available += entry.micros,
                Account::Withdrawing(_) => change.withdrawing += entry.micros,
                Account::Paid(_) => change.paid += entry.micros,
                Account::Debt(_) => change.debt -= entry.micros,
            }
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let held = changes.len() as u64;
    let mut rows = Rows::new(&[Type::Id, Type::Text, Type::Big, Type::Big, Type::Big, Type::Big, Type::Id]);
    for ((affiliate, currency), (last, it)) in changes {
        rows.push([
            affiliate.into(),
            currency.to_string().into(),
            it.available.into(),
            it.withdrawing.into(),
            it.paid.into(),
            it.debt.into(),
            last.into(),
        ]);
    }
    let added = rows
        .execute(
            tx,
            "WITH changed (affiliate_id, currency, available, withdrawing, paid, debt, last_posting) AS ({rows})
         UPDATE balances SET available = balances.available + changed.available,
             withdrawing = balances.withdrawing + changed.withdrawing, paid = balances.paid + changed.paid,
             debt = balances.debt + changed.debt, last_posting = changed.last_posting
         FROM changed WHERE balances.affiliate_id = changed.affiliate_id AND balances.currency = changed.currency",
            vec![],
        )
        .await?;
    if added < held {
        return Err(DbErr::Custom("money was posted to a balance that is not stored".into()));
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
             RETURNING affiliate_id, currency, available, withdrawing, paid, debt, last_posting",
            vec![],
        )
        .await?;
    locked.iter().map(balance).collect()
}

/// Returns when every posting before `at` is committed; later postings get a later time. `at` is not in the future.
pub async fn close(db: &Database, affiliate: AffiliateId, currency: Currency, at: Timestamp) -> Result<(), DbErr> {
    let end = PostingId(floor_uuid(at));
    let statement = |sql, end: Option<PostingId>| {
        let values = [affiliate.into(), currency.to_string().into()].into_iter().chain(end.map(Into::into));
        Statement::from_sql_and_values(db.reader().get_database_backend(), sql, values)
    };
    let sql = "SELECT last_posting FROM balances WHERE affiliate_id = $1 AND currency = $2";
    let stored = db.reader().query_one_raw(statement(sql, None)).await?;
    let last = stored.map(|row| row.try_get::<Option<PostingId>>("", "last_posting")).transpose()?.flatten();
    if last >= Some(end) {
        return Ok(());
    }
    // On SQLite this waits for the only writer, which has the same clock.
    let tx = db.begin().await?;
    if db.is_postgres() {
        // This waits for the lock of the balance. It is stored because the clock of another node may be behind.
        let sql = "UPDATE balances SET last_posting = $3
             WHERE affiliate_id = $1 AND currency = $2 AND (last_posting IS NULL OR last_posting < $3)";
        if tx.execute_raw(statement(sql, Some(end))).await?.rows_affected() > 0 {
            return tx.commit().await;
        }
        // A transaction that inserts the balance may be under way. The balance that this inserts is rolled back.
        lock_balance(&tx, affiliate, currency).await?;
    }
    tx.rollback().await
}

fn balance(row: &QueryResult) -> Result<((AffiliateId, Currency), Balance), DbErr> {
    let currency: String = row.try_get("", "currency")?;
    let currency = currency.parse().map_err(|_| corrupt("balances", format_args!("currency {currency}")))?;
    let balance = Balance {
        available: row.try_get("", "available")?,
        withdrawing: row.try_get("", "withdrawing")?,
        paid: row.try_get("", "paid")?,
        debt: row.try_get("", "debt")?,
        last_posting: row.try_get("", "last_posting")?,
    };
    Ok(((row.try_get("", "affiliate_id")?, currency), balance))
}
