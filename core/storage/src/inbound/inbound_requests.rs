//! Queries of inbound requests: the log, and the queue of waiting requests.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    Select, Statement,
};

use crate::base::page::{self, Page, PageRequest, Window};
use crate::base::queue::Queue;
use crate::base::search::{contains, has_part};
use crate::{corrupt, from_json, json, model, readable};
use domain::delivery::lease::Lease;
use domain::ids::{AffiliateId, InboundRequestId, SourceId};
use domain::inbound::inbound_request::{InboundRequest, OutcomeDetails, RawRequest};
use domain::inbound::notification::Outcome;
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `inbound_requests`. `headers`, `items` and `adapter_log` are JSON text.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, InboundRequestId, SourceId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "inbound_requests")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: InboundRequestId,
        pub source_id: SourceId,
        pub affiliate_id: Option<AffiliateId>,
        pub received_at: Timestamp,
        pub method: String,
        pub path: String,
        pub query: String,
        pub headers: String,
        pub body: Vec<u8>,
        pub truncated: bool,
        pub remote_ip: Option<String>,
        pub outcome: String,
        pub code: Option<String>,
        pub sentence: Option<String>,
        pub items: String,
        pub adapter_log: Option<String>,
        pub tries: i32,
        pub due_at: Option<Timestamp>,
        pub lease_until: Option<Timestamp>,
        pub claim: Option<i64>,
        pub settled_at: Option<Timestamp>,
        pub repeats: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub const QUEUE: Queue =
    Queue { table: "inbound_requests", pending: "outcome = 'waiting'", due: "AND due_at <= $3", order: "due_at" };

impl TryFrom<Model> for InboundRequest {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let outcome = Outcome::from_word(&row.outcome);
        Ok(Self {
            id: row.id,
            source_id: row.source_id,
            affiliate_id: row.affiliate_id,
            received_at: row.received_at,
            raw: RawRequest {
                method: row.method,
                path: row.path,
                query: row.query,
                headers: from_json("inbound_requests", &row.headers)?,
                body: row.body,
                truncated: row.truncated,
                remote_ip: row.remote_ip.and_then(|ip| ip.parse().ok()),
            },
            result: OutcomeDetails {
                outcome: outcome.ok_or_else(|| corrupt("inbound_requests", format_args!("outcome {}", row.outcome)))?,
                code: row.code,
                sentence: row.sentence,
            },
            items: from_json("inbound_requests", &row.items)?,
            adapter_log: row.adapter_log.map_or(Ok(Vec::new()), |log| from_json("inbound_requests", &log))?,
            tries: row.tries.max(0).cast_unsigned(),
            due_at: row.due_at,
            settled_at: row.settled_at,
            repeats: row.repeats,
        })
    }
}

/// Inserts a request with a lease for its processing; without a lease if it was refused.
pub async fn insert(tx: &impl ConnectionTrait, request: &InboundRequest, lease: Option<Lease>) -> Result<(), DbErr> {
    let row = Model {
        id: request.id,
        source_id: request.source_id,
        affiliate_id: request.affiliate_id,
        received_at: request.received_at,
        method: request.raw.method.clone(),
        path: request.raw.path.clone(),
        query: request.raw.query.clone(),
        headers: json(&request.raw.headers),
        body: request.raw.body.clone(),
        truncated: request.raw.truncated,
        remote_ip: request.raw.remote_ip.map(|ip| ip.to_string()),
        outcome: request.result.outcome.to_string(),
        code: request.result.code.clone(),
        sentence: request.result.sentence.clone(),
        items: json(&request.items),
        adapter_log: stored_log(request),
        tries: request.tries.cast_signed(),
        due_at: request.due_at,
        lease_until: lease.map(|it| it.until),
        claim: lease.map(|it| it.claim),
        settled_at: request.settled_at,
        repeats: request.repeats,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Stores the outcome, if the claim is still valid. Returns whether it was.
pub async fn finish(tx: &impl ConnectionTrait, request: &InboundRequest, claim: i64) -> Result<bool, DbErr> {
    let saved = Entity::update_many()
        .col_expr(Column::Outcome, Expr::value(request.result.outcome.as_str()))
        .col_expr(Column::Code, Expr::value(request.result.code.clone()))
        .col_expr(Column::Sentence, Expr::value(request.result.sentence.clone()))
        .col_expr(Column::Items, Expr::value(json(&request.items)))
        .col_expr(Column::AdapterLog, Expr::value(stored_log(request)))
        .col_expr(Column::Tries, Expr::value(request.tries.cast_signed()))
        .col_expr(Column::DueAt, Expr::value(request.due_at))
        .col_expr(Column::LeaseUntil, Expr::value(None::<Timestamp>))
        .col_expr(Column::Claim, Expr::value(None::<i64>))
        .col_expr(Column::SettledAt, Expr::value(request.settled_at))
        .filter(Column::Id.eq(request.id))
        .filter(Column::Claim.eq(claim))
        .exec(tx)
        .await?;
    Ok(saved.rows_affected > 0)
}

fn stored_log(request: &InboundRequest) -> Option<String> {
    Some(&request.adapter_log).filter(|log| !log.is_empty()).map(json)
}

/// Claims at most `limit` waiting requests that are due.
pub async fn claim_due(
    db: &DatabaseConnection,
    limit: usize,
    now: Timestamp,
    lease: Lease,
) -> Result<Vec<InboundRequest>, DbErr> {
    let rows = QUEUE.claim(db, limit, now, lease).await?;
    Ok(readable("inbound_requests", &rows, |row| model::<Entity>(row)?.try_into()))
}

/// Claims a request with any outcome. `None`: another process has a lease of it.
pub async fn claim(
    db: &impl ConnectionTrait,
    id: InboundRequestId,
    now: Timestamp,
    lease: Lease,
) -> Result<Option<InboundRequest>, DbErr> {
    let sql = "UPDATE inbound_requests SET lease_until = $1, claim = $2
               WHERE id = $3 AND (lease_until IS NULL OR lease_until <= $4) RETURNING *";
    let values = [lease.until.into(), lease.claim.into(), id.into(), now.into()];
    let row = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    row.map(|row| model::<Entity>(&row)?.try_into()).transpose()
}

/// Makes the waiting requests of a source due now. Returns their number.
pub async fn make_due(tx: &impl ConnectionTrait, source: SourceId, now: Timestamp) -> Result<u64, DbErr> {
    let changed = Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(now))
        .filter(Column::SourceId.eq(source))
        .filter(Column::Outcome.eq(Outcome::Waiting.as_str()))
        .exec(tx)
        .await?;
    Ok(changed.rows_affected)
}

/// The number of waiting requests that are due, and since when the oldest is due.
pub async fn backlog(db: &impl ConnectionTrait, now: Timestamp) -> Result<(i64, Option<Timestamp>), DbErr> {
    let sql = "SELECT count(*) AS depth, min(due_at) AS oldest FROM inbound_requests
               WHERE outcome = 'waiting' AND due_at <= $1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [now.into()]);
    let row = db.query_one_raw(statement).await?;
    row.map_or(Ok((0, None)), |row| Ok((row.try_get("", "depth")?, row.try_get("", "oldest")?)))
}

pub async fn find(db: &impl ConnectionTrait, id: InboundRequestId) -> Result<Option<InboundRequest>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(InboundRequest::try_from).transpose()
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    pub source_id: Option<SourceId>,
    pub outcome: Option<Outcome>,
    pub code: Option<String>,
    /// Only requests with a notification of this transaction, or with this text as a parameter of the query.
    pub transaction_id: Option<String>,
    /// Only requests that can be processed again: those that were neither accepted nor duplicates.
    pub is_replayable: bool,
}

impl Filter {
    /// The filters that one index serves in the order of ids, and whether there are others.
    fn indexed(&self) -> (Select<Entity>, bool) {
        let select = Entity::find();
        let others = |count: usize| {
            let given =
                [self.outcome.is_some(), self.code.is_some(), self.transaction_id.is_some(), self.is_replayable];
            given.into_iter().filter(|is_given| *is_given).count() > count
        };
        match self {
            Self { source_id: Some(id), .. } => (select.filter(Column::SourceId.eq(*id)), others(0)),
            Self { affiliate_id: Some(id), .. } => (select.filter(Column::AffiliateId.eq(*id)), others(0)),
            Self { code: Some(code), .. } => (select.filter(Column::Code.eq(code)), others(1)),
            Self { outcome: Some(outcome), .. } => (select.filter(Column::Outcome.eq(outcome.as_str())), others(1)),
            _ => (select, others(0)),
        }
    }
}

/// The requests that `filter` admits, and the window of the page.
async fn filtered(
    db: &impl ConnectionTrait,
    filter: Filter,
    page: PageRequest,
) -> Result<(Select<Entity>, Window), DbErr> {
    use sea_orm::ExprTrait;
    let (mut select, has_others) = filter.indexed();
    let window = match has_others {
        true => Window::of(db, select.clone(), Column::Id, page).await?,
        false => Window::unrestricted(page),
    };
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(outcome) = filter.outcome {
        select = select.filter(Column::Outcome.eq(outcome.as_str()));
    }
    if let Some(code) = filter.code {
        select = select.filter(Column::Code.eq(code));
    }
    if let Some(id) = filter.transaction_id {
        let backend = db.get_database_backend();
        let of_item = contains(backend, Column::Items, format!("\"transaction_id\":{}", json(&id)));
        let of_query = has_part(backend, Expr::cust("query || '&'"), format!("={id}&"));
        select = select.filter(of_item.or(of_query));
    }
    if filter.is_replayable {
        let kept = [Outcome::Accepted, Outcome::Duplicate].map(Outcome::as_str);
        select = select.filter(Column::Outcome.is_not_in(kept));
    }
    Ok((select, window))
}

/// The listed requests have no bodies, because bodies can be long.
pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<InboundRequest>, DbErr> {
    use sea_orm::Iterable;
    let (select, window) = filtered(db, filter, page).await?;
    let columns = Column::iter().filter(|column| !matches!(column, Column::Body));
    let select = select.select_only().columns(columns).expr_as(Expr::val(Vec::<u8>::new()), "body");
    let bytes = |row: &Model| row.headers.len() + row.body.len() + row.query.len() + row.items.len();
    let found = page::fetch_sized(db, select, Column::Id, |row| row.id.0, bytes, window.page).await?;
    window.close(found).try_map(InboundRequest::try_from)
}

/// Lists only ids.
pub async fn list_ids(
    db: &impl ConnectionTrait,
    filter: Filter,
    page: PageRequest,
) -> Result<Page<InboundRequestId>, DbErr> {
    let (select, window) = filtered(db, filter, page).await?;
    let found = page::fetch_ids(db, select, Column::Id, window.page).await?;
    Ok(window.close(found).map(InboundRequestId))
}

/// Makes requests wait again, due at `due_at`, with this reason. Accepted requests, duplicates and requests that a
/// process has a lease of stay as they are. Returns the number of changed requests.
pub async fn save_waiting(
    tx: &impl ConnectionTrait,
    ids: &[InboundRequestId],
    reason: &OutcomeDetails,
    now: Timestamp,
    due_at: Timestamp,
) -> Result<u64, DbErr> {
    use sea_orm::ExprTrait;
    let changed = Entity::update_many()
        .col_expr(Column::Outcome, Expr::value(reason.outcome.as_str()))
        .col_expr(Column::Code, Expr::value(reason.code.clone()))
        .col_expr(Column::Sentence, Expr::value(reason.sentence.clone()))
        .col_expr(Column::DueAt, Expr::value(due_at))
        .col_expr(Column::SettledAt, Expr::value(None::<Timestamp>))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .filter(Column::Outcome.is_not_in([Outcome::Accepted, Outcome::Duplicate].map(Outcome::as_str)))
        .filter(Column::LeaseUntil.is_null().or(Column::LeaseUntil.lte(now)))
        .exec(tx)
        .await?;
    Ok(changed.rows_affected)
}
