//! Postbacks: destinations, each with a rule and an adapter configuration.

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, PostbackId};
use crate::timestamp::Timestamp;

use super::rules::Rule;

/// Whether a newer state of a conversion replaces older states that are not yet accepted. `latest`: only the latest
/// state is sent, so a late retry cannot overwrite it. `all`: every state is sent, in order; CRMs need this.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// Only the latest state is sent: a late retry can't overwrite a newer state.
    #[default]
    Latest,
    /// Every state is sent, in order. CRMs need this.
    All,
}

text_enum!(Ordering { Latest => "latest", All => "all" });

/// A postback as it is stored.
#[derive(Clone, Debug)]
pub struct Postback {
    /// Id of the postback.
    pub id: PostbackId,
    /// The name that people see.
    pub name: String,
    /// Id of the catalogue template that it was made from.
    pub template: Option<String>,
    /// Id of the adapter that makes its requests.
    pub adapter: String,
    /// Version of that adapter.
    pub adapter_version: String,
    /// The adapter's configuration. Secrets in it are sealed.
    pub config: serde_json::Value,
    /// Where its secrets may be sent if the adapter leaves the host to the configuration: `https://host[:port]`.
    pub secret_origins: Vec<String>,
    /// Which events it is fired for.
    pub rule: Rule,
    /// Whether older states of a conversion are replaced.
    pub ordering: Ordering,
    /// Whether it is fired.
    pub enabled: bool,
    /// The affiliate that created it and sees its log; `None` for the operator's own.
    pub owner: Option<AffiliateId>,
    /// When the destination last accepted a test request.
    pub verified_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived; an archived postback is not fired.
    pub archived_at: Option<Timestamp>,
}

impl Postback {
    /// Whether it is enabled and not archived.
    pub fn is_live(&self) -> bool {
        self.enabled && self.archived_at.is_none()
    }
}
