//! The plan of a postback's requests: its adapter, the configuration that the adapter sees, and the secrets that it
//! does not see.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::adapter::fair_queue::Urgency;
use domain::delivery::delivery::Reason;
use domain::delivery::postback::Postback;
use domain::program::buyer_visibility::BuyerVisibility;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use egress::Outgoing;
use host::{Adapter, AdapterError, wire as contract};

use super::adapters::{Availability, CallLine, Group, Subject};
use super::secrets::{Destinations, Placeholders, SecretError, Vault};
use super::wire;

/// The name of the adapter's check that fails if the event lacks a value which the destination requires.
const MISSING: &str = "missing";

/// All that is needed to render and send the requests of one postback.
pub struct Plan {
    pub postback: Arc<Postback>,
    pub adapter: Arc<Adapter>,
    pub binding: contract::Binding,
    pub secrets: Placeholders,
    /// What its adapter gets of buyers.
    buyers: BuyerVisibility,
}

impl Plan {
    /// `buyers`: what affiliates see of buyers.
    ///
    /// # Errors
    ///
    /// A secret of the configuration cannot be opened.
    pub fn new(
        vault: &Vault,
        buyers: BuyerVisibility,
        postback: Arc<Postback>,
        adapter: Arc<Adapter>,
    ) -> Result<Self, SecretError> {
        let holder = postback.id.to_string();
        let (config, secrets) = vault.with_placeholders(&postback.config, &holder)?;
        let binding = contract::Binding { id: holder, config: config.to_string() };
        let buyers = buyers.of_owner(postback.owner);
        Ok(Self { postback, adapter, binding, secrets, buyers })
    }

    /// The plan of a postback whose adapter version is available.
    ///
    /// # Errors
    ///
    /// The reason why its deliveries wait.
    pub(crate) fn if_available(
        vault: &Vault,
        buyers: BuyerVisibility,
        postback: Arc<Postback>,
        version: &Availability,
    ) -> Result<Self, Reason> {
        match version {
            Availability::Waits(reason) => Err(reason.clone()),
            Availability::Ready(adapter) => Self::new(vault, buyers, postback, adapter.clone())
                .map_err(|error| Reason::new(error.code(), error.to_string())),
        }
    }

    /// The event as its adapter may see it. Postbacks of affiliates do not see the revenue, and of buyers only what the
    /// program shows to affiliates.
    pub fn event(&self, event: &Event) -> contract::Event {
        let mut seen = wire::event(self.buyers.show(event.clone()));
        if self.postback.owner.is_some()
            && let Some(conversion) = &mut seen.conversion
        {
            conversion.revenue = None;
        }
        seen
    }

    /// The line in which the calls of its adapter queue.
    pub fn line(&self) -> CallLine {
        CallLine::of(self.postback.owner, &self.adapter)
    }

    /// Masks placeholders and secrets that the adapter quoted in an error.
    pub(crate) fn redact(&self, error: AdapterError) -> AdapterError {
        self.secrets.redact(error)
    }

    /// The request as it is sent, with secrets and signature.
    pub fn reveal(&self, request: &contract::Request, id: &str, now: Timestamp) -> Result<Outgoing, SecretError> {
        let destinations =
            Destinations { hosts: &self.adapter.descriptor().hosts, origins: &self.postback.secret_origins };
        self.secrets.reveal(request, &destinations, id, now)
    }

    /// The delay between the event and its delivery. `None` if the adapter skips the event.
    pub fn delay(&self, decision: &contract::Decision) -> Option<Duration> {
        let delay = self.rule_delay();
        let longest = Duration::from_millis(self.adapter.descriptor().rules.max_delay);
        match decision.verdict {
            contract::Verdict::Skip => None,
            contract::Verdict::Fire => Some(delay),
            contract::Verdict::FireAfter(ms) => Some(delay.max(Duration::from_millis(ms).min(longest))),
        }
    }

    /// The delay of the postback's rule.
    pub(crate) fn rule_delay(&self) -> Duration {
        self.postback.rule.delay.map_or(Duration::ZERO, |delay| delay.span())
    }

    /// Whether a check of the adapter is about a value that the destination requires.
    pub(crate) fn is_required_value(check: &contract::Check) -> bool {
        check.name == MISSING
    }

    /// The reason, if the adapter skipped the event because a value is missing. Such a delivery is stored as
    /// cancelled, unlike others that an adapter skips, because people look for it.
    pub(crate) fn missing_value(&self, decision: contract::Decision) -> Option<Reason> {
        let check = decision.checks.into_iter().find(|check| !check.passed && Self::is_required_value(check))?;
        Some(Reason::new("value_missing", self.secrets.mask(&check.detail)))
    }
}

impl<I> Group<I> {
    /// Calls of the plan's adapter for its postback, one for each item.
    pub(crate) fn for_plan(plan: &Plan, urgency: Urgency, items: Vec<I>) -> Self {
        Self { adapter: plan.adapter.clone(), subject: Subject::Postback(plan.postback.clone()), urgency, items }
    }
}
