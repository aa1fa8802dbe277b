//! The audit log: one record for each change that a person or a key makes.

use serde_json::Value;

use crate::app::App;
use crate::domain::actor::{Actor, Proof};
use crate::domain::audit::{Record, shown};
use crate::ids::AuditId;
use crate::storage;
use crate::storage::audit::Filter;
use crate::storage::page::{Page, PageRequest};

use super::Error;

/// What was done, as the edge saw it.
#[derive(Clone, Debug)]
pub struct Change {
    pub operation: String,
    pub object: Option<String>,
    /// The request as it came; hidden here.
    pub body: Value,
    pub status: u16,
    pub address: Option<String>,
    pub request_id: Option<String>,
}

/// Durable when this returns.
pub async fn record(app: &App, actor: Actor, change: Change) -> Result<(), Error> {
    let now = app.clock.now();
    let record = Record {
        id: AuditId::new(now),
        at: now,
        actor: name(actor),
        user_id: actor.user(),
        role: actor.role.to_string(),
        operation: change.operation,
        object: change.object,
        fields: shown(&change.body),
        status: change.status,
        address: change.address,
        request_id: change.request_id,
    };
    Ok(storage::audit::insert(app.db.writer(), &record).await?)
}

/// A customer who came by a login link has no user: then it is the affiliate.
fn name(actor: Actor) -> String {
    match (actor.proof, actor.confined_to()) {
        (Proof::Session { user: None, .. }, Some(affiliate)) => affiliate.to_string(),
        _ => actor.name(),
    }
}

pub async fn list(app: &App, filter: Filter, page: PageRequest) -> Result<Page<Record>, Error> {
    Ok(storage::audit::list(app.db.reader(), filter, page).await?)
}
