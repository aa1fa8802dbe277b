//! Destinations, as people see them: which are paused for whom and why, and what waits for each.

use std::collections::HashMap;

use crate::Error;
use crate::app::App;
use domain::delivery::breaker::{Breaker, BreakerState};
use domain::delivery::lane::LaneId;
use domain::ids::PostbackId;
use domain::people::actor::Actor;

/// Destinations that are shown at once. Those that are paused come first.
const SHOWN: usize = 500;

/// A destination that is or was paused for an owner, or for which deliveries wait.
#[derive(Clone, Debug)]
pub struct Destination {
    pub lane: LaneId,
    /// `None`: it was never paused, or not for a day.
    pub breaker: Option<Breaker>,
    /// Deliveries of this owner that wait for it.
    pub waiting: i64,
    pub postbacks: Vec<PostbackId>,
}

impl Destination {
    pub fn state(&self) -> BreakerState {
        self.breaker.as_ref().map_or(BreakerState::Closed, |it| it.state)
    }
}

/// An affiliate sees the destinations of its own postbacks; staff see those of all owners.
pub async fn list(app: &App, actor: Actor) -> Result<Vec<Destination>, Error> {
    let (db, owner) = (app.db.lists(), actor.confined_to());
    let entry = |lane: LaneId| Destination { lane, breaker: None, waiting: 0, postbacks: Vec::new() };
    let mut found: HashMap<LaneId, Destination> = HashMap::new();
    for breaker in storage::delivery::breakers::list(db, owner, SHOWN).await? {
        let lane = breaker.lane.clone();
        found.entry(lane.clone()).or_insert_with(|| entry(lane)).breaker = Some(breaker);
    }
    for (lane, _, number) in storage::delivery::waiting_deliveries::count(db, owner).await? {
        found.entry(lane.clone()).or_insert_with(|| entry(lane)).waiting += number;
    }
    let mut shown: Vec<_> = found.into_values().collect();
    shown.sort_by(|a, b| {
        (a.state() == BreakerState::Closed, &a.lane).cmp(&(b.state() == BreakerState::Closed, &b.lane))
    });
    shown.truncate(SHOWN);
    for it in &mut shown {
        it.postbacks = storage::delivery::breakers::list_postbacks(db, &it.lane).await?;
    }
    Ok(shown)
}

/// A postback has another configuration and may lead elsewhere: what waits for it is judged again.
pub async fn forget(app: &App, postback: PostbackId) {
    app.lanes.forget_postback(postback);
    let forgotten = async {
        storage::delivery::breakers::forget_destinations(app.db.writer(), postback).await?;
        storage::delivery::waiting_deliveries::release(app.db.queue(), postback, app.clock.now()).await
    };
    match forgotten.await {
        Ok(_) => app.work_queues.deliveries.announce(),
        // It is found out when the next of its deliveries is prepared.
        Err(error) => tracing::warn!(postback.id = %postback, %error, "What waits for a changed postback still waits"),
    }
}
