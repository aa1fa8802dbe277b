//! The attempts to send the postbacks of a conversion.

use domain::delivery::delivery::{Attempt, AttemptOutcome, DeliveryState};
use domain::timestamp::Timestamp;
use engine::delivery::deliveries::LoggedDelivery;
use serde::Serialize;

/// The last attempts of a delivery that are shown.
const ATTEMPTS: usize = 8;

/// An attempt, as a line below its delivery.
#[derive(Debug, Serialize)]
pub struct AttemptRow {
    /// The colour of the code.
    kind: &'static str,
    /// The HTTP status, or the code of the error.
    code: String,
    number: i32,
    error: Option<String>,
    at: Timestamp,
    duration_ms: u64,
}

impl From<&Attempt> for AttemptRow {
    fn from(attempt: &Attempt) -> Self {
        let status = attempt.status.map(|status| status.to_string());
        Self {
            kind: if attempt.outcome == AttemptOutcome::Accepted { "ok" } else { "bad" },
            code: status.or_else(|| attempt.error_code.clone()).unwrap_or_else(|| "–".to_owned()),
            number: attempt.number,
            error: attempt.error.clone(),
            at: attempt.at,
            duration_ms: u64::try_from(attempt.duration_ms).unwrap_or_default(),
        }
    }
}

/// The last attempts of a delivery.
pub fn last_attempts(logged: &LoggedDelivery) -> Vec<AttemptRow> {
    logged.attempts[logged.attempts.len().saturating_sub(ATTEMPTS)..].iter().map(AttemptRow::from).collect()
}

/// How many deliveries were accepted.
pub fn delivered(deliveries: &[LoggedDelivery]) -> u64 {
    let accepted = deliveries.iter().filter(|it| it.delivery.state == DeliveryState::Success);
    accepted.count().try_into().unwrap_or(u64::MAX)
}
