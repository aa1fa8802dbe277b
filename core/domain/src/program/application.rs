//! Applications: an affiliate applies to promote an offer that is not open to everybody.

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, ApplicationId, OfferId};
use crate::timestamp::Timestamp;

/// An application as it is stored.
#[derive(Clone, Debug)]
pub struct Application {
    /// Id of the application.
    pub id: ApplicationId,
    /// The offer.
    pub offer_id: OfferId,
    /// The affiliate.
    pub affiliate_id: AffiliateId,
    /// The current status.
    pub status: ApplicationStatus,
    /// The affiliate's message.
    pub message: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// When it was approved or refused.
    pub decided_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The status of an application. `pending`: it waits for a decision. `approved`: the affiliate may promote the offer.
/// `refused`: it may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationStatus {
    /// Waits for a decision.
    Pending,
    /// The affiliate may promote the offer.
    Approved,
    /// The affiliate may not promote the offer.
    Refused,
}

text_enum!(ApplicationStatus { Pending => "pending", Approved => "approved", Refused => "refused" });

impl Application {
    /// Approves the application in any status; repeating it has no effect.
    pub fn approve(&mut self, at: Timestamp) {
        if self.status != ApplicationStatus::Approved {
            self.decide(ApplicationStatus::Approved, None, at);
        }
    }

    /// Refuses the application in any status; this also revokes an approval.
    pub fn refuse(&mut self, reason: String, at: Timestamp) {
        if self.status != ApplicationStatus::Refused || self.reason.as_ref() != Some(&reason) {
            self.decide(ApplicationStatus::Refused, Some(reason), at);
        }
    }

    fn decide(&mut self, status: ApplicationStatus, reason: Option<String>, at: Timestamp) {
        self.status = status;
        self.reason = reason;
        self.decided_at = Some(at);
        self.updated_at = at;
    }

    /// Whether the affiliate may promote the offer.
    pub fn admits(&self) -> bool {
        self.status == ApplicationStatus::Approved
    }
}
