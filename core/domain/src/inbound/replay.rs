//! Replays of many inbound requests: they wait again and are processed by the worker, at a limited pace.

use std::time::Duration;

use super::inbound_request::{NOT_PROCESSED, OutcomeDetails};
use super::notification::Outcome;

/// The most requests that one replay processes.
pub const REPLAYED_AT_MOST: u32 = 1_000;

/// The requests of staff that are due in the same second.
const BATCH: u32 = 100;

/// Why many requests are not replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplayError {
    /// More requests match than were expected.
    #[error("{matching} requests match, and {expected} were expected; look at them, and send expected: {matching}")]
    CountChanged {
        /// The present number.
        matching: u32,
        /// The confirmed number.
        expected: u32,
    },
    /// No request matches.
    #[error("no request that can be processed again matches, so there is nothing to replay")]
    NothingMatches,
}

impl ReplayError {
    /// The stable error code of the API.
    pub fn code(self) -> &'static str {
        match self {
            Self::CountChanged { .. } => "retry_count_changed",
            Self::NothingMatches => "retry_nothing_matches",
        }
    }
}

/// Why a request of a replay waits until it is processed.
pub fn reason() -> OutcomeDetails {
    let sentence = "the request was replayed with many others and will be processed with the current settings";
    OutcomeDetails::new(Outcome::Waiting, NOT_PROCESSED, sentence)
}

/// The number of requests that are due together, and the time to the next ones. Affiliates replay as many in a minute as
/// one by one.
pub fn pace(is_affiliate: bool, retries_per_minute: u32) -> (usize, Duration) {
    match is_affiliate {
        true => (retries_per_minute.max(1) as usize, Duration::from_secs(60)),
        false => (BATCH as usize, Duration::from_secs(1)),
    }
}
