//! Applications: an affiliate asks to promote an offer that is not open to everybody.

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, ApplicationId, OfferId};
use crate::timestamp::Timestamp;

#[derive(Clone, Debug)]
pub struct Application {
    pub id: ApplicationId,
    pub offer_id: OfferId,
    pub affiliate_id: AffiliateId,
    pub status: ApplicationStatus,
    /// What the affiliate wrote.
    pub message: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
    pub decided_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationStatus {
    Pending,
    Approved,
    Refused,
}

text_enum!(ApplicationStatus { Pending => "pending", Approved => "approved", Refused => "refused" });

impl Application {
    /// May be said at any time; saying it again changes nothing.
    pub fn approve(&mut self, at: Timestamp) {
        if self.status != ApplicationStatus::Approved {
            self.decide(ApplicationStatus::Approved, None, at);
        }
    }

    /// May be said at any time; what was approved is taken back by it.
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
