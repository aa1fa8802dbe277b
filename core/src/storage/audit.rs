//! Queries of the audit log: add and read. The database itself refuses to change or delete its rows.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use crate::clock::Timestamp;
use crate::domain::audit::Record;
use crate::ids::{UserId, floor_uuid};

use super::entities::audit::{Column, Entity, Model};
use super::page::{self, Page, PageRequest};

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub actor: Option<String>,
    pub user_id: Option<UserId>,
    pub operation: Option<String>,
    pub object: Option<String>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

impl TryFrom<Model> for Record {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            fields: super::from_json("audit", &row.fields)?,
            id: row.id,
            at: row.at,
            actor: row.actor,
            user_id: row.user_id,
            role: row.role,
            operation: row.operation,
            object: row.object,
            status: row.status as u16,
            address: row.address,
            request_id: row.request_id,
        })
    }
}

pub async fn insert(tx: &impl ConnectionTrait, record: &Record) -> Result<(), DbErr> {
    let it = record.clone();
    let row = Model {
        id: it.id,
        at: it.at,
        actor: it.actor,
        user_id: it.user_id,
        role: it.role,
        operation: it.operation,
        object: it.object,
        fields: it.fields.to_string(),
        status: i32::from(it.status),
        address: it.address,
        request_id: it.request_id,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn list(db: &impl ConnectionTrait, filter: Filter, page: PageRequest) -> Result<Page<Record>, DbErr> {
    let mut select = Entity::find();
    for (column, wanted) in
        [(Column::Actor, filter.actor), (Column::Operation, filter.operation), (Column::Object, filter.object)]
    {
        if let Some(wanted) = wanted {
            select = select.filter(column.eq(wanted));
        }
    }
    if let Some(user) = filter.user_id {
        select = select.filter(Column::UserId.eq(user));
    }
    // Ids are in the order of time, so a span of time is a range of the key.
    if let Some(from) = filter.from {
        select = select.filter(Column::Id.gte(floor_uuid(from)));
    }
    if let Some(until) = filter.until {
        select = select.filter(Column::Id.lt(floor_uuid(until)));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(Record::try_from)
}
