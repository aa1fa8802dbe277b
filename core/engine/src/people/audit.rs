//! The audit log: a record for each change or export that a person or a key requests, with its outcome.
//!
//! A crash loses no record. The request of a known actor is recorded before anything is changed ([`begin`]), and its
//! outcome is added afterwards ([`conclude`]). A missing outcome is shown as unknown. An actor that becomes known by
//! the request itself, with a password or a link, is recorded in the transaction of the change ([`record`]).

use std::ops::RangeInclusive;
use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::Error;
use crate::app::App;
use domain::ids::AuditId;
use domain::people::actor::{Actor, Proof};
use domain::people::audit::{Ending, Outcome, Record};
use domain::people::redaction;
use domain::people::user::User;
use domain::timestamp::Timestamp;
use storage::base::page::{Page, PageRequest};
use storage::people::audit::Filter;

use super::auth::Visitor;

/// A requested change, as the HTTP layer sees it.
#[derive(Clone, Debug)]
pub struct RequestedChange {
    pub operation: String,
    pub object: Option<String>,
    /// The body of the request. Secret and personal values are hidden before it is stored.
    pub body: Value,
    pub address: Option<String>,
    pub request_id: Option<String>,
}

impl RequestedChange {
    /// The change of a visitor who becomes known by it.
    pub fn by(visitor: &Visitor, operation: &str, object: Option<String>) -> Self {
        Self {
            operation: operation.to_owned(),
            object,
            body: Value::Null,
            address: Some(visitor.origin.address.to_string()),
            request_id: visitor.request_id.clone(),
        }
    }
}

/// Records a requested change. The record is durable when this function returns; nothing may be changed before.
pub async fn begin(app: &App, actor: Actor, change: RequestedChange) -> Result<AuditId, Error> {
    let record = new_record(app, actor, change);
    storage::people::audit::insert(app.db.writer(), &record).await?;
    Ok(record.id)
}

/// Adds the outcome to a record.
pub async fn conclude(app: &App, id: AuditId, ending: Ending) -> Result<(), Error> {
    Ok(storage::people::audit::conclude(app.db.writer(), id, &ending).await?)
}

/// Records a change in the transaction that makes it, so that the record exists only if the change is made.
pub async fn record(app: &App, tx: &impl ConnectionTrait, actor: Actor, change: RequestedChange) -> Result<(), Error> {
    let record = new_record(app, actor, change);
    let ending = Ending::of(Outcome::Done, record.at);
    storage::people::audit::insert(tx, &record).await?;
    Ok(storage::people::audit::conclude(tx, record.id, &ending).await?)
}

/// As [`record`], for a user who is not an actor yet, such as a registration that waits for its approval.
pub(crate) async fn record_of_user(
    app: &App,
    tx: &impl ConnectionTrait,
    user: &User,
    change: RequestedChange,
) -> Result<(), Error> {
    let mut record = new_record(app, Actor::command_line(), change);
    (record.actor, record.user_id, record.role) = (user.id.to_string(), Some(user.id), user.role.to_string());
    let ending = Ending::of(Outcome::Done, record.at);
    storage::people::audit::insert(tx, &record).await?;
    Ok(storage::people::audit::conclude(tx, record.id, &ending).await?)
}

fn new_record(app: &App, actor: Actor, change: RequestedChange) -> Record {
    let now = app.clock.now();
    Record {
        id: AuditId::new(now),
        at: now,
        actor: name(actor),
        user_id: actor.user(),
        role: actor.role.to_string(),
        operation: change.operation,
        object: change.object,
        fields: redaction::asked(&change.body),
        address: change.address,
        request_id: change.request_id,
        ending: None,
    }
}

/// The name of an actor in the log. A customer who signed in by a login link has no user, so the affiliate is named.
fn name(actor: Actor) -> String {
    match (actor.proof, actor.confined_to()) {
        (Proof::Session { user: None, .. } | Proof::Link { user: None }, Some(affiliate)) => affiliate.to_string(),
        _ => actor.name(),
    }
}

/// Lists the records.
pub async fn list(app: &App, filter: Filter, page: PageRequest) -> Result<Page<Record>, Error> {
    Ok(storage::people::audit::list(app.db.lists(), filter, page).await?)
}

/// The age of records that can be deleted, in days. Because of the minimum, a stolen session cannot be used to remove its
/// traces. The maximum is a century, so that the time is one that can be written.
const PRUNED_DAYS: RangeInclusive<u32> = 30..=36_500;
/// The maximum number of records that one transaction deletes.
const PRUNED_AT_ONCE: u64 = 1_000;
/// The maximum number of records that one request deletes.
const PRUNED_MAX: u64 = 100_000;

/// The result of a pruning.
pub struct Pruned {
    /// The number of deleted records.
    pub records: u64,
    pub older_than: Timestamp,
    /// Whether there are more records of that age.
    pub more: bool,
}

/// Deletes records by age. A row that covers them is stored first and is never deleted; the database refuses to delete
/// records that no such row covers.
///
/// # Errors
/// `older_than_days` is less than 30, or more than 36,500.
pub async fn prune(app: &App, actor: Actor, older_than_days: u32) -> Result<Pruned, Error> {
    if !PRUNED_DAYS.contains(&older_than_days) {
        let (min, max) = PRUNED_DAYS.into_inner();
        let message = format!("must be {min} to {max}; more recent records cannot be deleted");
        return Err(Error::invalid("/older_than_days", message));
    }
    let now = app.clock.now();
    let older_than = now.minus(Duration::from_secs(u64::from(older_than_days) * 86_400));
    storage::people::audit::insert_pruning(app.db.writer(), now, older_than, &name(actor)).await?;
    let mut records = 0;
    let more = loop {
        let tx = app.db.begin().await?;
        let deleted = storage::people::audit::delete_before(&tx, older_than, PRUNED_AT_ONCE).await?;
        tx.commit().await?;
        records += deleted;
        if deleted < PRUNED_AT_ONCE || records >= PRUNED_MAX {
            break deleted == PRUNED_AT_ONCE;
        }
    };
    Ok(Pruned { records, older_than, more })
}
