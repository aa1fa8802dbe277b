//! Postbacks: destinations, each with its rule and its adapter's configuration.

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, PostbackId};
use crate::timestamp::Timestamp;

use super::rules::Rule;

/// Whether a newer state of a conversion replaces an older one that was not yet accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// Only the latest state counts: a late retry must not undo the truth.
    #[default]
    Latest,
    /// Every state arrives, in order, as CRMs ask for.
    All,
}

text_enum!(Ordering { Latest => "latest", All => "all" });

#[derive(Clone, Debug)]
pub struct Postback {
    pub id: PostbackId,
    pub name: String,
    /// The template of the catalogue that it was made of.
    pub template: Option<String>,
    pub adapter: String,
    pub adapter_version: String,
    /// Secrets in it are sealed.
    pub config: serde_json::Value,
    /// Where its secrets may go when the adapter leaves that to the configuration: `https://host[:port]`.
    pub secret_origins: Vec<String>,
    pub rule: Rule,
    pub ordering: Ordering,
    pub enabled: bool,
    /// The affiliate who set it up and sees its log; `None` for the operator's own.
    pub owner: Option<AffiliateId>,
    /// When a test request was last accepted.
    pub verified_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub archived_at: Option<Timestamp>,
}

impl Postback {
    pub fn is_live(&self) -> bool {
        self.enabled && self.archived_at.is_none()
    }
}
