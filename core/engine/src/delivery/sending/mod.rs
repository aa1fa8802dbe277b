//! Sending: a due delivery is prepared, sent and concluded. The parent function is `deliver` in `pipeline/send.rs`.
//!
//! The stages are types: `Delivery` (claimed) → [`Prepared`] → [`Sent`] → an attempt and a new state. Preparing and
//! concluding work on batches; each request is made alone. No transaction is open during HTTP. A request needs a place
//! in its lane (`delivery/lanes`); deliveries without a place, or with an open breaker, are parked in the table.

mod breakers;
mod classify;
mod conclude;
mod context;
mod finish;
mod late;
mod log;
mod preparation;
mod prepare;
mod render;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use crate::app::App;
use domain::delivery::delivery::{AdapterLine, Delivery, Reason};
use domain::delivery::lane::breaker::{self, Failure, Outcome};
use domain::delivery::lane::destination_of;
use domain::delivery::sending::verdict::Verdict;
use domain::ids::DeliveryId;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use egress::{Answer, EgressError};
use host::{AdapterError, wire as contract};

use super::plan::Plan;
use super::prepared::Prepared;
use super::secrets::SecretError;

pub use breakers::synchronise as synchronise_breakers;
pub use classify::Later;
pub use conclude::{Concluded, conclude};
pub use late::Late;
pub(crate) use log::{BODY_LOG_BYTES, kept_headers};
pub use log::{Logged, text};
pub use preparation::Preparation;
pub use prepare::prepare;
pub(crate) use prepare::with_events;
pub(crate) use verdict::classify_test;

/// A sent delivery with its answer. There is no request if the adapter could not render one.
pub struct Sent {
    delivery: Delivery,
    claim: i64,
    event: Arc<Event>,
    plan: Arc<Plan>,
    /// As rendered, with placeholders in place of secrets.
    request: Option<contract::Request>,
    log: Vec<AdapterLine>,
    result: Result<Answer, SendError>,
    at: Timestamp,
    duration: Duration,
    /// Set when the answer has been classified.
    verdict: Option<Verdict>,
}

/// Why there is no answer.
enum SendError {
    Adapter(AdapterError),
    Secret(SecretError),
    Egress(EgressError),
}

impl Sent {
    /// The id of the delivery.
    pub fn delivery_id(&self) -> DeliveryId {
        self.delivery.id
    }

    /// The duration of the request.
    pub fn took(&self) -> Duration {
        self.duration
    }

    /// The result of the request for the health of its destination. The adapter's verdict does not matter: a
    /// destination that refuses a request works.
    pub fn outcome(&self, now: Timestamp) -> Outcome {
        match &self.result {
            Ok(answer) if breaker::is_failure(answer.status) => {
                let sentence = format!("it answered {}", answer.status);
                let reason = Reason::new(format!("http_{}", answer.status), sentence);
                Outcome::Failed(Failure { reason, timed_out: false, retry_after: verdict::retry_after(answer, now) })
            }
            Ok(_) => Outcome::Alive,
            Err(SendError::Egress(error)) if error.is_failure_of_destination() => {
                let timed_out = matches!(error, EgressError::TimedOut { .. });
                let sentence = error.to_string().trim_end_matches('.').to_owned();
                Outcome::Failed(Failure { reason: Reason::new(error.code(), sentence), timed_out, retry_after: None })
            }
            Err(_) => Outcome::Unrelated,
        }
    }
}

/// Makes the request. Returns before the request timeout, with an answer or an error.
pub async fn send(app: &App, prepared: Prepared) -> Sent {
    let Prepared { delivery, lease, event, plan, request, log } = prepared;
    let at = app.clock.now();
    let started = tokio::time::Instant::now();
    let result = match plan.reveal(&request, &delivery.id.to_string(), at) {
        Ok(outgoing) => {
            let span = tracing::error_span!("send", destination = destination_of(&request.url));
            let result = app.egress.send(outgoing, app.settings.request_timeout()).instrument(span).await;
            metrics::histogram!("postrider_delivery_seconds").record(started.elapsed());
            result.map_err(SendError::Egress)
        }
        Err(error) => Err(SendError::Secret(error)),
    };
    let duration = started.elapsed();
    Sent { delivery, claim: lease.claim, event, plan, request: Some(request), log, result, at, duration, verdict: None }
}

/// The number of the delivery's next attempt, from 1.
fn number_of(delivery: &Delivery) -> i32 {
    delivery.attempts + 1
}
