//! One loaded adapter: who it is, what it accepts as configuration, and new sessions with it.

use std::sync::Arc;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::error::AdapterError;
use super::guest::Guest;
use super::limits::{self, Limits};
use super::session::Session;
use super::{output, v0_1, wire};

pub struct Adapter {
    descriptor: wire::Descriptor,
    schema: Validator,
    pub(super) component: v0_1::AdapterPre<Guest>,
    pub(super) limits: Limits,
}

impl Adapter {
    /// Asks the component to describe itself, which happens once, and checks what it says.
    pub(super) fn new(component: v0_1::AdapterPre<Guest>, limits: Limits) -> Result<Self, AdapterError> {
        let descriptor = Session::describe(&component, &limits)?;
        output::check_descriptor(&descriptor)?;
        let schema = compile_schema(&descriptor.config_schema)?;
        Ok(Self { descriptor, schema, component, limits })
    }

    pub fn descriptor(&self) -> &wire::Descriptor {
        &self.descriptor
    }

    /// Everything wrong with a configuration: what its schema says, and then what the adapter itself
    /// says. Paths are JSON pointers. Messages never quote a value, since it may be a secret.
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
        let mut issues: Vec<_> = self.schema.iter_errors(config).take(limits::CONFIG_ISSUES).map(issue).collect();
        let mut own = session.validate(&text)?;
        if !issues.is_empty() {
            // The schema has told already, field by field, why the whole cannot be read.
            own.retain(|issue| !issue.path.is_empty());
        }
        issues.append(&mut own);
        issues.truncate(limits::CONFIG_ISSUES);
        Ok(issues)
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

/// A schema is data from a stranger: it can't fetch anything, since no retriever is built in.
fn compile_schema(text: &str) -> Result<Validator, AdapterError> {
    let invalid = |reason: String| AdapterError::InvalidDescriptor {
        reason: output::clean(&format!("its configuration schema is no JSON Schema: {reason}"), limits::SENTENCE_CHARS),
    };
    let schema: Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    jsonschema::draft202012::new(&schema).map_err(|error| invalid(error.to_string()))
}

/// A missing field is reported at the field, where a form can show it.
fn issue(error: jsonschema::ValidationError<'_>) -> wire::ConfigIssue {
    let mut path = error.instance_path().to_string();
    if let ValidationErrorKind::Required { property } = error.kind() {
        let name = property.as_str().unwrap_or_default();
        path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        return wire::ConfigIssue { path, message: "This is required.".into() };
    }
    let message = format!("{}.", error.masked_with("This"));
    wire::ConfigIssue { path, message: output::clean(&message, limits::SENTENCE_CHARS) }
}
