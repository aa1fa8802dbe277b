//! Routing: which postbacks an event is owed to. Rules first, then the adapter's `decide`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::{Adapter, wire as contract};
use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::postback::Postback;
use crate::storage;

use super::{Error, wire};

/// Turns claimed events into deliveries; says how many became owed. Routing an event twice adds nothing.
pub async fn route(app: &App, events: Vec<Event>, claim: i64) -> Result<u64, Error> {
    let now = app.clock.now();
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let postbacks = storage::postbacks::list_candidates(app.db.reader(), &events).await?;
    let owed = if postbacks.is_empty() { Vec::new() } else { decide_all(app, events, postbacks, now).await };

    let tx = app.db.begin_queue().await?;
    let finished: HashSet<_> = storage::events::finish(&tx, ids, claim, now).await?;
    let owed: Vec<_> = owed.into_iter().filter(|delivery| finished.contains(&delivery.event_id)).collect();
    let added = storage::deliveries::insert(&tx, &owed).await?;
    tx.commit().await?;
    if added > 0 {
        app.signals.deliveries.notify_one();
    }
    Ok(added)
}

/// Adapters compute on a blocking thread, one fresh instance a postback.
async fn decide_all(app: &App, events: Vec<Event>, postbacks: Vec<Postback>, now: Timestamp) -> Vec<Delivery> {
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
    events: &[&Event],
    now: Timestamp,
    owed: &mut Vec<Delivery>,
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
        owed.push(Delivery::owed(event, postback.id, now.plus(wait), now));
    }
}
