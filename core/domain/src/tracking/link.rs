//! Links: one affiliate promoting one offer.

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, LinkId, OfferId};
use crate::timestamp::Timestamp;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkStatus {
    Active,
    Paused,
}

text_enum!(LinkStatus { Active => "active", Paused => "paused" });

#[derive(Clone, Debug)]
pub struct Link {
    pub id: LinkId,
    pub affiliate_id: AffiliateId,
    pub offer_id: OfferId,
    /// One page of the shop; it was on a host that the offer allowed when it was saved.
    pub deep_url: Option<String>,
    /// The name of one of the offer's landing pages.
    pub landing_page: Option<String>,
    pub status: LinkStatus,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
