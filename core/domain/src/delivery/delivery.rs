//! Deliveries: one event owed to one postback. Terminal or scheduled at any time, and never neither.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, ConversionId, DeliveryId, EventId, PostbackId};
use crate::timestamp::Timestamp;
use crate::tracking::event::Event;

/// Where a delivery stands; all but `Pending` are terminal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for `due_at`, or is being sent.
    Pending,
    /// The destination accepted it.
    Success,
    /// Given up; a person may retry it.
    Failed,
    /// The rules no longer let it through.
    Cancelled,
    /// A newer state of the same conversion took its place.
    Superseded,
}

text_enum!(DeliveryState {
    Pending => "pending",
    Success => "success",
    Failed => "failed",
    Cancelled => "cancelled",
    Superseded => "superseded",
});

/// Why a delivery is in its state: a stable code and a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    pub code: String,
    pub sentence: String,
}

impl Reason {
    pub fn new(code: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { code: code.into(), sentence: sentence.into() }
    }
}

/// One event owed to one postback.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event_id: EventId,
    pub postback_id: PostbackId,
    pub conversion_id: Option<ConversionId>,
    pub revision: i32,
    pub affiliate_id: AffiliateId,
    pub state: DeliveryState,
    pub reason: Option<Reason>,
    pub due_at: Timestamp,
    /// Until when the worker that claimed it may keep it.
    pub lease_until: Option<Timestamp>,
    /// Attempts made, ever.
    pub attempts: i32,
    /// Attempts made before the last manual retry: the schedule counts from there.
    pub attempts_before_retry: i32,
    pub created_at: Timestamp,
    pub settled_at: Option<Timestamp>,
}

/// A retry that makes no sense.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRetryable {
    #[error("delivery {0} was accepted by its destination; there is nothing to retry")]
    Accepted(DeliveryId),
    #[error("delivery {0} is being sent right now; look again in a moment")]
    InFlight(DeliveryId),
    #[error("delivery {0} was superseded by a newer state of its conversion; retry that delivery instead")]
    Superseded(DeliveryId),
}

impl NotRetryable {
    pub fn code(&self) -> &'static str {
        match self {
            Self::InFlight(_) => "delivery_in_flight",
            Self::Accepted(_) | Self::Superseded(_) => "delivery_not_retryable",
        }
    }
}

impl Delivery {
    /// A new one, due at `due_at`.
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

    /// It ends before anything was sent.
    pub fn cancelled(self, reason: Reason, now: Timestamp) -> Self {
        Self { state: DeliveryState::Cancelled, reason: Some(reason), settled_at: Some(now), ..self }
    }

    /// A person wants it sent now. The schedule starts anew; attempts already made stay in the log.
    pub fn retry(&mut self, now: Timestamp) -> Result<(), NotRetryable> {
        match self.state {
            DeliveryState::Success => return Err(NotRetryable::Accepted(self.id)),
            DeliveryState::Superseded => return Err(NotRetryable::Superseded(self.id)),
            // What comes of the attempt under way would overwrite the wish.
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

    pub fn in_flight(&self, now: Timestamp) -> bool {
        self.state == DeliveryState::Pending && self.lease_until.is_some_and(|until| until > now)
    }
}

/// How one attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    Accepted,
    /// Will be, or would have been, tried again.
    Retry,
    Refused,
}

text_enum!(AttemptOutcome { Accepted => "accepted", Retry => "retry", Refused => "refused" });

/// A line that an adapter logged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AdapterLine {
    #[schema(example = "info")]
    pub level: String,
    pub message: String,
}

impl AdapterLine {
    pub fn new(level: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level: level.into(), message: message.into() }
    }
}

/// One HTTP request and its answer, as the log keeps it.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub delivery_id: DeliveryId,
    pub number: i32,
    pub at: Timestamp,
    pub duration_ms: i32,
    /// Empty when the adapter could not say what to send.
    pub method: String,
    pub url: String,
    pub request_headers: Vec<(String, String)>,
    pub request_body: Option<String>,
    pub status: Option<i32>,
    pub response_headers: Vec<(String, String)>,
    /// The first 16 KiB, decompressed.
    pub response_body: Option<String>,
    /// Something of the request or the answer was longer than what is kept.
    pub truncated: bool,
    pub outcome: AttemptOutcome,
    pub error_code: Option<String>,
    pub error: Option<String>,
    /// What its adapter logged while it rendered the request and read the answer.
    pub adapter_log: Vec<AdapterLine>,
}

impl Attempt {
    /// Roughly what it takes in memory and in an answer.
    pub fn bytes(&self) -> usize {
        let headers = self.request_headers.iter().chain(&self.response_headers);
        let texts = [&self.request_body, &self.response_body, &self.error].into_iter().flatten();
        self.url.len()
            + headers.map(|(name, value)| name.len() + value.len()).sum::<usize>()
            + texts.map(String::len).sum::<usize>()
            + self.adapter_log.iter().map(|line| line.message.len()).sum::<usize>()
    }
}

/// A delivery and the event that it tells of.
#[derive(Clone, Debug)]
pub struct EventDelivery {
    pub delivery: Delivery,
    /// `None`: it is older than the retention and was deleted.
    pub event: Option<Arc<Event>>,
}
