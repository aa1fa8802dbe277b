//! The audit log: a record for each change that a person or a key asks for, and what came of it.
//!
//! No crash loses one. Whoever is known is recorded before anything is changed ([`ask`]), and the outcome is added
//! after it ([`conclude`]); an outcome that is missing is shown as unknown. Whoever becomes known by what they do, by
//! a password or a link, is recorded in the transaction that does it ([`record`]).

use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::app::App;
use crate::domain::actor::{Actor, Proof};
use crate::domain::audit::{Ending, Outcome, Record, shown};
use crate::ids::AuditId;
use crate::storage;
use crate::storage::audit::Filter;
use crate::storage::page::{Page, PageRequest};

use super::Error;
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
    storage::audit::insert(app.db.writer(), &asked).await?;
    Ok(asked.id)
}

/// What came of it.
pub async fn conclude(app: &App, asked: AuditId, ending: Ending) -> Result<(), Error> {
    Ok(storage::audit::conclude(app.db.writer(), asked, &ending).await?)
}

/// A change that is in the log if and only if it is made.
pub async fn record(app: &App, tx: &impl ConnectionTrait, actor: Actor, change: Change) -> Result<(), Error> {
    let asked = asked(app, actor, change);
    let ending = Ending::of(Outcome::Done, asked.at);
    storage::audit::insert(tx, &asked).await?;
    Ok(storage::audit::conclude(tx, asked.id, &ending).await?)
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
        fields: shown(&change.body),
        address: change.address,
        request_id: change.request_id,
        ending: None,
    }
}

/// A customer who came by a login link has no user: then it is the affiliate.
fn name(actor: Actor) -> String {
    match (actor.proof, actor.confined_to()) {
        (Proof::Session { user: None, .. }, Some(affiliate)) => affiliate.to_string(),
        _ => actor.name(),
    }
}

pub async fn list(app: &App, filter: Filter, page: PageRequest) -> Result<Page<Record>, Error> {
    Ok(storage::audit::list(app.db.lists(), filter, page).await?)
}
