//! Queries of events. The row of an event is written once. While the event is pending, `pending_events` has a row as
//! well.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QuerySelect, Statement,
};

use crate::base::bulk::{Rows, Type};
use crate::base::page::{self, Page, PageRequest, Window};
use crate::base::queue::Queue;
use crate::{corrupt, from_json, json, model, readable};
use domain::delivery::lease::Lease;
use domain::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId, floor_uuid, time_of};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::Click;
use domain::tracking::event::Event;
use row::{Column, Entity, Model};

use super::conversions::is_of_test;

/// A row of `events`. `facts` is JSON text.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: EventId,
        pub action: String,
        pub occurred_at: Timestamp,
        pub affiliate_id: AffiliateId,
        pub offer_id: OfferId,
        pub click_id: Option<ClickId>,
        pub conversion_id: Option<ConversionId>,
        pub revision: i32,
        pub facts: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Event {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            action: Action::from_word(&row.action)
                .ok_or_else(|| corrupt("events", format_args!("action {}", row.action)))?,
            occurred_at: row.occurred_at,
            affiliate_id: row.affiliate_id,
            offer_id: row.offer_id,
            click_id: row.click_id,
            conversion_id: row.conversion_id,
            revision: row.revision,
            facts: from_json("events", &row.facts)?,
        })
    }
}

/// The queue of the router.
pub const QUEUE: Queue = Queue { table: "pending_events", pending: "true", due: "", order: "id" };

/// Inserts events as pending. With `lease`, only its holder can route them until it ends.
pub async fn append(tx: &impl ConnectionTrait, events: &[Event], lease: Option<Lease>) -> Result<(), DbErr> {
    use Type::{Big, Document, Id, Int, Text};
    let mut rows = Rows::new(&[Id, Text, Big, Id, Id, Id, Id, Int, Document]);
    let mut pending = Rows::new(&[Id, Big, Big]);
    for event in events {
        rows.push([
            event.id.into(),
            event.action.as_str().into(),
            event.occurred_at.into(),
            event.affiliate_id.into(),
            event.offer_id.into(),
            event.click_id.into(),
            event.conversion_id.into(),
            event.revision.into(),
            json(&event.facts).into(),
        ]);
        pending.push([event.id.into(), lease.map(|lease| lease.until).into(), lease.map(|lease| lease.claim).into()]);
    }
    rows.execute(
        tx,
        "INSERT INTO events (id, action, occurred_at, affiliate_id, offer_id, click_id, conversion_id, revision, facts)
         {rows}",
        vec![],
    )
    .await?;
    pending.execute(tx, "INSERT INTO pending_events (id, lease_until, claim) {rows}", vec![]).await.map(drop)
}

/// Claims up to `limit` pending events, oldest first.
pub async fn claim(db: &DatabaseConnection, limit: usize, now: Timestamp, lease: Lease) -> Result<Vec<Event>, DbErr> {
    let rows = QUEUE.claim(db, limit, now, lease).await?;
    let ids: Vec<EventId> = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    let mut claimed: Vec<Event> = find_many(db, ids).await?.into_values().collect();
    claimed.sort_unstable_by_key(|event| event.id);
    Ok(claimed)
}

/// Deletes the pending rows of routed events whose claim is still valid. Returns the ids of these events.
pub async fn finish(
    tx: &impl ConnectionTrait,
    claimed: impl IntoIterator<Item = (EventId, i64)>,
) -> Result<HashSet<EventId>, DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Big]);
    for (id, claim) in claimed {
        rows.push([id.into(), claim.into()]);
    }
    let finished = rows
        .query(
            tx,
            "WITH done (id, claim) AS ({rows})
             DELETE FROM pending_events WHERE (id, claim) IN (SELECT id, claim FROM done) RETURNING id",
            vec![],
        )
        .await?;
    finished.iter().map(|row| row.try_get("", "id")).collect()
}

/// The oldest revision with a pending event, of each of these conversions that has one.
pub async fn list_unrouted(
    db: &impl ConnectionTrait,
    conversions: &HashSet<ConversionId>,
) -> Result<HashMap<ConversionId, i32>, DbErr> {
    let found = Rows::ids(conversions.iter().copied())
        .query(
            db,
            "WITH wanted (id) AS ({rows})
             SELECT wanted.id AS id, min(events.revision) AS revision
             FROM wanted JOIN events ON events.conversion_id = wanted.id JOIN pending_events ON pending_events.id = events.id
             GROUP BY wanted.id",
            vec![],
        )
        .await?;
    found.iter().map(|row| Ok((row.try_get("", "id")?, row.try_get("", "revision")?))).collect()
}

/// The number of pending events, and the time of the oldest one.
pub async fn backlog(db: &impl ConnectionTrait) -> Result<(i64, Option<Timestamp>), DbErr> {
    let sql = "SELECT count(*) AS depth FROM pending_events";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let depth = db.query_one_raw(statement).await?.map_or(Ok(0), |row| row.try_get("", "depth"))?;
    let sql = "SELECT id FROM pending_events ORDER BY id LIMIT 1";
    let oldest = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let oldest = oldest.map(|row| row.try_get::<EventId>("", "id")).transpose()?;
    Ok((depth, oldest.map(|id| time_of(id.0))))
}

pub async fn find(db: &impl ConnectionTrait, id: EventId) -> Result<Option<Event>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Event::try_from).transpose()
}

/// Whether the event waits to be routed.
pub async fn is_pending(db: &impl ConnectionTrait, id: EventId) -> Result<bool, DbErr> {
    let sql = "SELECT 1 FROM pending_events WHERE id = $1";
    let found = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await?;
    Ok(found.is_some())
}

/// The event of a click or an impression, if one was recorded. Its id has the millisecond of the click, so a range of
/// the primary key replaces an index.
pub async fn find_of_click(db: &impl ConnectionTrait, click: &Click) -> Result<Option<Event>, DbErr> {
    let next = click.occurred_at.plus(Duration::from_millis(1));
    let found = Entity::find()
        .filter(Column::Id.gte(floor_uuid(click.occurred_at)))
        .filter(Column::Id.lt(floor_uuid(next)))
        .filter(Column::ClickId.eq(click.id))
        .filter(Column::Action.eq(click.action.as_str()))
        .one(db)
        .await?;
    found.map(Event::try_from).transpose()
}

/// The ids of the events of a click itself, not those of its conversions, as [`find_of_click`] finds them.
pub(crate) async fn list_of_click(db: &impl ConnectionTrait, id: ClickId) -> Result<Vec<EventId>, DbErr> {
    let at = time_of(id.0);
    let of_click = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Id.gte(floor_uuid(at)))
        .filter(Column::Id.lt(floor_uuid(at.plus(Duration::from_millis(1)))))
        .filter(Column::ClickId.eq(id));
    of_click.into_tuple().all(db).await
}

/// Unknown ids are left out, and so are rows that cannot be read.
pub async fn find_many(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = EventId>,
) -> Result<HashMap<EventId, Event>, DbErr> {
    let found = Rows::ids(ids)
        .query(
            db,
            "WITH wanted (id) AS ({rows}) SELECT events.* FROM wanted JOIN events ON events.id = wanted.id",
            vec![],
        )
        .await?;
    let events: Vec<Event> = readable("events", &found, |row| model::<Entity>(row)?.try_into());
    Ok(events.into_iter().map(|event| (event.id, event)).collect())
}

/// A page of events of an affiliate or of all, to compute with them.
pub async fn list_to_compute(
    db: &impl ConnectionTrait,
    affiliate_id: Option<AffiliateId>,
    page: PageRequest,
) -> Result<Page<Event>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(Event::try_from)
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    pub conversion_id: Option<ConversionId>,
    pub offer_id: Option<OfferId>,
    pub action: Option<Action>,
    /// Only events of test conversions, or only others.
    pub test: Option<bool>,
}

/// Indexes serve the affiliate and the conversion; offer and action are applied to a window of events.
pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Event>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(id) = filter.conversion_id {
        select = select.filter(Column::ConversionId.eq(id));
    }
    if let Some(test) = filter.test {
        select = select.filter(is_of_test(Column::ConversionId, test));
    }
    let indexed = select.clone();
    if let Some(id) = filter.offer_id {
        select = select.filter(Column::OfferId.eq(id));
    }
    if let Some(action) = filter.action {
        select = select.filter(Column::Action.eq(action.as_str()));
    }
    let window = match filter.offer_id.is_some() || filter.action.is_some() {
        true => Window::of(db, indexed, Column::Id, page).await?,
        false => Window::unrestricted(page),
    };
    let bytes = |row: &Model| row.facts.len();
    let found = page::fetch_sized(db, select, Column::Id, |row| row.id.0, bytes, window.page).await?;
    window.close(found).try_map(Event::try_from)
}
