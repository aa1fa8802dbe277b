//! Approval: a postback of an affiliate that the program examines before it is fired.

use serde::{Deserialize, Serialize};

use crate::ids::PostbackId;

/// Whether the program has approved a postback. `not_required`: the program owns it, or it was saved while approval was
/// not required. `awaiting_approval`: it was created, or its configuration was changed, and nobody has examined it yet.
/// A postback that awaits approval or was refused is not fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// No approval is needed.
    #[default]
    NotRequired,
    /// Nobody has examined its configuration yet.
    AwaitingApproval,
    /// The program approved its configuration.
    Approved,
    /// The program refused its configuration.
    Refused,
}

text_enum!(Approval {
    NotRequired => "not_required",
    AwaitingApproval => "awaiting_approval",
    Approved => "approved",
    Refused => "refused",
});

impl Approval {
    /// Whether a postback in this state is fired.
    pub fn permits(self) -> bool {
        matches!(self, Self::NotRequired | Self::Approved)
    }
}

/// The setting for postbacks of affiliates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostbackSettings {
    /// Whether postbacks that affiliates create or reconfigure need approval.
    pub affiliates_need_approval: bool,
}

/// A postback that was never submitted for approval.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("postback {id} needs no approval; turn it off or delete it instead")]
pub struct ApprovalNotRequired {
    /// The postback.
    pub id: PostbackId,
}
