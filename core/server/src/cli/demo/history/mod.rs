//! The past of the demo: ninety days of a program, made by the API while the clock of the server is moved through them.
//!
//! Two servers live through it, one after the other. The first runs no workers, so most of the time passes quickly. The
//! second one lives through the last days with its workers, so that postbacks are sent, fail and are retried. Visits are
//! inserted directly, because a click has no effect besides its row, and because no address of a demo has a country.

mod agenda;
mod cast;
mod inbound;
mod money;
mod postbacks;
mod sales;
mod visits;

use std::time::Duration;

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;

use domain::timestamp::Timestamp;
use engine::app::App;
use engine::money::releases;
use engine::people::outbox;
use storage::clock::Clock;

use super::in_debug;
use super::tracker::Tracker;
use crate::cli::api::Api;
use agenda::{Agenda, Deed};
use sales::Sales;

pub use cast::{ADA, COFFEE, Cast, GRACE, KATHERINE, PRO, People};

/// The same numbers at each start: only ids, keys and times differ.
const SEED: u64 = 20_260_310;
const DAYS: u64 = 90;
/// The last days, in which postbacks exist and the workers run.
const WATCHED_DAYS: u64 = 10;

pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// More than one deed causes.
const MAILS_AT_ONCE: usize = 100;

const POLL_INTERVAL: Duration = Duration::from_millis(2);
const IDLE_LIMIT: Duration = Duration::from_secs(10 * in_debug(20));

/// The beginning, the first watched moment and the end of the past.
#[derive(Clone, Copy)]
pub struct Times {
    pub start: Timestamp,
    pub watched: Timestamp,
    pub end: Timestamp,
}

impl Times {
    /// The ninety days before this moment.
    pub fn until_now() -> Self {
        let end = Clock::system().now();
        let days = |days| Duration::from_secs(days * 86_400);
        Self { start: end.minus(days(DAYS)), watched: end.minus(days(WATCHED_DAYS)), end }
    }
}

/// A server that lives through a part of the past.
pub struct Stage<'a> {
    /// The API with the admin key.
    pub api: Api,
    pub app: App,
    pub clock: Clock,
    pub tracker: &'a Tracker,
    pub times: Times,
}

impl Stage<'_> {
    /// Moves the clock, and ends the holds that end until then.
    async fn move_to(&self, at: i64) -> anyhow::Result<()> {
        let span = Timestamp::from_millis(at).since(self.clock.now());
        self.clock.advance(span.max(Duration::from_millis(1)));
        while releases::release_due(&self.app).await? == releases::CHUNK {}
        Ok(())
    }

    /// Writes the mails of this time to the data folder. Without workers they would be too old when the workers start.
    async fn send_mails(&self) -> anyhow::Result<()> {
        for mail in outbox::claim_due(&self.app, MAILS_AT_ONCE).await? {
            outbox::send(&self.app, mail).await?;
        }
        Ok(())
    }

    /// Waits until the workers have nothing to do at this time. A delivery in flight would be sent again if the clock moved.
    async fn settle(&self) -> anyhow::Result<()> {
        let wait = async {
            while !self.app.is_idle().await? {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(IDLE_LIMIT, wait).await.context("the deliveries of the demo's past do not end")?
    }
}

/// What is known between the two servers.
pub struct Past {
    pub cast: Cast,
    sales: Sales,
    agenda: Agenda,
}

/// Creates the program and lives through all days before the watched ones.
pub async fn begin(stage: &Stage<'_>) -> anyhow::Result<Past> {
    let mut random = StdRng::seed_from_u64(SEED);
    let cast = cast::create(stage).await?;
    stage.send_mails().await?;
    let visits = visits::make(&cast, stage, &mut random).await?;
    let mut agenda = Agenda::default();
    let sales = sales::plan(&visits, stage.times, &mut agenda, &mut random);
    money::plan(stage.times, &mut agenda);
    inbound::plan(&visits, stage.times, &mut agenda);
    let mut past = Past { cast, sales, agenda };
    past.live_until(stage, stage.times.watched).await?;
    Ok(past)
}

/// Lives through the watched days, with workers. The clock then runs by itself.
pub async fn finish(stage: &Stage<'_>, mut past: Past) -> anyhow::Result<Cast> {
    stage.settle().await?;
    postbacks::create(stage, &past.cast).await?;
    let sources = inbound::set_up(stage, &past.cast).await?;
    past.agenda.sources = Some(sources);
    past.live_until(stage, stage.times.end).await?;
    cast::conclude(stage, &past.cast).await?;
    stage.settle().await?;
    stage.clock.run_from(Clock::system().now());
    Ok(past.cast)
}

impl Past {
    async fn live_until(&mut self, stage: &Stage<'_>, until: Timestamp) -> anyhow::Result<()> {
        let is_watched = stage.app.settings.role == engine::config::Role::All;
        while let Some((at, deed)) = self.agenda.take_before(until.millis()) {
            stage.move_to(at).await?;
            if is_watched {
                stage.settle().await?;
            }
            self.perform(stage, &deed).await.with_context(|| format!("the demo's past failed at {deed:?}"))?;
            if is_watched {
                stage.settle().await?;
            } else if matches!(deed, Deed::Money(_)) {
                stage.send_mails().await?;
            }
        }
        stage.move_to(until.millis()).await
    }

    async fn perform(&mut self, stage: &Stage<'_>, deed: &Deed) -> anyhow::Result<()> {
        match deed {
            Deed::Report { sale, status } => self.sales.report(stage, *sale, status).await,
            Deed::Reject { sale, reason } => self.sales.reject(stage, *sale, reason).await,
            Deed::Money(step) => money::perform(stage, &self.cast, &mut self.agenda.withdrawals, step).await,
            Deed::Notify(notification) => {
                let sources = self.agenda.sources.as_ref().context("there are no sources yet")?;
                inbound::notify(stage, sources, notification).await
            }
            Deed::BreakTracker => {
                stage.tracker.refuse(postbacks::BROKEN, &[500]);
                Ok(())
            }
        }
    }
}

/// A number of weighted choices: the index of one of them.
fn weighted(weights: impl Iterator<Item = u32> + Clone, random: &mut StdRng) -> usize {
    use rand::Rng;
    let mut rest = random.random_range(0..weights.clone().sum::<u32>());
    for (index, weight) in weights.enumerate() {
        match rest.checked_sub(weight) {
            Some(left) => rest = left,
            None => return index,
        }
    }
    0
}

/// The one object of an answer to an array of conversions.
fn only_item(answer: &serde_json::Value) -> anyhow::Result<&serde_json::Value> {
    let item = &answer["items"][0];
    let is_done = item["http_status"].as_u64().is_some_and(|status| status < 300);
    ensure!(is_done, "a conversion of the demo was refused: {item}");
    Ok(item)
}
