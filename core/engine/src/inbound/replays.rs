//! Replays of all inbound requests that match a filter. They become waiting again, so the worker "inbound" processes them,
//! also after a restart. The number of requests and their pace are limited.

use crate::Error;
use crate::app::App;
use crate::program::quota;
use domain::ids::{InboundRequestId, SourceId};
use domain::inbound::notification::Outcome;
use domain::inbound::replay::{self, REPLAYED_AT_MOST, ReplayError};
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use storage::base::page::PageRequest;
use storage::inbound::inbound_requests::{self, Filter};

/// The most queries of one count. Each examines a bounded number of requests.
const QUERIES_MAX: usize = 10;

/// The requests to count or to replay.
#[derive(Clone, Debug)]
pub struct ReplayFilter {
    pub source_id: Option<SourceId>,
    pub outcome: Option<Outcome>,
    pub code: Option<String>,
    pub transaction_id: Option<String>,
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub until: Timestamp,
}

/// How many requests match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    pub matching: u32,
    /// Whether there can be more than were counted.
    pub is_capped: bool,
}

/// Counts the requests that a replay would process.
pub async fn count(app: &App, actor: Actor, filter: &ReplayFilter) -> Result<Count, Error> {
    let (ids, is_capped) = matching(app, actor, filter).await?;
    Ok(Count { matching: ids.len() as u32, is_capped })
}

/// Processes the matching requests again, with the current settings. Returns their number.
///
/// # Errors
/// More requests match than the caller expects, or none.
pub async fn replay(app: &App, actor: Actor, filter: &ReplayFilter, expected: u32) -> Result<u32, Error> {
    let (ids, _) = matching(app, actor, filter).await?;
    let matching = ids.len() as u32;
    if matching > expected {
        return Err(ReplayError::CountChanged { matching, expected }.into());
    }
    if matching == 0 {
        return Err(ReplayError::NothingMatches.into());
    }
    quota::retry(app, actor)?;
    let now = app.clock.now();
    let (size, wait) = replay::pace(actor.confined_to().is_some(), app.settings.retries_per_minute);
    let (mut replayed, mut due_at) = (0, now);
    for batch in ids.chunks(size) {
        replayed += inbound_requests::save_waiting(app.db.writer(), batch, &replay::reason(), now, due_at).await?;
        due_at = due_at.plus(wait);
    }
    app.waiting_inbound_requests.notify_one();
    Ok(replayed as u32)
}

/// The matching requests that the caller may replay, the newest first, and whether there can be more.
async fn matching(app: &App, actor: Actor, filter: &ReplayFilter) -> Result<(Vec<InboundRequestId>, bool), Error> {
    let mut page = PageRequest::first(u64::from(REPLAYED_AT_MOST)).within(filter.from, Some(filter.until));
    let filter = Filter {
        affiliate_id: actor.confined_to(),
        source_id: filter.source_id,
        outcome: filter.outcome,
        code: filter.code.clone(),
        transaction_id: filter.transaction_id.clone(),
        is_replayable: true,
    };
    let mut ids = Vec::new();
    for _ in 0..QUERIES_MAX {
        let found = inbound_requests::list_ids(app.db.lists(), filter.clone(), page).await?;
        ids.extend(found.items);
        if ids.len() >= REPLAYED_AT_MOST as usize {
            let is_capped = found.next.is_some() || ids.len() > REPLAYED_AT_MOST as usize;
            ids.truncate(REPLAYED_AT_MOST as usize);
            return Ok((ids, is_capped));
        }
        match found.next {
            Some(next) => page = page.after(Some(next)),
            None => return Ok((ids, false)),
        }
    }
    Ok((ids, true))
}
