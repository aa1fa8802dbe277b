//! What arrives at a source: the counts of the last days by outcome and code, and status words without a meaning.

use std::collections::BTreeMap;

use crate::Error;
use crate::app::App;
use domain::ids::SourceId;
use domain::inbound::notification::Outcome;
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use storage::base::page::PageRequest;
use storage::inbound::inbound_activity::{self, Arrivals, UnknownStatus};
use storage::inbound::inbound_requests::{self, Filter};

use super::sources;
use super::visible_source::VisibleSource;

/// The most requests that are counted.
const COUNTED_AT_MOST: u64 = 10_000;
/// The most waiting requests whose status words are read.
const WAITING_AT_MOST: u64 = 1_000;

/// What arrives at a source.
#[derive(Clone, Debug)]
pub struct Activity {
    /// The beginning of the counted period.
    pub from: Timestamp,
    /// When the last request was received, also before the period.
    pub last_at: Option<Timestamp>,
    /// The requests of each hour.
    pub arrivals: Vec<Arrivals>,
    /// Whether there are more requests than were counted. The newest are counted.
    pub is_capped: bool,
    pub unknown_statuses: Vec<UnknownStatus>,
}

/// The requests with one outcome and code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeCount {
    pub outcome: Outcome,
    pub code: Option<String>,
    pub count: u64,
    pub last_at: Timestamp,
}

impl Activity {
    /// The counts by outcome and code, the largest first.
    pub fn counts(&self) -> Vec<CodeCount> {
        let mut counts: BTreeMap<(&str, Option<&str>), CodeCount> = BTreeMap::new();
        for it in &self.arrivals {
            let Arrivals { outcome, code, count, last_at, .. } = it;
            let found = counts.entry((outcome.as_str(), code.as_deref())).or_insert_with(|| CodeCount {
                outcome: *outcome,
                code: code.clone(),
                count: 0,
                last_at: *last_at,
            });
            found.count += count;
            found.last_at = found.last_at.max(*last_at);
        }
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_by_key(|it| std::cmp::Reverse(it.count));
        counts
    }

    /// When the last request with this outcome was received in the period.
    pub fn last_of(&self, outcome: Outcome) -> Option<Timestamp> {
        self.arrivals.iter().filter(|it| it.outcome == outcome).map(|it| it.last_at).max()
    }
}

/// Reads what arrived at a source since `from`.
pub async fn get(app: &App, actor: Actor, id: SourceId, from: Timestamp) -> Result<Activity, Error> {
    let source = sources::find(app, actor, id).await?;
    let db = app.db.lists();
    let arrivals = inbound_activity::count_arrivals(db, source.id, from, COUNTED_AT_MOST).await?;
    let last_at = match arrivals.iter().map(|it| it.last_at).max() {
        Some(at) => Some(at),
        None => last_request(app, id).await?,
    };
    let is_capped = arrivals.iter().map(|it| it.count).sum::<u64>() >= COUNTED_AT_MOST;
    let unknown_statuses = inbound_activity::list_unknown_statuses(db, source.id, WAITING_AT_MOST).await?;
    Ok(Activity { from, last_at, arrivals, is_capped, unknown_statuses })
}

/// The last request to each of these sources, which the caller may see: when it was received, and its outcome.
pub async fn list_last(
    app: &App,
    actor: Actor,
    sources: &[VisibleSource],
) -> Result<BTreeMap<SourceId, (Timestamp, Outcome)>, Error> {
    let visible = sources.iter().filter(|it| actor.confined_to().is_none_or(|own| it.source.affiliate_id == Some(own)));
    let ids: Vec<_> = visible.map(|it| it.source.id).collect();
    Ok(inbound_activity::list_last(app.db.lists(), &ids).await?)
}

async fn last_request(app: &App, id: SourceId) -> Result<Option<Timestamp>, Error> {
    let filter = Filter { source_id: Some(id), ..Filter::default() };
    let newest = inbound_requests::list(app.db.lists(), filter, PageRequest::first(1)).await?;
    Ok(newest.items.first().map(|it| it.received_at))
}
