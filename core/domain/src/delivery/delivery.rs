//! Deliveries: one event on its way to one postback. At any time a delivery is either scheduled or in a final state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, ConversionId, DeliveryId, EventId, PostbackId};
use crate::timestamp::Timestamp;
use crate::tracking::event::Event;

/// The status of a delivery; all but `pending` are final. `pending`: it waits, or is being sent. `success`: the
/// destination accepted it. `failed`: it was refused, or its last attempt failed; it can be retried. `cancelled`: the
/// rule of its postback no longer matches, or the postback is disabled or deleted; it can be retried. `superseded`: a
/// newer state of the same conversion replaced it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeliveryStatus)]
pub enum DeliveryState {
    /// It waits for its due time, or is being sent.
    Pending,
    /// The destination accepted it.
    Success,
    /// It was given up after its last attempt, or was refused; a person can retry it.
    Failed,
    /// The rule of its postback no longer admits it.
    Cancelled,
    /// A newer state of the same conversion replaced it.
    Superseded,
}

text_enum!(DeliveryState {
    Pending => "pending",
    Success => "success",
    Failed => "failed",
    Cancelled => "cancelled",
    Superseded => "superseded",
});

/// Why a delivery is in its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// A stable code.
    pub code: String,
    /// A sentence for people.
    pub sentence: String,
}

impl Reason {
    /// A reason of this code and sentence.
    pub fn new(code: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { code: code.into(), sentence: sentence.into() }
    }
}

/// One event on its way to one postback.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Id of the delivery.
    pub id: DeliveryId,
    /// The event.
    pub event_id: EventId,
    /// The postback.
    pub postback_id: PostbackId,
    /// The conversion of the event.
    pub conversion_id: Option<ConversionId>,
    /// The revision of the conversion in the event.
    pub revision: i32,
    /// The affiliate of the event.
    pub affiliate_id: AffiliateId,
    /// The current state.
    pub state: DeliveryState,
    /// Why it is in that state.
    pub reason: Option<Reason>,
    /// When it is to be sent next.
    pub due_at: Timestamp,
    /// The end of the lease of the worker that claimed it.
    pub lease_until: Option<Timestamp>,
    /// Attempts so far.
    pub attempts: i32,
    /// Attempts before the last manual retry: the schedule counts from there.
    pub attempts_before_retry: i32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it entered its final state.
    pub settled_at: Option<Timestamp>,
}

/// Why a delivery can't be retried.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRetryable {
    /// The destination accepted it.
    #[error("delivery {0} was accepted by its destination; there is nothing to retry")]
    Accepted(DeliveryId),
    /// It is being sent.
    #[error("delivery {0} is being sent right now; try again in a moment")]
    InFlight(DeliveryId),
    /// A newer delivery replaced it.
    #[error("delivery {0} was superseded by a newer state of its conversion; retry that delivery instead")]
    Superseded(DeliveryId),
}

impl NotRetryable {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InFlight(_) => "delivery_in_flight",
            Self::Accepted(_) | Self::Superseded(_) => "delivery_not_retryable",
        }
    }
}

impl Delivery {
    /// A new delivery of `event`, due at `due_at`.
    pub fn pending(event: &Event, postback_id: PostbackId, due_at: Timestamp, now: Timestamp) -> Self {
        Self {
            id: DeliveryId::of(event.id, postback_id),
            event_id: event.id,
            postback_id,
            conversion_id: event.conversion_id,
            revision: event.revision,
            affiliate_id: event.affiliate_id,
            state: DeliveryState::Pending,
            reason: None,
            due_at,
            lease_until: None,
            attempts: 0,
            attempts_before_retry: 0,
            created_at: now,
            settled_at: None,
        }
    }

    /// The delivery, cancelled before it was sent.
    pub fn cancelled(self, reason: Reason, now: Timestamp) -> Self {
        Self { state: DeliveryState::Cancelled, reason: Some(reason), settled_at: Some(now), ..self }
    }

    /// A person retries the delivery: it is due at `now`, and its schedule starts again. Earlier attempts stay in the
    /// log.
    ///
    /// # Errors
    /// The delivery was accepted or superseded, or an attempt is in progress.
    pub fn retry(&mut self, now: Timestamp) -> Result<(), NotRetryable> {
        match self.state {
            DeliveryState::Success => return Err(NotRetryable::Accepted(self.id)),
            DeliveryState::Superseded => return Err(NotRetryable::Superseded(self.id)),
            // The result of the attempt in progress would overwrite the retry.
            DeliveryState::Pending if self.in_flight(now) => return Err(NotRetryable::InFlight(self.id)),
            DeliveryState::Pending | DeliveryState::Failed | DeliveryState::Cancelled => {}
        }
        self.state = DeliveryState::Pending;
        self.reason = None;
        self.settled_at = None;
        self.due_at = now;
        self.attempts_before_retry = self.attempts;
        Ok(())
    }

    /// Whether a worker has a lease on it at `now`.
    pub fn in_flight(&self, now: Timestamp) -> bool {
        self.state == DeliveryState::Pending && self.lease_until.is_some_and(|until| until > now)
    }
}

/// How one attempt ended. `accepted`: the destination accepted the request. `retry`: it failed and is tried again,
/// unless it was the last attempt. `refused`: the destination refused it, and it is not tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The destination accepted it.
    Accepted,
    /// It failed; it is tried again, unless this was the last attempt.
    Retry,
    /// The destination refused it for good.
    Refused,
}

text_enum!(AttemptOutcome { Accepted => "accepted", Retry => "retry", Refused => "refused" });

/// A line that an adapter logged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AdapterLine {
    /// The log level: debug, info, warn or error.
    #[schema(example = "info")]
    pub level: String,
    /// The message.
    pub message: String,
}

impl AdapterLine {
    /// A line of this level and message.
    pub fn new(level: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: level.into(), message: message.into() }
    }
}

/// One HTTP request and its response, as stored in the log.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The number of the attempt, counted from 1.
    pub number: i32,
    /// When the request was sent.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i32,
    /// HTTP method; empty if the adapter could not render the request.
    pub method: String,
    /// URL of the request.
    pub url: String,
    /// Names and values of the request headers.
    pub request_headers: Vec<(String, String)>,
    /// Body of the request.
    pub request_body: Option<String>,
    /// HTTP status of the response; `None` if there was no response.
    pub status: Option<i32>,
    /// Names and values of the response headers.
    pub response_headers: Vec<(String, String)>,
    /// The first 16 KiB of the body, decompressed.
    pub response_body: Option<String>,
    /// Whether a part of the request or response was too long to be stored.
    pub truncated: bool,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Stable code of the error.
    pub error_code: Option<String>,
    /// The error as a sentence.
    pub error: Option<String>,
    /// The lines that the adapter logged while it rendered the request and interpreted the response.
    pub adapter_log: Vec<AdapterLine>,
}

impl Attempt {
    /// The approximate size in memory and in an API response, in bytes.
    pub fn bytes(&self) -> usize {
        let headers = self.request_headers.iter().chain(&self.response_headers);
        let texts = [&self.request_body, &self.response_body, &self.error].into_iter().flatten();
        self.url.len()
            + headers.map(|(name, value)| name.len() + value.len()).sum::<usize>()
            + texts.map(String::len).sum::<usize>()
            + self.adapter_log.iter().map(|line| line.message.len()).sum::<usize>()
    }
}

/// A pending delivery and its event.
#[derive(Clone, Debug)]
pub struct EventDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// `None` if the event is older than the retention time and was deleted.
    pub event: Option<Arc<Event>>,
}
