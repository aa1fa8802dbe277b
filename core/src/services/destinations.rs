//! Destinations, as people see them: which are paused and why, and what waits for each.

use std::collections::BTreeMap;

use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::breaker::{Breaker, BreakerState};
use crate::ids::PostbackId;
use crate::storage;

use super::Error;

/// Destinations that are shown at once. Those that are paused come first.
const SHOWN: usize = 500;

/// A destination that is or was paused, or for which deliveries wait.
#[derive(Clone, Debug)]
pub struct Destination {
    pub destination: String,
    /// `None`: it was never paused, or not for a day.
    pub breaker: Option<Breaker>,
    /// Deliveries that wait for it: an affiliate's own, or all.
    pub waiting: i64,
    pub postbacks: Vec<PostbackId>,
}

impl Destination {
    pub fn state(&self) -> BreakerState {
        self.breaker.as_ref().map_or(BreakerState::Closed, |it| it.state)
    }
}

/// An affiliate sees the destinations of its own postbacks.
pub async fn list(app: &App, actor: Actor) -> Result<Vec<Destination>, Error> {
    let (db, owner) = (app.db.reader(), actor.confined_to());
    let mut found: BTreeMap<String, Destination> = BTreeMap::new();
    let entry = |destination: String| Destination { destination, breaker: None, waiting: 0, postbacks: Vec::new() };
    for breaker in storage::breakers::list(db).await? {
        let name = breaker.destination.clone();
        found.entry(name.clone()).or_insert_with(|| entry(name)).breaker = Some(breaker);
    }
    for (name, _, number) in storage::waiting_deliveries::count(db, owner).await? {
        found.entry(name.clone()).or_insert_with(|| entry(name)).waiting += number;
    }
    if let Some(owner) = owner {
        let own = storage::breakers::list_destinations_of(db, owner).await?;
        found.retain(|name, _| own.contains(name));
    }
    let mut shown: Vec<_> = found.into_values().collect();
    shown.sort_by_key(|it| it.state() == BreakerState::Closed);
    shown.truncate(SHOWN);
    for it in &mut shown {
        it.postbacks = storage::breakers::list_postbacks(db, &it.destination, owner).await?;
    }
    Ok(shown)
}
