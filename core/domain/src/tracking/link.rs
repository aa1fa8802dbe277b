//! Links: one affiliate promotes one offer.

use serde::{Deserialize, Serialize};

use crate::archive;
use crate::ids::{AffiliateId, LinkId, OfferId};
use crate::timestamp::Timestamp;

/// The status of a link. `active`: visitors are redirected. `paused`: they get a "not found" page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkStatus {
    /// Visitors are redirected.
    #[default]
    Active,
    /// Visitors get a "not found" page.
    Paused,
}

text_enum!(LinkStatus { Active => "active", Paused => "paused" });

/// A link as it is stored.
#[derive(Clone, Debug)]
pub struct Link {
    /// Id of the link.
    pub id: LinkId,
    /// The affiliate.
    pub affiliate_id: AffiliateId,
    /// The offer.
    pub offer_id: OfferId,
    /// One page of the shop, on a host that the offer allowed when the link was saved.
    pub deep_url: Option<String>,
    /// The name of one of the offer's landing pages.
    pub landing_page: Option<String>,
    /// The current status.
    pub status: LinkStatus,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

impl Link {
    /// Whether visitors are redirected.
    pub fn is_open(&self) -> bool {
        self.status == LinkStatus::Active && self.archived_at.is_none()
    }

    /// Archives it. Repeating it has no effect.
    pub fn archive(&mut self, now: Timestamp) {
        archive::archive(&mut self.archived_at, &mut self.updated_at, now);
    }

    /// Restores it. Repeating it has no effect.
    pub fn restore(&mut self, now: Timestamp) {
        archive::restore(&mut self.archived_at, &mut self.updated_at, now);
    }
}
