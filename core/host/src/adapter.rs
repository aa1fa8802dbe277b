//! One loaded adapter: its descriptor, the schema of its configuration, and sessions with it.

use super::error::AdapterError;
use super::guest::Guest;
use super::instance::Instance;
use super::limits::Limits;
use super::schema::Schema;
use super::{output, v0_1, wire};

/// A loaded adapter. It runs in sessions: see [`Adapter::session`](Self::session).
pub struct Adapter {
    descriptor: wire::Descriptor,
    digest: String,
    schema: Schema,
    pub(super) component: v0_1::AdapterPre<Guest>,
    pub(super) limits: Limits,
    trusted: bool,
}

impl Adapter {
    /// Calls the component's `describe` once and validates the result.
    pub(super) fn new(
        component: v0_1::AdapterPre<Guest>,
        digest: String,
        limits: Limits,
        trusted: bool,
    ) -> Result<Self, AdapterError> {
        let descriptor = Instance::describe(&component, &limits)?;
        output::check_descriptor(&descriptor)?;
        let schema = Schema::parse(&descriptor.config_schema)?;
        Ok(Self { descriptor, digest, schema, component, limits, trusted })
    }

    /// The component's own description.
    pub fn descriptor(&self) -> &wire::Descriptor {
        &self.descriptor
    }

    /// The digest of the component.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The schema of its configuration, which also marks secrets.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether the component is trusted, which means built in or the caller's own file, and so was compiled in this process.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The budget of each call.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}
