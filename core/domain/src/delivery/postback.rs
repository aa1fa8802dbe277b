//! Postbacks: destinations, each with a rule and an adapter configuration.

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, PostbackId};
use crate::people::actor::Actor;
use crate::timestamp::Timestamp;
use crate::tracking::event::Event;

use super::approval::{Approval, ApprovalNotRequired};
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

/// The caller that saved a version of a postback.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Saver {
    /// The stable name of the caller, as in the audit log.
    pub name: String,
    /// Whether it belongs to the program.
    pub is_staff: bool,
}

impl From<Actor> for Saver {
    fn from(actor: Actor) -> Self {
        Self { name: actor.name(), is_staff: actor.is_staff() }
    }
}

/// The state of a postback, in order of precedence. `awaiting_approval` and `refused`: it is not fired until the program
/// approves it. `off`: it is disabled. `failing`: its destination is paused after failures. `live`: it is fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PostbackStatus)]
pub enum Status {
    /// It is fired.
    Live,
    /// Its destination is paused.
    Failing,
    /// It is disabled.
    Off,
    /// It awaits approval.
    AwaitingApproval,
    /// The program refused it.
    Refused,
}

text_enum!(Status {
    Live => "live",
    Failing => "failing",
    Off => "off",
    AwaitingApproval => "awaiting_approval",
    Refused => "refused",
});

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
    /// Whether the program has approved it. Only postbacks of affiliates need approval, and only if the program wants it.
    pub approval: Approval,
    /// Why it was refused.
    pub refusal_reason: Option<String>,
    /// When the destination last accepted a test request.
    pub verified_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The number of its configuration, which each change increases. The first is 1.
    pub version: i32,
    /// The caller that saved this version; `None` if it is not known.
    pub saved_by: Option<Saver>,
    /// When it was archived; an archived postback is not fired.
    pub archived_at: Option<Timestamp>,
}

impl Postback {
    /// Whether it is fired for `event`, unless its adapter skips the event.
    pub fn admits(&self, event: &Event) -> bool {
        self.is_live() && event.reaches(self.owner) && self.rule.admits(event, event.status())
    }

    /// Whether it is enabled, not archived, and approved if that is needed.
    pub fn is_live(&self) -> bool {
        self.enabled && self.archived_at.is_none() && self.approval.permits()
    }

    /// Its state. `is_paused`: whether its destination is paused.
    pub fn status(&self, is_paused: bool) -> Status {
        match self.approval {
            Approval::AwaitingApproval => Status::AwaitingApproval,
            Approval::Refused => Status::Refused,
            _ if !self.enabled => Status::Off,
            _ if is_paused => Status::Failing,
            _ => Status::Live,
        }
    }

    /// Whether `other` has the same name, configuration, rule and switches.
    pub fn has_same_data(&self, other: &Self) -> bool {
        (&self.name, &self.config, &self.rule, self.ordering, self.enabled)
            == (&other.name, &other.config, &other.rule, other.ordering, other.enabled)
            && (self.verified_at, self.approval, &self.secret_origins)
                == (other.verified_at, other.approval, &other.secret_origins)
    }

    /// Approves the configuration. Returns whether the state changed.
    pub fn approve(&mut self) -> Result<bool, ApprovalNotRequired> {
        self.decide(Approval::Approved, None)
    }

    /// Refuses the configuration, also one that was approved. Returns whether the state changed.
    pub fn refuse(&mut self, reason: String) -> Result<bool, ApprovalNotRequired> {
        self.decide(Approval::Refused, Some(reason))
    }

    /// Submits the configuration, which an affiliate has just changed.
    pub fn submit(&mut self) {
        (self.approval, self.refusal_reason) = (Approval::AwaitingApproval, None);
    }

    fn decide(&mut self, approval: Approval, reason: Option<String>) -> Result<bool, ApprovalNotRequired> {
        if self.approval == Approval::NotRequired {
            return Err(ApprovalNotRequired { id: self.id });
        }
        let changed = (self.approval, &self.refusal_reason) != (approval, &reason);
        (self.approval, self.refusal_reason) = (approval, reason);
        Ok(changed)
    }
}
