//! The rows of the delivery log: each delivery with its event and its last attempt, without requests and responses.

use std::collections::HashSet;

use crate::Error;
use crate::app::App;
use domain::delivery::delivery::Delivery;
use domain::ids::DeliveryId;
use domain::people::actor::Actor;
use domain::tracking::event::Event;
use storage::base::page::{Page, PageRequest};
use storage::delivery::attempts::AttemptSummary;
use storage::delivery::deliveries::Filter;

use super::deliveries::without_buyers;

/// A delivery as a list shows it, without the data of buyers that the actor may not see.
#[derive(Clone, Debug)]
pub struct LogRow {
    pub delivery: Delivery,
    /// `None` if the event is older than the retention time and was deleted.
    pub event: Option<Event>,
    pub last_attempt: Option<AttemptSummary>,
}

/// A page of rows, the newest first.
pub async fn list(app: &App, actor: Actor, mut filter: Filter, page: PageRequest) -> Result<Page<LogRow>, Error> {
    filter.owner = actor.confined_to();
    let db = app.db.lists();
    let Page { items, next } = storage::delivery::deliveries::list(db, filter, page).await?;
    let attempted = items.iter().filter(|it| it.attempts > 0).map(|it| (it.id, it.attempts));
    let mut attempts = storage::delivery::attempts::list_last(db, attempted).await?;
    let ids: HashSet<_> = items.iter().map(|it| it.event_id).collect();
    let events = storage::tracking::events::find_many(db, ids).await?;
    let buyers = actor.buyers();
    let rows = items.into_iter().map(|delivery| {
        let event = events.get(&delivery.event_id);
        let mut last_attempt = attempts.remove(&delivery.id);
        if let (Some(attempt), true) = (&mut last_attempt, buyers.hides()) {
            // A code can be a text of the adapter.
            let code = attempt.error_code.take();
            attempt.error_code = event.zip(code).map(|(event, code)| event.personal_values().clean(&code, buyers));
        }
        LogRow {
            event: event.map(|event| buyers.show(event.clone()).into_inner()),
            delivery: without_buyers(actor, delivery, event),
            last_attempt,
        }
    });
    Ok(Page { items: rows.collect(), next })
}

/// How many deliveries are newer than one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Newer {
    pub count: u64,
    /// Whether there are more than were counted.
    pub is_capped: bool,
}

/// Counts the deliveries of a list that are newer than its first row, at most `limit`.
pub async fn count_newer(
    app: &App,
    actor: Actor,
    mut filter: Filter,
    page: PageRequest,
    first: DeliveryId,
) -> Result<Newer, Error> {
    filter.owner = actor.confined_to();
    let found = storage::delivery::deliveries::list_ids(app.db.lists(), filter, page.newer_than(first.0)).await?;
    Ok(Newer { count: found.items.len() as u64, is_capped: found.next.is_some() })
}
