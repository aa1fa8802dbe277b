//! Sending: a due delivery is prepared, sent and concluded.
//!
//! The stages are types: `Delivery` (claimed) → [`Prepared`] → [`Sent`] → a row of the attempt log and a new
//! state. Preparing and concluding work on batches, since databases and adapters like those; only the
//! request between them is made one by one. No transaction is open during HTTP. In front of the request stand the places
//! of its lane ([`Destinations`]); what finds none, or a breaker that is open, waits in the table.

mod breakers;
mod classify;
mod conclude;
mod finish;
mod late;
mod log;
mod preparation;
mod prepare;
mod render;
mod standing;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use crate::app::App;
use domain::delivery::breaker::{self, Failure, Outcome};
use domain::delivery::delivery::{AdapterLine, Delivery, Reason};
use domain::delivery::lane::destination_of;
use domain::ids::DeliveryId;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use egress::{Answer, EgressError};
use host::{AdapterError, wire as contract};

use super::plan::Plan;
use super::prepared::Prepared;
use super::secrets::SecretError;

pub use breakers::settle as settle_breakers;
pub use classify::Later;
pub use conclude::{Concluded, conclude};
pub use late::Late;
pub use log::{BODY_LOG_BYTES, Logged, kept_headers, text};
pub use prepare::{prepare, with_events};
pub use verdict::Verdict;

/// Sent, with what came back. An adapter that could not render has no request.
pub struct Sent {
    delivery: Delivery,
    claim: i64,
    event: Arc<Event>,
    plan: Arc<Plan>,
    /// As rendered: with the placeholders of secrets.
    request: Option<contract::Request>,
    log: Vec<AdapterLine>,
    result: Result<Answer, Trouble>,
    at: Timestamp,
    duration: Duration,
    /// Once its answer has been judged.
    verdict: Option<Verdict>,
}

/// Why no answer came.
enum Trouble {
    Adapter(AdapterError),
    Secret(SecretError),
    Egress(EgressError),
}

impl Sent {
    pub fn delivery_id(&self) -> DeliveryId {
        self.delivery.id
    }

    /// How long it held its place.
    pub fn took(&self) -> Duration {
        self.duration
    }

    /// What it told about the destination. The adapter's opinion of the answer does not matter: a destination that
    /// refuses, or answers nonsense, is there.
    pub fn outcome(&self, now: Timestamp) -> Outcome {
        match &self.result {
            Ok(answer) if breaker::is_failure(answer.status) => {
                let sentence = format!("it answered {}", answer.status);
                let reason = Reason::new(format!("http_{}", answer.status), sentence);
                Outcome::Failed(Failure { reason, timed_out: false, retry_after: verdict::retry_after(answer, now) })
            }
            Ok(_) => Outcome::Alive,
            Err(Trouble::Egress(error)) if error.is_destinations() => {
                let timed_out = matches!(error, EgressError::TimedOut { .. });
                let sentence = error.to_string().trim_end_matches('.').to_owned();
                Outcome::Failed(Failure { reason: Reason::new(error.code(), sentence), timed_out, retry_after: None })
            }
            Err(_) => Outcome::Unrelated,
        }
    }
}

/// Makes the request. Comes back with an answer or a reason, never later than the deadline.
pub async fn send(app: &App, prepared: Prepared) -> Sent {
    let Prepared { delivery, lease, event, plan, request, log } = prepared;
    let at = app.clock.now();
    let started = tokio::time::Instant::now();
    let result = match plan.reveal(&request, &delivery.id.to_string(), at) {
        Ok(outgoing) => {
            let span = tracing::error_span!("send", destination = destination_of(&request.url));
            let result = app.egress.send(outgoing, app.settings.request_timeout()).instrument(span).await;
            metrics::histogram!("postrider_delivery_seconds").record(started.elapsed());
            result.map_err(Trouble::Egress)
        }
        Err(error) => Err(Trouble::Secret(error)),
    };
    let duration = started.elapsed();
    Sent { delivery, claim: lease.claim, event, plan, request: Some(request), log, result, at, duration, verdict: None }
}

fn number_of(delivery: &Delivery) -> i32 {
    delivery.attempts + 1
}
