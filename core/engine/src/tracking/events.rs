//! Queries of events, and events that an advertiser reports after a conversion.

use std::collections::BTreeSet;

use crate::Error;
use crate::app::App;
use domain::ids::{ConversionId, EventId};
use domain::people::actor::Actor;
use domain::tracking::click::Click;
use domain::tracking::event::Event;
use storage::base::page::{Page, PageRequest};

/// Records an event after a conversion, for example a renewal or a reached level.
pub async fn record(
    app: &App,
    conversion_id: ConversionId,
    name: String,
    attributes: Vec<(String, String)>,
) -> Result<Event, Error> {
    let now = app.clock.now();
    let conversion = storage::tracking::conversions::find(app.db.reader(), conversion_id).await?;
    let conversion = conversion.ok_or_else(|| Error::not_found("conversion", conversion_id))?;
    let click = match conversion.click_id {
        Some(id) => storage::tracking::clicks::find(app.db.reader(), id).await?,
        None => None,
    };
    let parties = app.catalog.parties(conversion.affiliate_id, conversion.offer_id).await?;
    let click = click.as_ref().map(Click::facts);
    let event = Event::after_conversion(&conversion, name, attributes, click, parties, now);
    let queue = &app.work_queues.events;
    let lease = queue.lease(now);
    let tx = app.db.begin().await?;
    // A test conversion can be deleted meanwhile, with its events.
    let ids = BTreeSet::from([conversion_id]);
    if conversion.is_test() && storage::tracking::conversions::lock_many(&tx, &ids).await?.is_empty() {
        return Err(Error::not_found("conversion", conversion_id));
    }
    storage::tracking::events::append(&tx, std::slice::from_ref(&event), lease).await?;
    tx.commit().await?;
    queue.put(lease, [event.clone()]);
    Ok(event)
}

/// Reads an event that the caller may see.
pub async fn get(app: &App, actor: Actor, id: EventId) -> Result<Event, Error> {
    let found = storage::tracking::events::find(app.db.reader(), id).await?;
    found.filter(|event| actor.may_see(event.affiliate_id)).ok_or_else(|| Error::not_found("event", id))
}

/// Lists the events that the caller may see.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: storage::tracking::events::Filter,
    page: PageRequest,
) -> Result<Page<Event>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    Ok(storage::tracking::events::list(app.db.lists(), filter, page).await?)
}
