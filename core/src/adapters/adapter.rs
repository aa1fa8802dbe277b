//! One loaded adapter: who it is, what it accepts as configuration, and new sessions with it.

use std::sync::Arc;

use serde_json::Value;

use super::error::AdapterError;
use super::guest::Guest;
use super::limits::{self, Limits};
use super::schema::Schema;
use super::session::Session;
use super::{output, v0_1, wire};

pub struct Adapter {
    descriptor: wire::Descriptor,
    digest: String,
    schema: Schema,
    pub(super) component: v0_1::AdapterPre<Guest>,
    pub(super) limits: Limits,
    ours: bool,
}

impl Adapter {
    /// Asks the component to describe itself, which happens once, and checks what it says.
    pub(super) fn new(
        component: v0_1::AdapterPre<Guest>,
        digest: String,
        limits: Limits,
        ours: bool,
    ) -> Result<Self, AdapterError> {
        let descriptor = Session::describe(&component, &limits)?;
        output::check_descriptor(&descriptor)?;
        let schema = Schema::parse(&descriptor.config_schema)?;
        Ok(Self { descriptor, digest, schema, component, limits, ours })
    }

    pub fn descriptor(&self) -> &wire::Descriptor {
        &self.descriptor
    }

    /// The digest of the component that it was loaded from.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The schema of its configuration, which also says what in it is secret.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Everything wrong with a configuration: what its schema says, and then what the adapter itself
    /// says, which sees the secrets hidden. Paths are JSON pointers. Messages never quote a value.
    pub fn check_config(self: &Arc<Self>, config: &Value) -> Result<Vec<wire::ConfigIssue>, AdapterError> {
        self.check_config_in(&mut self.session(), config)
    }

    /// The same in a session of the caller, who wants to know what was logged and what it took.
    pub fn check_config_in(
        &self,
        session: &mut Session,
        config: &Value,
    ) -> Result<Vec<wire::ConfigIssue>, AdapterError> {
        let text = config.to_string();
        if text.len() > limits::CONFIG_BYTES {
            return Err(AdapterError::ConfigTooLarge { bytes: text.len(), max: limits::CONFIG_BYTES });
        }
        let mut issues = self.schema.issues(config)?;
        let mut own = session.validate(&self.schema.hidden(config).to_string())?;
        if !issues.is_empty() {
            // The schema has told already, field by field, why the whole cannot be read.
            own.retain(|issue| !issue.path.is_empty());
        }
        issues.append(&mut own);
        issues.truncate(limits::CONFIG_ISSUES);
        Ok(issues)
    }

    /// Whether it comes with the program, or is the caller's own.
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// What each call may cost.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A conversation with this adapter, for one postback. Nothing runs until the first call.
    pub fn session(self: &Arc<Self>) -> Session {
        Session::new(Arc::clone(self))
    }
}
