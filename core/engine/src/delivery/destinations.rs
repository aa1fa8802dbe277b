//! Lists destinations: which ones are paused, for which owner and why, and how many deliveries wait for each.

use std::collections::HashMap;

use crate::Error;
use crate::app::App;
use domain::delivery::lane::LaneId;
use domain::delivery::lane::breaker::{Breaker, BreakerState};
use domain::ids::PostbackId;
use domain::people::actor::Actor;

/// Maximum number of destinations in a list. Paused ones come first.
const SHOWN: usize = 500;

/// A destination that is or was paused for an owner, or for which deliveries wait.
#[derive(Clone, Debug)]
pub struct Destination {
    pub lane: LaneId,
    /// `None` if it was never paused, or was last paused more than a day ago.
    pub breaker: Option<Breaker>,
    /// Deliveries of this owner that wait for it.
    pub waiting: i64,
    pub postbacks: Vec<PostbackId>,
}

impl Destination {
    /// The state of the breaker; closed if there is none.
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

/// Forgets the destinations of a postback whose configuration changed, and makes its waiting deliveries due, so that
/// they are checked again.
pub async fn forget(app: &App, postback: PostbackId) {
    app.lanes.forget_postback(postback);
    let forgotten = async {
        storage::delivery::breakers::delete_destinations(app.db.writer(), postback).await?;
        storage::delivery::waiting_deliveries::release(app.db.queue(), postback, app.clock.now()).await
    };
    match forgotten.await {
        Ok(_) => app.work_queues.deliveries.announce(),
        // The new destination is recorded when the next delivery of the postback is prepared.
        Err(error) => {
            tracing::warn!(postback.id = %postback, %error, "The waiting deliveries of a changed postback could not be released; they still wait for its former destination")
        }
    }
}
