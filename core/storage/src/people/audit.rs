//! Queries of the audit log. Triggers of the database refuse changes of its rows, and deletions that no pruning
//! permits.

use std::collections::HashMap;

use sea_orm::sea_query::{Query, UnionType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};

use crate::base::page::{self, Page, PageRequest};
use crate::{corrupt, from_json, json};
use domain::ids::{AuditId, UserId, floor_uuid};
use domain::people::audit::{Ending, Outcome, Record};
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `audit`. Rows are never changed.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AuditId, UserId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: AuditId,
        pub at: Timestamp,
        pub actor: String,
        pub user_id: Option<UserId>,
        pub role: String,
        pub operation: String,
        pub object: Option<String>,
        pub fields: String,
        pub address: Option<String>,
        pub request_id: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A row of `audit_outcomes`: the outcome of a change. Rows are never changed.
mod outcome_row {
    use sea_orm::entity::prelude::*;

    use domain::ids::AuditId;
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_outcomes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub audit_id: AuditId,
        pub at: Timestamp,
        pub outcome: String,
        pub status: Option<i32>,
        pub object: Option<String>,
        pub changes: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A row of `audit_prunings`: permits the deletion of older records. Rows are never changed.
mod pruning_row {
    use sea_orm::entity::prelude::*;

    use domain::ids::AuditId;
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_prunings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: AuditId,
        pub at: Timestamp,
        pub older_than: Timestamp,
        pub actor: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub actor: Option<String>,
    pub user_id: Option<UserId>,
    pub operation: Option<String>,
    pub object: Option<String>,
}

impl TryFrom<Model> for Record {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            fields: from_json("audit", &row.fields)?,
            id: row.id,
            at: row.at,
            actor: row.actor,
            user_id: row.user_id,
            role: row.role,
            operation: row.operation,
            object: row.object,
            address: row.address,
            request_id: row.request_id,
            ending: None,
        })
    }
}

pub async fn insert(tx: &impl ConnectionTrait, record: &Record) -> Result<(), DbErr> {
    let record = record.clone();
    let row = Model {
        id: record.id,
        at: record.at,
        actor: record.actor,
        user_id: record.user_id,
        role: record.role,
        operation: record.operation,
        object: record.object,
        fields: record.fields.to_string(),
        address: record.address,
        request_id: record.request_id,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Inserts the outcome of a record.
pub async fn conclude(tx: &impl ConnectionTrait, id: AuditId, ending: &Ending) -> Result<(), DbErr> {
    let row = outcome_row::Model {
        audit_id: id,
        at: ending.at,
        outcome: ending.outcome.to_string(),
        status: ending.status.map(i32::from),
        object: ending.object.clone(),
        changes: Some(&ending.changes).filter(|it| !it.is_empty()).map(json),
    };
    outcome_row::Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Inserts a pruning, which permits the deletion of records before `older_than`. It cannot be revoked.
pub async fn insert_pruning(
    tx: &impl ConnectionTrait,
    now: Timestamp,
    older_than: Timestamp,
    actor: &str,
) -> Result<(), DbErr> {
    let row = pruning_row::Model { id: AuditId::new(now), at: now, older_than, actor: actor.to_owned() };
    pruning_row::Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Deletes up to `limit` of the oldest records before `before`, with their outcomes. Returns the number of deleted
/// records.
pub async fn delete_before(tx: &impl ConnectionTrait, before: Timestamp, limit: u64) -> Result<u64, DbErr> {
    let oldest = Entity::find().select_only().column(Column::Id).filter(Column::Id.lt(floor_uuid(before)));
    let oldest = oldest.filter(Column::At.lt(before.millis())).order_by_asc(Column::Id).limit(limit);
    let ids: Vec<AuditId> = oldest.into_tuple().all(tx).await?;
    let outcomes = outcome_row::Entity::delete_many();
    outcomes.filter(outcome_row::Column::AuditId.is_in(ids.iter().copied())).exec(tx).await?;
    let deleted = Entity::delete_many().filter(Column::Id.is_in(ids)).exec(tx).await?;
    Ok(deleted.rows_affected)
}

pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Record>, DbErr> {
    let mut select = Entity::find();
    for (column, wanted) in [(Column::Actor, filter.actor), (Column::Operation, filter.operation)] {
        if let Some(wanted) = wanted {
            select = select.filter(column.eq(wanted));
        }
    }
    if let Some(object) = filter.object {
        // The id of a created object is in the outcome.
        let mut recorded =
            Query::select().column(Column::Id).from(Entity).and_where(Column::Object.eq(&object)).to_owned();
        let created = Query::select()
            .column(outcome_row::Column::AuditId)
            .from(outcome_row::Entity)
            .and_where(outcome_row::Column::Object.eq(&object))
            .to_owned();
        select = select.filter(Column::Id.in_subquery(recorded.union(UnionType::Distinct, created).to_owned()));
    }
    if let Some(user) = filter.user_id {
        select = select.filter(Column::UserId.eq(user));
    }
    let mut page = page::fetch_sized(db, select, Column::Id, |row| row.id.0, |row| row.fields.len(), page)
        .await?
        .try_map(Record::try_from)?;
    let ids: Vec<_> = page.items.iter().map(|record: &Record| record.id).collect();
    let outcomes = outcome_row::Entity::find().filter(outcome_row::Column::AuditId.is_in(ids)).all(db).await?;
    let mut outcomes: HashMap<AuditId, _> = outcomes.into_iter().map(|row| (row.audit_id, row)).collect();
    for record in &mut page.items {
        record.ending = outcomes.remove(&record.id).map(Ending::try_from).transpose()?;
    }
    Ok(page)
}

impl TryFrom<outcome_row::Model> for Ending {
    type Error = DbErr;

    fn try_from(row: outcome_row::Model) -> Result<Self, DbErr> {
        Ok(Self {
            outcome: Outcome::from_word(&row.outcome)
                .ok_or_else(|| corrupt("audit_outcomes", format_args!("outcome {}", row.outcome)))?,
            at: row.at,
            status: row.status.map(|status| status as u16),
            object: row.object,
            changes: match &row.changes {
                Some(text) => from_json("audit_outcomes", text)?,
                None => Vec::new(),
            },
        })
    }
}
