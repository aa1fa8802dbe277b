//! Retry jobs: they retry all deliveries that match a filter, in batches and at a limited rate.
//!
//! A job goes through its deliveries from the newest to the oldest and examines each once. So a delivery that fails
//! again behind it is not retried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, ClickId, ConversionId, DeliveryId, EventId, OfferId, PostbackId, RetryJobId};
use crate::timestamp::Timestamp;

use super::answer::AnswerFilter;
use super::delivery::{Delivery, DeliveryState};

/// The status of a retry job. `running`: it retries deliveries. `done`: no more deliveries match. `cancelled`: a person
/// cancelled it; deliveries that it retried before stay retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryJobStatus {
    /// It retries deliveries.
    Running,
    /// No more deliveries match.
    Done,
    /// A person cancelled it.
    Cancelled,
}

text_enum!(RetryJobStatus { Running => "running", Done => "done", Cancelled => "cancelled" });

/// Which deliveries have ended in a way that they can be retried. `failed`: they were refused or given up. `cancelled`:
/// they were cancelled before they were sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryableStatus {
    /// They were refused or given up.
    #[default]
    Failed,
    /// They were cancelled before they were sent.
    Cancelled,
}

text_enum!(RetryableStatus { Failed => "failed", Cancelled => "cancelled" });

impl RetryableStatus {
    /// The state of such deliveries.
    pub fn state(self) -> DeliveryState {
        match self {
            Self::Failed => DeliveryState::Failed,
            Self::Cancelled => DeliveryState::Cancelled,
        }
    }
}

/// The deliveries of a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RetryFilter {
    /// How they ended.
    pub status: RetryableStatus,
    /// Only of this postback.
    pub postback_id: Option<PostbackId>,
    /// Only of this conversion.
    pub conversion_id: Option<ConversionId>,
    /// Only of this event.
    pub event_id: Option<EventId>,
    /// Only of events of this affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// Only of events of this offer.
    pub offer_id: Option<OfferId>,
    /// Only of conversions with this transaction id.
    pub transaction_id: Option<String>,
    /// Only of this click and its conversions.
    pub click_id: Option<ClickId>,
    /// Only with this answer to the last attempt.
    pub http_status: Option<AnswerFilter>,
    /// Only without an attempt.
    #[serde(default)]
    pub not_sent: bool,
    /// Only with a reason of this code.
    pub reason_code: Option<String>,
    /// Only with a reason that contains this text.
    pub reason: Option<String>,
    /// Only of events since this time.
    pub from: Option<Timestamp>,
    /// Only of events before this time.
    pub until: Timestamp,
}

/// A job that retries many deliveries.
#[derive(Clone, Debug)]
pub struct RetryJob {
    /// Id of the job.
    pub id: RetryJobId,
    /// The affiliate whose postbacks' deliveries it retries; `None` for all.
    pub owner: Option<AffiliateId>,
    /// The deliveries.
    pub filter: RetryFilter,
    /// The status.
    pub status: RetryJobStatus,
    /// The number of deliveries that matched when it was created. It retries no more.
    pub matching: u32,
    /// Deliveries that it retried.
    pub retried: u32,
    /// Deliveries that it left out, because they had changed before it reached them.
    pub skipped: u32,
    /// The last delivery that it examined.
    pub cursor: Option<DeliveryId>,
    /// When its next batch is due.
    pub due_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ended.
    pub settled_at: Option<Timestamp>,
}

/// The deliveries of a batch of staff's jobs, which is due every second.
const BATCH: u32 = 100;

/// Why a job cannot be created or cancelled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RetryJobError {
    /// More deliveries match than were expected.
    #[error("{matching} deliveries match, and {expected} were expected; look at them, and send expected: {matching}")]
    CountChanged {
        /// The present number.
        matching: u32,
        /// The confirmed number.
        expected: u32,
    },
    /// No delivery matches.
    #[error("no delivery matches, so there is nothing to retry")]
    NothingMatches,
    /// A job of the affiliate is running.
    #[error("a retry job of this affiliate is running; wait for its end, or cancel it")]
    Running,
    /// The job has ended.
    #[error("retry job {id} is {status}; only a running job can be cancelled")]
    Ended {
        /// The job.
        id: RetryJobId,
        /// Its status.
        status: RetryJobStatus,
    },
}

impl RetryJobError {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CountChanged { .. } => "retry_count_changed",
            Self::NothingMatches => "retry_nothing_matches",
            Self::Running => "retry_job_running",
            Self::Ended { .. } => "retry_job_ended",
        }
    }
}

impl RetryJob {
    /// The maximum number of deliveries of the next batch, and the time until the one after it. Affiliates retry as many
    /// in a minute as one by one.
    pub fn pace(&self, retries_per_minute: u32) -> (u32, Duration) {
        let left = self.matching.saturating_sub(self.retried);
        match self.owner {
            Some(_) => (retries_per_minute.min(left), Duration::from_secs(60)),
            None => (BATCH.min(left), Duration::from_secs(1)),
        }
    }

    /// Retries `delivery` as a part of the job. Returns whether it did: a delivery that has changed meanwhile, such as one
    /// that a person retried, is left out.
    pub fn retry(&mut self, delivery: &mut Delivery, now: Timestamp) -> bool {
        let retried = delivery.state == self.filter.status.state() && delivery.retry(now).is_ok();
        if retried {
            self.retried += 1;
        } else {
            self.skipped += 1;
        }
        self.cursor = Some(delivery.id);
        retried
    }

    /// The job after a batch: it ends if no more deliveries match, or if it retried as many as were confirmed.
    pub fn after_batch(&mut self, are_more: bool, wait: Duration, now: Timestamp) {
        if are_more && self.retried < self.matching {
            self.due_at = now.plus(wait);
        } else {
            self.end(RetryJobStatus::Done, now);
        }
    }

    /// A person cancels the job.
    ///
    /// # Errors
    /// It has ended.
    pub fn cancel(&mut self, now: Timestamp) -> Result<(), RetryJobError> {
        if self.status != RetryJobStatus::Running {
            return Err(RetryJobError::Ended { id: self.id, status: self.status });
        }
        self.end(RetryJobStatus::Cancelled, now);
        Ok(())
    }

    fn end(&mut self, status: RetryJobStatus, now: Timestamp) {
        self.status = status;
        self.settled_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::sending::decision::samples;

    const NOW: Timestamp = Timestamp::from_millis(10_000);

    fn job(owner: Option<AffiliateId>, matching: u32) -> RetryJob {
        RetryJob {
            id: RetryJobId::new(NOW),
            owner,
            filter: RetryFilter {
                status: RetryableStatus::Failed,
                postback_id: None,
                conversion_id: None,
                event_id: None,
                affiliate_id: None,
                offer_id: None,
                transaction_id: None,
                click_id: None,
                http_status: None,
                not_sent: false,
                reason_code: None,
                reason: None,
                from: None,
                until: NOW,
            },
            status: RetryJobStatus::Running,
            matching,
            retried: 0,
            skipped: 0,
            cursor: None,
            due_at: NOW,
            created_at: NOW,
            settled_at: None,
        }
    }

    #[test]
    fn a_job_retries_only_what_still_has_its_status() {
        use DeliveryState::{Cancelled, Failed, Pending, Success, Superseded};
        for (state, expected) in
            [(Failed, true), (Cancelled, false), (Pending, false), (Success, false), (Superseded, false)]
        {
            let mut job = job(None, 10);
            let mut delivery = Delivery { state, ..samples::delivery(1) };
            assert_eq!(job.retry(&mut delivery, NOW), expected, "{state}");
            assert_eq!((job.retried, job.skipped), (u32::from(expected), u32::from(!expected)), "{state}");
            assert_eq!(delivery.state, if expected { Pending } else { state });
            assert_eq!(job.cursor, Some(delivery.id));
        }
    }

    #[test]
    fn a_batch_is_as_large_as_the_rate_and_the_confirmed_number_allow() {
        let affiliate = Some(AffiliateId::new(NOW));
        for (owner, matching, retried, expected) in [
            (None, 1_000, 0, (100, 1)),
            (None, 1_000, 950, (50, 1)),
            (affiliate, 1_000, 0, (120, 60)),
            (affiliate, 100, 0, (100, 60)),
        ] {
            let job = RetryJob { retried, ..job(owner, matching) };
            assert_eq!(job.pace(120), (expected.0, Duration::from_secs(expected.1)), "{matching} {retried}");
        }
    }

    #[test]
    fn a_job_ends_when_nothing_is_left_or_it_is_cancelled() {
        use RetryJobStatus::{Cancelled, Done, Running};
        for (are_more, retried, status) in [(true, 5, Running), (false, 5, Done), (true, 10, Done)] {
            let mut job = RetryJob { retried, ..job(None, 10) };
            job.after_batch(are_more, Duration::from_secs(1), NOW);
            assert_eq!((job.status, job.settled_at.is_some()), (status, status == Done), "{are_more} {retried}");
            assert_eq!(job.cancel(NOW).is_ok(), status == Running);
            assert_eq!(job.status, if status == Running { Cancelled } else { Done });
        }
    }
}
