//! The audit log: a record for each change or export that a person or a key asks for, and what came of it.
//!
//! No crash loses one. Whoever is known is recorded before anything is changed ([`ask`]), and the outcome is added
//! after it ([`conclude`]); an outcome that is missing is shown as unknown. Whoever becomes known by what they do, by
//! a password or a link, is recorded in the transaction that does it ([`record`]).

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

/// What is asked for, as the edge sees it.
#[derive(Clone, Debug)]
pub struct Change {
    pub operation: String,
    pub object: Option<String>,
    /// The request as it came; hidden here.
    pub body: Value,
    pub address: Option<String>,
    pub request_id: Option<String>,
}

impl Change {
    /// Of somebody who becomes known by it.
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

/// Durable when this returns. Nothing may be changed before.
pub async fn ask(app: &App, actor: Actor, change: Change) -> Result<AuditId, Error> {
    let asked = asked(app, actor, change);
    storage::people::audit::insert(app.db.writer(), &asked).await?;
    Ok(asked.id)
}

/// What came of it.
pub async fn conclude(app: &App, asked: AuditId, ending: Ending) -> Result<(), Error> {
    Ok(storage::people::audit::conclude(app.db.writer(), asked, &ending).await?)
}

/// A change that is in the log if and only if it is made.
pub async fn record(app: &App, tx: &impl ConnectionTrait, actor: Actor, change: Change) -> Result<(), Error> {
    let asked = asked(app, actor, change);
    let ending = Ending::of(Outcome::Done, asked.at);
    storage::people::audit::insert(tx, &asked).await?;
    Ok(storage::people::audit::conclude(tx, asked.id, &ending).await?)
}

/// The same of somebody who is no actor yet, such as a registration that waits for its approval.
pub async fn record_of_user(app: &App, tx: &impl ConnectionTrait, user: &User, change: Change) -> Result<(), Error> {
    let mut asked = asked(app, Actor::command_line(), change);
    (asked.actor, asked.user_id, asked.role) = (user.id.to_string(), Some(user.id), user.role.to_string());
    let ending = Ending::of(Outcome::Done, asked.at);
    storage::people::audit::insert(tx, &asked).await?;
    Ok(storage::people::audit::conclude(tx, asked.id, &ending).await?)
}

fn asked(app: &App, actor: Actor, change: Change) -> Record {
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

/// A customer who came by a login link has no user: then it is the affiliate.
fn name(actor: Actor) -> String {
    match (actor.proof, actor.confined_to()) {
        (Proof::Session { user: None, .. } | Proof::Link { user: None }, Some(affiliate)) => affiliate.to_string(),
        _ => actor.name(),
    }
}

pub async fn list(app: &App, filter: Filter, page: PageRequest) -> Result<Page<Record>, Error> {
    Ok(storage::people::audit::list(app.db.lists(), filter, page).await?)
}

/// Younger records stay, whoever asks: traces of the moment can't be removed with a stolen session.
const PRUNED_DAYS_MIN: u32 = 30;
/// Records of one transaction, and of one request.
const PRUNED_AT_ONCE: u64 = 1_000;
const PRUNED_MAX: u64 = 100_000;

/// What a pruning did.
pub struct Pruned {
    pub records: u64,
    pub older_than: Timestamp,
    /// There is more that is as old.
    pub more: bool,
}

/// Deletes records by age. What covers them is stored first and for good: the database lets no other record go.
pub async fn prune(app: &App, actor: Actor, older_than_days: u32) -> Result<Pruned, Error> {
    if older_than_days < PRUNED_DAYS_MIN {
        let message = format!("must be at least {PRUNED_DAYS_MIN}: younger records stay");
        return Err(Error::invalid("/older_than_days", message));
    }
    let now = app.clock.now();
    let older_than = now.minus(Duration::from_secs(u64::from(older_than_days) * 86_400));
    storage::people::audit::insert_pruning(app.db.writer(), now, older_than, &name(actor)).await?;
    let mut records = 0;
    let more = loop {
        let tx = app.db.begin().await?;
        let gone = storage::people::audit::delete_before(&tx, older_than, PRUNED_AT_ONCE).await?;
        tx.commit().await?;
        records += gone;
        if gone < PRUNED_AT_ONCE || records >= PRUNED_MAX {
            break gone == PRUNED_AT_ONCE;
        }
    };
    Ok(Pruned { records, older_than, more })
}
