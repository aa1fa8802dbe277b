//! What arrived at a source in the last days: a graph of the requests, and their number by outcome.

use domain::ids::SourceId;
use domain::inbound::notification::Outcome;
use domain::reports::calendar::start_of_day;
use domain::timestamp::Timestamp;
use engine::inbound::activity::Activity;
use serde::Serialize;

use crate::parts::chart::{Graph, Plot};
use crate::parts::status::ShownStatus;
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// The days that are counted.
pub const DAYS: u32 = 14;

#[derive(Debug, Serialize)]
pub struct Count {
    status: ShownStatus,
    /// The log with these requests.
    url: String,
    count: u64,
}

/// The requests of each day.
pub fn graph(viewer: &Viewer, activity: &Activity) -> Graph {
    let zone = viewer.formats.zone;
    let today = zone.from_utc(viewer.formats.now).date();
    let days: Vec<Timestamp> = (0..u64::from(DAYS))
        .rev()
        .map(|back| start_of_day(today.checked_sub_days(chrono::Days::new(back)).unwrap_or(today), zone))
        .collect();
    let mut values = vec![0; days.len()];
    for it in &activity.arrivals {
        let day = days.iter().rposition(|day| *day <= it.last_at);
        if let Some(value) = day.and_then(|day| values.get_mut(day)) {
            *value += it.count;
        }
    }
    let most = values.iter().copied().max().unwrap_or_default();
    let label = text("source.graph_label").count("count", values.iter().sum());
    let plot = Plot::new(label, "plot plot-s", 90.0, 2, most).bars("b1", &values);
    let title = |(day, value): (&Timestamp, &u64)| text("source.graph_day").day("day", *day).count("count", *value);
    let titles = days.iter().zip(&values).map(title).collect();
    Graph::new(vec![plot], &days, titles)
}

/// The counts by outcome, those that need attention last.
pub fn counts(id: SourceId, activity: &Activity) -> Vec<Count> {
    let all = activity.counts();
    let outcomes =
        [Outcome::Accepted, Outcome::Duplicate, Outcome::Waiting, Outcome::Ignored, Outcome::Refused, Outcome::Failed];
    let count = |outcome: Outcome| Count {
        status: outcome.into(),
        url: format!("/inbound-requests?source_id={id}&outcome={outcome}"),
        count: all.iter().filter(|it| it.outcome == outcome).map(|it| it.count).sum(),
    };
    outcomes.map(count).into()
}
