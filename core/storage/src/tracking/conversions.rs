//! Queries of conversions.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QuerySelect, Statement,
};

use crate::base::bulk::{Rows, Type};
use crate::base::database::for_update;
use crate::base::page::{self, Page, PageRequest, Window};
use crate::{corrupt, from_json, json, model};
use domain::amounts::{Amount, Money};
use domain::ids::{AffiliateId, ClickId, ConversionId, LinkId, OfferId};
use domain::tracking::attribution::{Evidence, Trace};
use domain::tracking::conversion::{
    Buyer, Conversion, Reporter, Status, key_number, keys_of_name_spaces, tester_in, transaction_id_in,
};
use domain::tracking::email_hash::EmailHash;
use row::{Column, Entity, Model};

use super::clicks::Touch;

/// A row of `conversions`.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, ClickId, ConversionId, LinkId, OfferId, SourceId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "conversions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: ConversionId,
        pub offer_id: OfferId,
        pub transaction_id: String,
        pub revision: i32,
        pub status: String,
        pub rejection_reason: Option<String>,
        pub affiliate_id: AffiliateId,
        pub link_id: Option<LinkId>,
        pub click_id: Option<ClickId>,
        pub attributed_by: String,
        pub goal: Option<String>,
        pub sale_micros: Option<i64>,
        pub sale_currency: Option<String>,
        pub payout_micros: Option<i64>,
        pub payout_currency: Option<String>,
        pub revenue_micros: Option<i64>,
        pub revenue_currency: Option<String>,
        pub customer_name: Option<String>,
        pub customer_email: Option<String>,
        pub plan_name: Option<String>,
        pub plan_price_micros: Option<i64>,
        pub purchase_id: Option<String>,
        pub purchase_date: Option<Timestamp>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
        pub source_id: Option<SourceId>,
        pub self_reported: bool,
        pub customer_id: Option<String>,
        pub customer_key: Option<i64>,
        /// JSON text.
        pub attribution: Option<String>,
        /// [`EmailHash::key`](domain::tracking::email_hash::EmailHash::key); NULL in rows of earlier releases.
        pub customer_email_key: Option<i64>,
        /// Whether the transaction key is in the name space of a tester.
        pub test: bool,
        pub rejection_note: Option<String>,
        /// The source that numbers it, if another source uses the same transaction id for another click; else empty.
        pub numbered_by: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn money(micros: Option<i64>, currency: Option<String>) -> Option<Money> {
    Some(Money { micros: micros?, currency: currency?.parse().ok()? })
}

fn micros(money: Option<Money>) -> Option<i64> {
    money.map(|money| money.micros)
}

fn currency(money: Option<Money>) -> Option<String> {
    money.map(|money| money.currency.to_string())
}

/// The JSON text of `attribution`; `None` if there is nothing to store.
fn trace(conversion: &Conversion) -> Option<String> {
    (conversion.trace != Trace::default()).then(|| json(&conversion.trace))
}

fn status(word: &str, reason: Option<&str>) -> Result<Status, DbErr> {
    Status::from_parts(word, reason).ok_or_else(|| corrupt("conversions", format_args!("status {word}")))
}

impl TryFrom<Model> for Conversion {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            offer_id: row.offer_id,
            transaction_id: transaction_id_in(&row.transaction_id).to_owned(),
            test: tester_in(&row.transaction_id),
            revision: row.revision,
            status: status(&row.status, row.rejection_reason.as_deref())?,
            affiliate_id: row.affiliate_id,
            link_id: row.link_id,
            click_id: row.click_id,
            attributed_by: Evidence::from_word(&row.attributed_by)
                .ok_or_else(|| corrupt("conversions", format_args!("evidence {}", row.attributed_by)))?,
            trace: row.attribution.map_or(Ok(Trace::default()), |text| from_json("conversions", &text))?,
            goal: row.goal,
            sale: money(row.sale_micros, row.sale_currency),
            payout: money(row.payout_micros, row.payout_currency),
            revenue: money(row.revenue_micros, row.revenue_currency),
            rejection_note: row.rejection_note,
            numbered_apart: !row.numbered_by.is_empty(),
            buyer: Buyer {
                customer_id: row.customer_id,
                customer_name: row.customer_name,
                customer_email: row.customer_email,
                plan_name: row.plan_name,
                plan_price: row.plan_price_micros.and_then(Amount::from_micros),
                purchase_id: row.purchase_id,
                purchase_date: row.purchase_date,
            },
            reporter: row.source_id.map(|source_id| Reporter { source_id, is_affiliate: row.self_reported }),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Locks all conversions with these keys (offer, transaction key), of any goal, until `tx` ends. Unknown keys are left out.
pub async fn lock_by_transaction(
    tx: &impl ConnectionTrait,
    keys: &BTreeSet<(OfferId, String)>,
) -> Result<Vec<Conversion>, DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Text]);
    for (offer_id, transaction_id) in keys {
        rows.push([(*offer_id).into(), transaction_id.clone().into()]);
    }
    let sql = format!(
        "WITH wanted (offer_id, transaction_id) AS ({{rows}})
         SELECT conversions.* FROM wanted JOIN conversions
         ON conversions.offer_id = wanted.offer_id AND conversions.transaction_id = wanted.transaction_id{}",
        of_conversions(tx)
    );
    rows.query(tx, &sql, vec![]).await?.iter().map(|row| model::<Entity>(row)?.try_into()).collect()
}

/// Locks these conversions until `tx` ends. Unknown ids are left out.
pub async fn lock_many(tx: &impl ConnectionTrait, ids: &BTreeSet<ConversionId>) -> Result<Vec<Conversion>, DbErr> {
    let sql = format!(
        "WITH wanted (id) AS ({{rows}})
         SELECT conversions.* FROM wanted JOIN conversions ON conversions.id = wanted.id{}",
        of_conversions(tx)
    );
    let found = Rows::ids(ids.iter().copied()).query(tx, &sql, vec![]).await?;
    found.iter().map(|row| model::<Entity>(row)?.try_into()).collect()
}

/// Finds these conversions. Unknown ids are left out.
pub async fn find_many(db: &impl ConnectionTrait, ids: &BTreeSet<ConversionId>) -> Result<Vec<Conversion>, DbErr> {
    let sql = "WITH wanted (id) AS ({rows})
         SELECT conversions.* FROM wanted JOIN conversions ON conversions.id = wanted.id";
    let found = Rows::ids(ids.iter().copied()).query(db, sql, vec![]).await?;
    found.iter().map(|row| model::<Entity>(row)?.try_into()).collect()
}

fn of_conversions(tx: &impl ConnectionTrait) -> String {
    match for_update(tx) {
        "" => String::new(),
        lock => format!("{lock} OF conversions"),
    }
}

/// Inserts conversions and returns the number of new rows. It is smaller if another node inserted the same transaction
/// first.
pub async fn insert(tx: &impl ConnectionTrait, conversions: &[&Conversion]) -> Result<u64, DbErr> {
    use Type::{Big, Bool, Id, Int, Text};
    let mut rows = Rows::new(&[
        Id, Id, Text, Int, Text, Text, Id, Id, Id, Text, Text, Big, Text, Big, Text, Big, Text, Text, Text, Text, Big,
        Text, Big, Big, Big, Id, Bool, Text, Big, Text, Big, Bool, Text,
    ]);
    for conversion in conversions {
        rows.push([
            conversion.id.into(),
            conversion.offer_id.into(),
            conversion.transaction_key().into(),
            conversion.revision.into(),
            conversion.status.word().into(),
            conversion.status.reason().map(str::to_owned).into(),
            conversion.affiliate_id.into(),
            conversion.link_id.into(),
            conversion.click_id.into(),
            conversion.attributed_by.as_str().into(),
            conversion.goal.clone().into(),
            micros(conversion.sale).into(),
            currency(conversion.sale).into(),
            micros(conversion.payout).into(),
            currency(conversion.payout).into(),
            micros(conversion.revenue).into(),
            currency(conversion.revenue).into(),
            conversion.buyer.customer_name.clone().into(),
            conversion.buyer.customer_email.clone().into(),
            conversion.buyer.plan_name.clone().into(),
            conversion.buyer.plan_price.map(Amount::micros).into(),
            conversion.buyer.purchase_id.clone().into(),
            conversion.buyer.purchase_date.into(),
            conversion.created_at.into(),
            conversion.updated_at.into(),
            conversion.reporter.map(|reporter| reporter.source_id).into(),
            conversion.is_self_reported().into(),
            conversion.buyer.customer_id.clone().into(),
            conversion.customer_key().into(),
            trace(conversion).into(),
            conversion.buyer.customer_email.as_deref().map(|email| EmailHash::of(email).key()).into(),
            conversion.is_test().into(),
            conversion.numbered_by().into(),
        ]);
    }
    rows.execute(
        tx,
        "INSERT INTO conversions (id, offer_id, transaction_id, revision, status, rejection_reason, affiliate_id,
                 link_id, click_id, attributed_by, goal, sale_micros, sale_currency, payout_micros, payout_currency,
                 revenue_micros, revenue_currency, customer_name, customer_email, plan_name, plan_price_micros,
                 purchase_id, purchase_date, created_at, updated_at, source_id, self_reported,
                 customer_id, customer_key, attribution, customer_email_key, test, numbered_by) {rows}
             ON CONFLICT (transaction_id, offer_id, (coalesce(goal, '')), numbered_by) DO NOTHING",
        vec![],
    )
    .await
}

/// Saves the fields of conversions that can change: status, amounts, revision and trace.
pub async fn save(tx: &impl ConnectionTrait, conversions: &[&Conversion]) -> Result<(), DbErr> {
    use Type::{Big, Id, Int, Text};
    let mut rows = Rows::new(&[Id, Int, Text, Text, Text, Big, Text, Big, Text, Big, Text, Big, Text]);
    for conversion in conversions {
        rows.push([
            conversion.id.into(),
            conversion.revision.into(),
            conversion.status.word().into(),
            conversion.status.reason().map(str::to_owned).into(),
            conversion.rejection_note.clone().into(),
            micros(conversion.sale).into(),
            currency(conversion.sale).into(),
            micros(conversion.payout).into(),
            currency(conversion.payout).into(),
            micros(conversion.revenue).into(),
            currency(conversion.revenue).into(),
            conversion.updated_at.into(),
            trace(conversion).into(),
        ]);
    }
    rows.execute(
        tx,
        "WITH changed (id, revision, status, reason, note, sale, sale_in, payout, payout_in, revenue, revenue_in,
                 updated_at, trace)
             AS ({rows})
         UPDATE conversions SET revision = changed.revision, status = changed.status,
             rejection_reason = changed.reason, rejection_note = changed.note,
             sale_micros = changed.sale, sale_currency = changed.sale_in,
             payout_micros = changed.payout, payout_currency = changed.payout_in,
             revenue_micros = changed.revenue, revenue_currency = changed.revenue_in, updated_at = changed.updated_at,
             attribution = changed.trace
         FROM changed WHERE conversions.id = changed.id",
        vec![],
    )
    .await
    .map(drop)
}

/// The current revision and status of each of these conversions.
pub async fn find_statuses(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = ConversionId>,
) -> Result<HashMap<ConversionId, (i32, Status)>, DbErr> {
    let found = Rows::ids(ids)
        .query(
            db,
            "WITH wanted (id) AS ({rows})
             SELECT conversions.id, revision, status, rejection_reason
             FROM wanted JOIN conversions ON conversions.id = wanted.id",
            vec![],
        )
        .await?;
    found
        .iter()
        .map(|row| {
            let word: String = row.try_get("", "status")?;
            let reason: Option<String> = row.try_get("", "rejection_reason")?;
            Ok((row.try_get("", "id")?, (row.try_get("", "revision")?, status(&word, reason.as_deref())?)))
        })
        .collect()
}

pub async fn find(db: &impl ConnectionTrait, id: ConversionId) -> Result<Option<Conversion>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Conversion::try_from).transpose()
}

/// The conversion by which a customer is attributed.
#[derive(Clone, Copy, Debug)]
pub struct CustomerTouch {
    /// Its click, which may be deleted by age.
    pub click_id: ClickId,
    pub affiliate_id: AffiliateId,
    pub link_id: Option<LinkId>,
}

/// For each customer key, the first or last conversion with a click that is not rejected.
pub async fn find_customers(
    db: &impl ConnectionTrait,
    customers: impl IntoIterator<Item = i64>,
    touch: Touch,
) -> Result<HashMap<i64, CustomerTouch>, DbErr> {
    let mut rows = Rows::new(&[Type::Big]);
    for customer in customers {
        rows.push([customer.into()]);
    }
    let order = match touch {
        Touch::First => "",
        Touch::Last => " DESC",
    };
    let sql = format!(
        "WITH wanted (customer_key) AS ({{rows}})
         SELECT wanted.customer_key AS customer_key, click_id, affiliate_id, link_id
         FROM wanted JOIN conversions ON conversions.id = (SELECT conversions.id FROM conversions
             WHERE conversions.customer_key = wanted.customer_key AND conversions.status <> 'rejected'
                 AND conversions.click_id IS NOT NULL
             ORDER BY conversions.id{order} LIMIT 1)"
    );
    let mut found = HashMap::new();
    for row in rows.query(db, &sql, vec![]).await? {
        let touch = CustomerTouch {
            click_id: row.try_get("", "click_id")?,
            affiliate_id: row.try_get("", "affiliate_id")?,
            link_id: row.try_get("", "link_id")?,
        };
        found.insert(row.try_get("", "customer_key")?, touch);
    }
    Ok(found)
}

/// Locks these numbers until the transaction ends, in their order. SQLite has one writer.
async fn lock_keys(tx: &impl ConnectionTrait, keys: &BTreeSet<i64>) -> Result<(), DbErr> {
    if tx.get_database_backend() == DbBackend::Postgres {
        for key in keys {
            let sql = "SELECT pg_advisory_xact_lock($1)";
            tx.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [(*key).into()])).await?;
        }
    }
    Ok(())
}

/// The conversions with these transaction keys that are not rejected, of any offer. Until the transaction ends, no other
/// one reads those of the same keys.
pub async fn list_orders(tx: &impl ConnectionTrait, keys: &BTreeSet<String>) -> Result<Vec<Conversion>, DbErr> {
    lock_keys(tx, &keys.iter().map(|key| key_number(key)).collect()).await?;
    let mut found = list_of_transactions(tx, keys).await?;
    found.retain(|it| it.status.reason().is_none());
    Ok(found)
}

/// The most payments of a customer that are counted.
const PAYMENTS_MAX: u32 = 1_001;

/// For each customer key and goal (in lower case), the number of conversions that are not rejected. Until the transaction ends, no other one
/// counts the payments of these customers.
pub async fn count_payments(
    tx: &impl ConnectionTrait,
    customers: BTreeSet<(i64, Option<String>)>,
) -> Result<HashMap<(i64, Option<String>), u32>, DbErr> {
    let mut found = HashMap::new();
    if customers.is_empty() {
        return Ok(found);
    }
    lock_keys(tx, &customers.iter().map(|(customer, _)| *customer).collect()).await?;
    let mut rows = Rows::new(&[Type::Big, Type::Text]);
    for (customer, goal) in customers {
        rows.push([customer.into(), goal.into()]);
    }
    let sql = format!(
        "WITH wanted (customer_key, goal) AS ({{rows}})
         SELECT customer_key, goal, (SELECT count(*) FROM (SELECT 1 FROM conversions
             WHERE conversions.customer_key = wanted.customer_key AND conversions.status <> 'rejected'
                 AND lower(coalesce(conversions.goal, '')) = coalesce(wanted.goal, '') LIMIT {PAYMENTS_MAX}) AS known) AS payments
         FROM wanted"
    );
    for row in rows.query(tx, &sql, vec![]).await? {
        let payments: i64 = row.try_get("", "payments")?;
        let key = (row.try_get("", "customer_key")?, row.try_get("", "goal")?);
        found.insert(key, u32::try_from(payments).unwrap_or(PAYMENTS_MAX));
    }
    Ok(found)
}

/// The most conversions of a transaction or click that are read.
const RELATED_MAX: u64 = 200;

/// Conversions with this transaction key, of any offer and goal.
pub async fn list_by_transaction(db: &impl ConnectionTrait, key: &str) -> Result<Vec<Conversion>, DbErr> {
    list_related(db, Column::TransactionId.eq(key)).await
}

/// Conversions with these transaction keys, of any offer and goal.
pub async fn list_of_transactions(
    db: &impl ConnectionTrait,
    keys: &BTreeSet<String>,
) -> Result<Vec<Conversion>, DbErr> {
    let mut rows = Rows::new(&[Type::Text]);
    for key in keys {
        rows.push([key.clone().into()]);
    }
    let sql = "WITH wanted (transaction_id) AS ({rows})
         SELECT conversions.* FROM wanted JOIN conversions ON conversions.transaction_id = wanted.transaction_id";
    rows.query(db, sql, vec![]).await?.iter().map(|row| model::<Entity>(row)?.try_into()).collect()
}

/// Conversions of an offer with these transaction keys, of any goal.
pub async fn list_by_transactions(
    db: &impl ConnectionTrait,
    offer: OfferId,
    keys: &[String],
) -> Result<Vec<Conversion>, DbErr> {
    let of_keys = Column::TransactionId.is_in(keys.iter().map(String::as_str)).and(Column::OfferId.eq(offer));
    let rows = Entity::find().filter(of_keys).all(db).await?;
    rows.into_iter().map(Conversion::try_from).collect()
}

/// Conversions of this click.
pub async fn list_by_click(db: &impl ConnectionTrait, click: ClickId) -> Result<Vec<Conversion>, DbErr> {
    list_related(db, Column::ClickId.eq(click)).await
}

async fn list_related(db: &impl ConnectionTrait, condition: Expr) -> Result<Vec<Conversion>, DbErr> {
    let rows = Entity::find().filter(condition).limit(RELATED_MAX).all(db).await?;
    rows.into_iter().map(Conversion::try_from).collect()
}

/// The ids of all conversions with this transaction id: those of the program, and those of affiliates' own sources and
/// tests, whose keys begin with it.
pub(crate) fn ids_of_transaction(backend: DbBackend, transaction_id: &str) -> SelectStatement {
    let key = match backend {
        DbBackend::Postgres => Expr::cust("transaction_id COLLATE \"C\""),
        _ => Expr::col(Column::TransactionId),
    };
    let (first, end) = keys_of_name_spaces(transaction_id);
    let in_name_space = |condition: &'static str| {
        Query::select()
            .column(Column::Id)
            .from(Entity)
            .and_where(Expr::cust(condition))
            .and_where(key.clone().gte(first.as_str()).and(key.clone().lt(end.as_str())))
            .to_owned()
    };
    Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Expr::col(Column::TransactionId).eq(transaction_id))
        .union(UnionType::Distinct, in_name_space("self_reported"))
        .union(UnionType::Distinct, in_name_space(TESTS))
        .to_owned()
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    pub offer_id: Option<OfferId>,
    pub click_id: Option<ClickId>,
    pub status: Option<&'static str>,
    pub transaction_id: Option<String>,
    /// The advertiser's own id of the customer.
    pub customer_id: Option<String>,
    pub customer_email: Option<EmailHash>,
    /// Only test conversions, or only real ones.
    pub test: Option<bool>,
}

/// The condition of test conversions, in the words of their index.
const TESTS: &str = "test";

/// The condition of test conversions or of real ones.
pub(crate) fn is_test(test: bool) -> Expr {
    Expr::cust(if test { TESTS } else { "NOT test" })
}

/// The condition of rows of test conversions or of others; `column` has their conversion. Test conversions are few, and
/// an index has them.
pub(crate) fn is_of_test(column: impl ColumnTrait, test: bool) -> Condition {
    let tests = Query::select().column(Column::Id).from(Entity).and_where(is_test(true)).to_owned();
    match test {
        true => Condition::all().add(column.in_subquery(tests)),
        false => Condition::any().add(column.is_null()).add(column.not_in_subquery(tests)),
    }
}

/// Those of these conversions that are tests.
pub async fn find_tests(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = ConversionId>,
) -> Result<HashSet<ConversionId>, DbErr> {
    let sql = "WITH wanted (id) AS ({rows})
         SELECT conversions.id AS id FROM wanted JOIN conversions ON conversions.id = wanted.id WHERE conversions.test";
    let found = Rows::ids(ids).query(db, sql, vec![]).await?;
    found.iter().map(|row| row.try_get("", "id")).collect()
}

/// Indexes serve all filters but offer and status, which are applied to a window of conversions.
pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Conversion>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(id) = filter.click_id {
        // With a subquery, SQLite uses the index of clicks together with that of affiliates.
        let of_click = Query::select().column(Column::Id).from(Entity).and_where(Column::ClickId.eq(id)).to_owned();
        select = select.filter(Column::Id.in_subquery(of_click));
    }
    if let Some(id) = filter.transaction_id {
        select = select.filter(Column::Id.in_subquery(ids_of_transaction(db.get_database_backend(), &id)));
    }
    if let Some(id) = filter.customer_id {
        select = select.filter(Column::CustomerId.eq(id));
    }
    if let Some(hash) = filter.customer_email {
        select = select.filter(Column::CustomerEmailKey.eq(hash.key()));
    }
    if let Some(test) = filter.test {
        select = select.filter(is_test(test));
    }
    let indexed = select.clone();
    if let Some(id) = filter.offer_id {
        select = select.filter(Column::OfferId.eq(id));
    }
    if let Some(status) = filter.status {
        select = select.filter(Column::Status.eq(status));
    }
    let window = match filter.offer_id.is_some() || filter.status.is_some() {
        true => Window::of(db, indexed, Column::Id, page).await?,
        false => Window::unrestricted(page),
    };
    let found = page::fetch(db, select, Column::Id, |row| row.id.0, window.page).await?;
    window.close(found).try_map(Conversion::try_from)
}

/// Adds the key of the e-mail address to up to `limit` conversions that have none, because an earlier release inserted
/// them. Returns their number.
pub async fn add_email_keys(db: &impl ConnectionTrait, limit: u64) -> Result<u64, DbErr> {
    let without = Entity::find()
        .select_only()
        .columns([Column::Id, Column::CustomerEmail])
        .filter(Column::CustomerEmail.is_not_null())
        .filter(Column::CustomerEmailKey.is_null())
        .limit(limit);
    let found: Vec<(ConversionId, String)> = without.into_tuple().all(db).await?;
    let mut rows = Rows::new(&[Type::Id, Type::Big]);
    for (id, email) in found {
        rows.push([id.into(), EmailHash::of(&email).key().into()]);
    }
    let sql = "WITH hashed (id, key) AS ({rows})
         UPDATE conversions SET customer_email_key = hashed.key FROM hashed WHERE conversions.id = hashed.id
             AND customer_email_key IS NULL";
    rows.execute(db, sql, vec![]).await
}
