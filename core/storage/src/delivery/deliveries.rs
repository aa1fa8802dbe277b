//! Queries of deliveries. A pending row that is due and not leased can be claimed by the sender.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QuerySelect, Select, Statement,
};
use uuid::Uuid;

use crate::base::bulk::{Rows, Type};
use crate::base::database::for_update;
use crate::base::page::{self, Page, PageRequest, Window};
use crate::base::queue::Queue;
use crate::base::search::contains_in_any_case;
use crate::tracking::{conversions, events};
use crate::{corrupt, model, readable};
use domain::delivery::answer::AnswerFilter;
use domain::delivery::delivery::{Delivery, DeliveryState, Reason};
use domain::delivery::lane::LaneId;
use domain::delivery::lease::Lease;
use domain::delivery::sending::decision::Sibling;
use domain::delivery::sending::state_change::StateChange;
use domain::ids::{AffiliateId, ClickId, ConversionId, DeliveryId, EventId, OfferId, PostbackId, floor_uuid, time_of};
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

use super::postbacks;

/// The resolution of ids.
const MILLISECOND: Duration = Duration::from_millis(1);

/// A row of `deliveries`.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, ConversionId, DeliveryId, EventId, PostbackId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "deliveries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: DeliveryId,
        pub event_id: EventId,
        pub postback_id: PostbackId,
        pub conversion_id: Option<ConversionId>,
        pub revision: i32,
        pub affiliate_id: AffiliateId,
        pub state: String,
        pub reason_code: Option<String>,
        pub reason: Option<String>,
        pub due_at: Timestamp,
        pub lease_until: Option<Timestamp>,
        pub claim: Option<i64>,
        pub attempts: i32,
        pub attempts_before_retry: i32,
        pub created_at: Timestamp,
        pub settled_at: Option<Timestamp>,
        pub waiting_for: Option<String>,
        pub waiting_rank: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Delivery {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            event_id: row.event_id,
            postback_id: row.postback_id,
            conversion_id: row.conversion_id,
            revision: row.revision,
            affiliate_id: row.affiliate_id,
            state: DeliveryState::from_word(&row.state)
                .ok_or_else(|| corrupt("deliveries", format_args!("state {}", row.state)))?,
            reason: row.reason_code.map(|code| Reason { code, sentence: row.reason.unwrap_or_default() }),
            due_at: row.due_at,
            lease_until: row.lease_until,
            attempts: row.attempts,
            attempts_before_retry: row.attempts_before_retry,
            created_at: row.created_at,
            settled_at: row.settled_at,
        })
    }
}

/// The queue of the sender.
pub const QUEUE: Queue =
    Queue { table: "deliveries", pending: "state = 'pending'", due: "AND due_at <= $3", order: "due_at" };

/// Inserts deliveries, leased ones with the token `claim`. The id is derived from event and postback, so a second
/// insert changes nothing. Returns the number of new rows.
pub async fn insert(
    tx: &impl ConnectionTrait,
    deliveries: impl IntoIterator<Item = &Delivery>,
    claim: Option<i64>,
) -> Result<u64, DbErr> {
    use Type::{Big, Id, Int, Text};
    let mut rows = Rows::new(&[Id, Id, Id, Id, Int, Id, Text, Big, Int, Int, Big, Big, Big, Text, Text, Big]);
    for delivery in deliveries {
        rows.push([
            delivery.id.into(),
            delivery.event_id.into(),
            delivery.postback_id.into(),
            delivery.conversion_id.into(),
            delivery.revision.into(),
            delivery.affiliate_id.into(),
            delivery.state.as_str().into(),
            delivery.due_at.into(),
            delivery.attempts.into(),
            delivery.attempts_before_retry.into(),
            delivery.created_at.into(),
            delivery.lease_until.into(),
            claim.filter(|_| delivery.lease_until.is_some()).into(),
            delivery.reason.as_ref().map(|reason| reason.code.clone()).into(),
            delivery.reason.as_ref().map(|reason| reason.sentence.clone()).into(),
            delivery.settled_at.into(),
        ]);
    }
    rows.execute(
        tx,
        "INSERT INTO deliveries (id, event_id, postback_id, conversion_id, revision, affiliate_id, state, due_at,
             attempts, attempts_before_retry, created_at, lease_until, claim, reason_code, reason, settled_at)
         {rows} ON CONFLICT (id) DO NOTHING",
        vec![],
    )
    .await
}

/// Claims up to `limit` due deliveries, the longest due first.
pub async fn claim(
    db: &DatabaseConnection,
    limit: usize,
    now: Timestamp,
    lease: Lease,
) -> Result<Vec<Delivery>, DbErr> {
    let rows = QUEUE.claim(db, limit, now, lease).await?;
    let mut claimed: Vec<Delivery> = readable("deliveries", &rows, |row| model::<Entity>(row)?.try_into());
    claimed.sort_unstable_by_key(|delivery| delivery.due_at);
    Ok(claimed)
}

/// The new state of a claimed delivery.
#[derive(Clone, Debug)]
pub struct Finish {
    pub id: DeliveryId,
    pub claim: i64,
    pub change: StateChange,
}

/// Stores the new states with one UPDATE and returns the ids of the rows that changed, with their postbacks. Rows whose claim has changed are
/// left alone.
///
/// Only pending rows have a claim, so the token is a sufficient guard. A condition on the state would make PostgreSQL
/// use the index of all pending rows instead of the primary key.
pub async fn finish(tx: &impl ConnectionTrait, finished: &[Finish]) -> Result<HashMap<DeliveryId, PostbackId>, DbErr> {
    use Type::{Big, Id, Int, Text};
    let mut rows = Rows::new(&[Id, Text, Text, Text, Big, Int, Big, Big]);
    for finish in finished {
        rows.push([
            finish.id.into(),
            finish.change.state.as_str().into(),
            finish.change.reason.as_ref().map(|reason| reason.code.clone()).into(),
            finish.change.reason.as_ref().map(|reason| reason.sentence.clone()).into(),
            finish.change.due_at.into(),
            finish.change.attempts.into(),
            finish.change.settled_at.into(),
            finish.claim.into(),
        ]);
    }
    let done = rows
        .query(
            tx,
            "WITH done (id, state, reason_code, reason, due_at, attempts, settled_at, claim) AS ({rows})
             UPDATE deliveries SET state = done.state, reason_code = done.reason_code, reason = done.reason,
                 due_at = done.due_at, attempts = done.attempts, settled_at = done.settled_at,
                 lease_until = NULL, claim = NULL, waiting_for = NULL, waiting_rank = NULL
             FROM done WHERE deliveries.id = done.id AND deliveries.claim = done.claim
             RETURNING deliveries.id AS id, deliveries.postback_id AS postback_id",
            vec![],
        )
        .await?;
    done.iter().map(|row| Ok((row.try_get("", "id")?, row.try_get("", "postback_id")?))).collect()
}

/// Every delivery of these conversions.
pub async fn list_siblings(
    db: &impl ConnectionTrait,
    conversions: &HashSet<ConversionId>,
) -> Result<Vec<Sibling>, DbErr> {
    let found = Rows::ids(conversions.iter().copied())
        .query(
            db,
            "WITH wanted (id) AS ({rows})
             SELECT deliveries.* FROM wanted JOIN deliveries ON deliveries.conversion_id = wanted.id",
            vec![],
        )
        .await?;
    let mut siblings = Vec::with_capacity(found.len());
    for row in &found {
        let row = model::<Entity>(row)?;
        let waits_in =
            row.waiting_for.as_deref().map(|lane| (LaneId::read(lane), row.waiting_rank.unwrap_or_default()));
        let delivery = Delivery::try_from(row)?;
        if let Some(conversion_id) = delivery.conversion_id {
            siblings.push(Sibling {
                id: delivery.id,
                postback_id: delivery.postback_id,
                conversion_id,
                revision: delivery.revision,
                state: delivery.state,
                due_at: delivery.due_at,
                lease_until: delivery.lease_until,
                waits_in,
            });
        }
    }
    Ok(siblings)
}

/// Every delivery of these conversions, of all postbacks or of those of one affiliate. The newest is first.
pub async fn list_of_conversions(
    db: &impl ConnectionTrait,
    conversions: impl IntoIterator<Item = ConversionId>,
    owner: Option<AffiliateId>,
) -> Result<Vec<Delivery>, DbErr> {
    let all = "WITH wanted (id) AS ({rows})
         SELECT deliveries.* FROM wanted JOIN deliveries ON deliveries.conversion_id = wanted.id";
    let rows = Rows::ids(conversions);
    let found = match owner {
        None => rows.query(db, all, vec![]).await?,
        Some(owner) => {
            let own = format!(
                "{all} JOIN postbacks ON postbacks.id = deliveries.postback_id
                 WHERE postbacks.owner_affiliate_id = {{1}}"
            );
            rows.query(db, &own, vec![owner.into()]).await?
        }
    };
    let mut deliveries: Vec<Delivery> = readable("deliveries", &found, |row| model::<Entity>(row)?.try_into());
    deliveries.sort_by_key(|it| std::cmp::Reverse(it.id));
    Ok(deliveries)
}

/// When the next delivery without a claim is due.
pub async fn find_next_due(db: &impl ConnectionTrait) -> Result<Option<Timestamp>, DbErr> {
    let sql = "SELECT due_at FROM deliveries WHERE state = 'pending' AND claim IS NULL ORDER BY due_at LIMIT 1";
    let found = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    found.map(|row| row.try_get("", "due_at")).transpose()
}

/// The number of due deliveries, and the earliest due time.
pub async fn backlog(db: &impl ConnectionTrait, now: Timestamp) -> Result<(i64, Option<Timestamp>), DbErr> {
    let sql =
        "SELECT count(*) AS depth, min(due_at) AS oldest FROM deliveries WHERE state = 'pending' AND due_at <= $1";
    let found = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [now.into()])).await?;
    found.map_or(Ok((0, None)), |row| Ok((row.try_get("", "depth")?, row.try_get("", "oldest")?)))
}

/// The lock is held until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: DeliveryId) -> Result<Option<Delivery>, DbErr> {
    let sql = format!("SELECT * FROM deliveries WHERE id = $1{}", for_update(tx));
    let found = tx.query_one_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, [id.into()])).await?;
    found.map(|row| model::<Entity>(&row)?.try_into()).transpose()
}

/// Locks deliveries in the order of their ids, so that two lockers cannot wait for each other. The locks are held until
/// `tx` ends.
pub async fn lock_many(tx: &impl ConnectionTrait, ids: &[DeliveryId]) -> Result<Vec<Delivery>, DbErr> {
    let sql = format!(
        "WITH wanted (id) AS ({{rows}})
         SELECT deliveries.* FROM wanted JOIN deliveries ON deliveries.id = wanted.id ORDER BY deliveries.id{}",
        for_update(tx)
    );
    let found = Rows::ids(ids.iter().copied()).query(tx, &sql, vec![]).await?;
    found.iter().map(|row| model::<Entity>(row)?.try_into()).collect()
}

/// Saves a manual retry. A lease on the row stays.
pub async fn save_retry(tx: &impl ConnectionTrait, delivery: &Delivery) -> Result<(), DbErr> {
    let sql = "UPDATE deliveries SET state = $1, reason_code = NULL, reason = NULL, settled_at = NULL, due_at = $2,
                   attempts_before_retry = $3, waiting_for = NULL, waiting_rank = NULL WHERE id = $4";
    let values = [
        delivery.state.as_str().into(),
        delivery.due_at.into(),
        delivery.attempts_before_retry.into(),
        delivery.id.into(),
    ];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

pub async fn find(db: &impl ConnectionTrait, id: DeliveryId) -> Result<Option<Delivery>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Delivery::try_from).transpose()
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only deliveries of this affiliate's own postbacks.
    pub owner: Option<AffiliateId>,
    pub postback_id: Option<PostbackId>,
    pub conversion_id: Option<ConversionId>,
    pub event_id: Option<EventId>,
    pub state: Option<DeliveryState>,
    /// The affiliate of the event.
    pub affiliate_id: Option<AffiliateId>,
    /// The offer of the event.
    pub offer_id: Option<OfferId>,
    pub transaction_id: Option<String>,
    /// The click of the event, or of its conversion.
    pub click_id: Option<ClickId>,
    /// The answer to the last attempt.
    pub http_status: Option<AnswerFilter>,
    /// Only deliveries that ended without an attempt.
    pub not_sent: bool,
    pub reason_code: Option<String>,
    /// A part of the reason.
    pub reason: Option<String>,
    /// Only deliveries of test conversions, or only others.
    pub test: Option<bool>,
}

impl Filter {
    fn needs_window(&self) -> bool {
        self.state.is_some()
            || self.affiliate_id.is_some()
            || self.offer_id.is_some()
            || self.http_status.is_some()
            || self.not_sent
            || self.reason_code.is_some()
            || self.reason.is_some()
    }

    /// The filters that an index serves: the postback, the conversion, and the event.
    async fn indexed(&self, db: &impl ConnectionTrait) -> Result<Select<Entity>, DbErr> {
        let mut select = Entity::find();
        if let Some(owner) = self.owner {
            // With a subquery, the planner could read the whole table to find that an affiliate has no deliveries.
            let own: Vec<PostbackId> = postbacks::row::Entity::find()
                .select_only()
                .column(postbacks::row::Column::Id)
                .filter(postbacks::row::Column::OwnerAffiliateId.eq(owner))
                .into_tuple()
                .all(db)
                .await?;
            select = select.filter(Column::PostbackId.is_in(own));
        }
        if let Some(id) = self.postback_id {
            select = select.filter(Column::PostbackId.eq(id));
        }
        if let Some(id) = self.conversion_id {
            select = select.filter(Column::ConversionId.eq(id));
        }
        if let Some(id) = &self.transaction_id {
            let conversions = conversions::ids_of_transaction(db.get_database_backend(), id);
            select = select.filter(Column::ConversionId.in_subquery(conversions));
        }
        if let Some(id) = self.click_id {
            select = select.filter(Column::Id.in_subquery(ids_of_click(db, id).await?));
        }
        if let Some(test) = self.test {
            select = select.filter(conversions::is_of_test(Column::ConversionId, test));
        }
        if let Some(id) = self.event_id {
            // The id of a delivery has the millisecond of its event, so a range of the primary key replaces an index.
            let at = time_of(id.0);
            let next = at.plus(MILLISECOND);
            select = select
                .filter(Column::EventId.eq(id))
                .filter(Column::Id.gte(floor_uuid(at)))
                .filter(Column::Id.lt(floor_uuid(next)));
        }
        Ok(select)
    }
}

/// The deliveries of a click: of its own event, and of its conversions. The union gives each part its own index.
async fn ids_of_click(db: &impl ConnectionTrait, id: ClickId) -> Result<SelectStatement, DbErr> {
    let ids = || Query::select().column(Column::Id).from(Entity).to_owned();
    let conversions = Query::select()
        .column(conversions::row::Column::Id)
        .from(conversions::row::Entity)
        .and_where(Expr::col(conversions::row::Column::ClickId).eq(id))
        .to_owned();
    let mut found = ids().and_where(Expr::col(Column::ConversionId).in_subquery(conversions)).to_owned();
    // The id of a click has its millisecond, as those of its event and of the deliveries of that event have.
    for event in events::list_of_click(db, id).await? {
        let (from, until) = (floor_uuid(time_of(event.0)), floor_uuid(time_of(event.0).plus(MILLISECOND)));
        let of_event = ids()
            .and_where(Expr::col(Column::Id).gte(from).and(Expr::col(Column::Id).lt(until)))
            .and_where(Expr::col(Column::EventId).eq(event))
            .to_owned();
        found.union(UnionType::Distinct, of_event);
    }
    Ok(found)
}

/// The condition that the last attempt had this answer. The attempt is found by the primary key, for each delivery of the
/// window; with EXISTS, PostgreSQL could begin with a scan of all attempts.
fn last_answer_is(answer: AnswerFilter) -> String {
    let status = match answer.range() {
        Some((first, last)) => format!("BETWEEN {first} AND {last}"),
        None => "IS NULL".to_owned(),
    };
    format!(
        "(SELECT 1 FROM attempts WHERE attempts.delivery_id = deliveries.id AND attempts.number = deliveries.attempts
             AND attempts.status {status}) IS NOT NULL"
    )
}

/// Those of these deliveries that exist: the deliveries of a test conversion can be deleted while they are sent.
pub async fn list_existing(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = DeliveryId>,
) -> Result<HashSet<DeliveryId>, DbErr> {
    let sql = "WITH wanted (id) AS ({rows})
         SELECT deliveries.id AS id FROM wanted JOIN deliveries ON deliveries.id = wanted.id";
    let found = Rows::ids(ids).query(db, sql, vec![]).await?;
    found.iter().map(|row| row.try_get("", "id")).collect()
}

/// Filters that no index serves are applied to a window of deliveries.
pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Delivery>, DbErr> {
    let (select, window) = filtered(db, filter, page).await?;
    let found = page::fetch(db, select, Column::Id, |row| row.id.0, window.page).await?;
    window.close(found).try_map(Delivery::try_from)
}

/// The ids of a page of [`list`].
pub async fn list_ids(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<DeliveryId>, DbErr> {
    let (select, window) = filtered(db, filter, page).await?;
    let found = page::fetch_ids(db, select, Column::Id, window.page).await?;
    Ok(window.close(found).map(DeliveryId))
}

/// The number of deliveries on a page of [`list`], and the cursor of the next page. The last page may have a cursor too.
pub async fn count(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<(u64, Option<Uuid>), DbErr> {
    let (select, window) = filtered(db, filter, page).await?;
    let (matching, next) = page::count(db, select, Column::Id, window.page).await?;
    Ok((matching, window.next(next)))
}

/// The deliveries that `filter` admits, and the window of the page.
async fn filtered(
    db: &impl ConnectionTrait,
    filter: Filter,
    page: PageRequest,
) -> Result<(Select<Entity>, Window), DbErr> {
    let indexed = filter.indexed(db).await?;
    let window = match filter.needs_window() {
        true => Window::of(db, indexed.clone(), Column::Id, page).await?,
        false => Window::unrestricted(page),
    };
    let mut select = indexed;
    if let Some(state) = filter.state {
        select = select.filter(Column::State.eq(state.as_str()));
    }
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(id) = filter.offer_id {
        // A delivery has no offer. With EXISTS, PostgreSQL could begin with a scan of all events, as in `last_answer_is`.
        let of_offer = Query::select()
            .expr(Expr::val(1))
            .from(events::row::Entity)
            .and_where(Expr::col((events::row::Entity, events::row::Column::Id)).equals((Entity, Column::EventId)))
            .and_where(Expr::col((events::row::Entity, events::row::Column::OfferId)).eq(id))
            .to_owned();
        select = select.filter(Expr::SubQuery(None, Box::new(of_offer.into())).is_not_null());
    }
    if let Some(answer) = filter.http_status {
        select = select.filter(Expr::cust(last_answer_is(answer)));
    }
    if filter.not_sent {
        select = select.filter(Column::State.ne(DeliveryState::Pending.as_str())).filter(Column::Attempts.eq(0));
    }
    if let Some(code) = filter.reason_code {
        select = select.filter(Column::ReasonCode.eq(code));
    }
    if let Some(part) = filter.reason {
        select = select.filter(contains_in_any_case(db.get_database_backend(), "reason", &part));
    }
    Ok((select, window))
}
