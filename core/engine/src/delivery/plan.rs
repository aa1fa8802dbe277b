//! How one postback's requests are made: its adapter, the configuration that the adapter sees, and the secrets that it does not.

use std::sync::Arc;

use domain::delivery::postback::Postback;
use domain::timestamp::Timestamp;
use egress::Outgoing;
use host::{Adapter, AdapterError, wire as contract};

use super::adapters::Line;
use super::secrets::{Destinations, Disguise, SecretError, Vault};

pub struct Plan {
    pub postback: Arc<Postback>,
    pub adapter: Arc<Adapter>,
    pub binding: contract::Binding,
    pub secrets: Disguise,
}

impl Plan {
    pub fn new(vault: &Vault, postback: Arc<Postback>, adapter: Arc<Adapter>) -> Result<Self, SecretError> {
        let holder = postback.id.to_string();
        let (config, secrets) = vault.disguise(&postback.config, &holder)?;
        let binding = contract::Binding { id: holder, config: config.to_string() };
        Ok(Self { postback, adapter, binding, secrets })
    }

    /// Where its calls wait for their turn.
    pub fn line(&self) -> Line {
        Line::of(self.postback.owner, &self.adapter)
    }

    /// What an adapter said, without the placeholders that it may have quoted.
    pub fn hiding(&self, error: AdapterError) -> AdapterError {
        self.secrets.hiding(error)
    }

    /// What goes out for a rendered request.
    pub fn reveal(&self, request: &contract::Request, id: &str, now: Timestamp) -> Result<Outgoing, SecretError> {
        let destinations =
            Destinations { hosts: &self.adapter.descriptor().hosts, origins: &self.postback.secret_origins };
        self.secrets.reveal(request, &destinations, id, now)
    }
}
