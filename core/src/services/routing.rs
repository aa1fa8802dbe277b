//! Routing: which postbacks an event is owed to. Rules first, then the adapter's `decide`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::{Adapter, wire as contract};
use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::lease::Leased;
use crate::domain::postback::Postback;
use crate::storage;

use super::{Error, wire};

/// A delivery and the event that it tells of.
#[derive(Clone, Debug)]
pub struct Owed {
    pub delivery: Delivery,
    /// `None`: it is older than the retention and was deleted.
    pub event: Option<Arc<Event>>,
}

/// Turns leased events into deliveries. Routing an event twice adds nothing.
pub async fn route(app: &App, events: Vec<Leased<Event>>) -> Result<(), Error> {
    let now = app.clock.now();
    let claimed: Vec<_> = events.iter().map(|event| (event.it.id, event.lease.claim)).collect();
    let events: Vec<_> = events.into_iter().map(|event| Arc::new(event.it)).collect();
    let postbacks = storage::postbacks::list_candidates(app.db.reader(), &events).await?;
    let owed = if postbacks.is_empty() { Vec::new() } else { decide_all(app, events, postbacks, now).await };

    let lease = app.inboxes.deliveries.lease(now);
    let tx = app.db.begin_queue().await?;
    let finished: HashSet<_> = storage::events::finish(&tx, claimed, now).await?;
    let mut owed: Vec<_> = owed.into_iter().filter(|owed| finished.contains(&owed.delivery.event_id)).collect();
    for owed in owed.iter_mut().filter(|owed| owed.delivery.due_at <= now) {
        owed.delivery.lease_until = lease.map(|lease| lease.until);
    }
    let deliveries = owed.iter().map(|owed| &owed.delivery);
    let added = storage::deliveries::insert(&tx, deliveries, lease.map(|lease| lease.claim)).await?;
    tx.commit().await?;
    let all_added = added == owed.len() as u64;
    let (at_once, later): (Vec<_>, Vec<_>) = owed.into_iter().partition(|owed| owed.delivery.lease_until.is_some());
    if all_added {
        app.inboxes.deliveries.put(lease, at_once);
    } else {
        tracing::warn!("Events had been routed before; what is left of their deliveries is sent when its lease ends");
    }
    if !later.is_empty() {
        app.inboxes.deliveries.announce();
    }
    Ok(())
}

/// Adapters compute on a blocking thread, one fresh instance a postback.
async fn decide_all(app: &App, events: Vec<Arc<Event>>, postbacks: Vec<Postback>, now: Timestamp) -> Vec<Owed> {
    let adapters = app.adapters.clone();
    let work = move || {
        let mut owed = Vec::new();
        for postback in &postbacks {
            let admitted: Vec<_> = events
                .iter()
                .filter(|event| {
                    let status = event.facts.conversion.as_ref().map(|it| &it.status);
                    postback.rule.admits(event, status)
                })
                .collect();
            if !admitted.is_empty() {
                decide(adapters.adapter(&postback.adapter), postback, &admitted, now, &mut owed);
            }
        }
        owed
    };
    tokio::task::spawn_blocking(work).await.expect("deciding does not panic: adapters are contained")
}

fn decide(
    adapter: Option<Arc<Adapter>>,
    postback: &Postback,
    events: &[&Arc<Event>],
    now: Timestamp,
    owed: &mut Vec<Owed>,
) {
    let mut session = adapter.as_ref().map(Adapter::session);
    let binding = wire::binding(postback);
    let delay = postback.rule.delay.map_or(Duration::ZERO, |delay| delay.span());
    let longest = adapter.as_ref().map(|it| Duration::from_millis(it.descriptor().rules.max_delay)).unwrap_or_default();
    for event in events {
        let context = wire::context(now, 0, false, event.id.to_string());
        let verdict = match &mut session {
            Some(session) => session.decide(&context, &binding, &wire::event(event, postback)).map(|it| it.verdict),
            // Sending will say that the adapter is gone, in the log of a delivery, where people look.
            None => Ok(contract::Verdict::Fire),
        };
        let wait = match verdict {
            Ok(contract::Verdict::Skip) => continue,
            Ok(contract::Verdict::Fire) => delay,
            Ok(contract::Verdict::FireAfter(ms)) => delay.max(Duration::from_millis(ms).min(longest)),
            Err(error) => {
                tracing::warn!(postback.id = %postback.id, event.id = %event.id, code = error.code(), %error, "The adapter could not decide; its delivery will say why");
                delay
            }
        };
        let delivery = Delivery::owed(event, postback.id, now.plus(wait), now);
        owed.push(Owed { delivery, event: Some(Arc::clone(event)) });
    }
}
