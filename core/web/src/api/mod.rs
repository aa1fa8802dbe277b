//! `/api/v1`: one file a noun, `*In` for what comes and `*Out` for what goes.

pub mod delivery;
pub mod inbound;
pub mod money;
pub mod people;
pub mod program;
pub mod reports;
pub mod tracking;

use std::collections::BTreeMap;

use engine::delivery::templates::AdapterChoice;
use engine::{Error, FieldIssue};

/// What was wrong with a body, gathered, so that a person is told all of it at once.
#[derive(Default)]
pub(crate) struct Issues(Vec<FieldIssue>);

impl Issues {
    fn add(&mut self, path: &str, code: &'static str, message: impl Into<String>) {
        self.0.push(FieldIssue::new(path, code, message));
    }

    /// Trimmed text of 1 to `max` characters.
    fn text(&mut self, path: &str, text: &str, max: usize) -> String {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > max {
            self.add(path, "invalid_field", format!("must have 1 to {max} characters"));
        }
        text.to_owned()
    }

    /// The same, or nothing: empty text counts as absent.
    fn optional_text(&mut self, path: &str, text: Option<String>, max: usize) -> Option<String> {
        let text = text.filter(|text| !text.trim().is_empty())?;
        Some(self.text(path, &text, max))
    }

    fn result(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// Either an adapter with its configuration, or a template with its fields.
fn adapter_choice(
    adapter: Option<String>,
    config: Option<serde_json::Value>,
    template: Option<String>,
    fields: BTreeMap<String, String>,
) -> Result<AdapterChoice, Error> {
    match (template, adapter, config) {
        (Some(id), None, None) => Ok(AdapterChoice::Template { id, fields }),
        (Some(_), Some(_), _) => Err(Error::invalid("/adapter", "leave it out; the template decides")),
        (Some(_), None, Some(_)) => Err(Error::invalid("/config", "leave it out; the template and its fields decide")),
        (None, ..) if !fields.is_empty() => {
            Err(Error::invalid("/fields", "fields belong to a template; give its id as template, or leave them out"))
        }
        (None, Some(adapter), Some(config)) => Ok(AdapterChoice::Adapter { adapter, config }),
        (None, None, _) => Err(Error::invalid("", "missing field `adapter`, or `template`")),
        (None, Some(_), None) => Err(Error::invalid("", "missing field `config`")),
    }
}

/// An amount as it came: text, or something else that must be told so.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(transparent)]
struct AmountIn(serde_json::Value);

impl AmountIn {
    /// The text as it came, for amounts that may also be a word.
    fn word(&self) -> Option<&str> {
        self.0.as_str()
    }

    fn read(this: Option<Self>, path: &str, issues: &mut Issues) -> Option<domain::amounts::Amount> {
        let message = match this?.0 {
            serde_json::Value::Null => return None,
            serde_json::Value::String(text) => match text.parse() {
                Ok(amount) => return Some(amount),
                Err(error) => domain::amounts::InvalidAmount::to_string(&error),
            },
            other => format!("{other} is not text; write amounts as text, such as \"49.00\""),
        };
        issues.add(path, "invalid_amount", message);
        None
    }
}

impl utoipa::PartialSchema for AmountIn {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        domain::amounts::Amount::schema()
    }
}

impl utoipa::ToSchema for AmountIn {}

/// A field that may be absent, null or set.
fn some<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    T::deserialize(from).map(Some)
}

/// The name of somebody who registers.
pub fn valid_name(text: &str) -> Result<String, Error> {
    let mut issues = Issues::default();
    let name = issues.text("/name", text, 200);
    issues.result().map(|()| name)
}

/// An e-mail address that somebody typed.
pub fn valid_email(text: &str) -> Result<String, Error> {
    let mut issues = Issues::default();
    let email = email(&mut issues, text);
    issues.result().map(|()| email)
}

/// Looks like an address; whether it is one, a message to it tells.
fn email(issues: &mut Issues, text: &str) -> String {
    let text = issues.text("/email", text, 254);
    let (name, host) = text.split_once('@').unwrap_or_default();
    if name.is_empty() || host.is_empty() || host.contains('@') || text.contains(char::is_whitespace) {
        issues.add("/email", "invalid_field", "must be an e-mail address, such as ada@example.com");
    }
    text
}
