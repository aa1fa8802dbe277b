//! One loaded adapter: who it is, what it accepts as configuration, and new sessions with it.

use super::error::AdapterError;
use super::guest::Guest;
use super::instance::Instance;
use super::limits::Limits;
use super::schema::Schema;
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
        let descriptor = Instance::describe(&component, &limits)?;
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

    /// Whether it comes with the program, or is the caller's own.
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// What each call may cost.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}
