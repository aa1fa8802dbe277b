//! `/api/v1`: one file per noun. `*In` are the bodies of requests, `*Out` those of responses.

pub mod delivery;
pub mod inbound;
pub mod money;
pub mod people;
pub mod program;
pub mod reports;
pub mod tracking;

use std::collections::BTreeMap;

use crate::body::{self, Patch};
use engine::delivery::templates::AdapterChoice;
use engine::{Error, FieldIssue};

/// The problems of a request body, collected so that one response lists all of them.
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

    /// As [`Self::text`]; empty text counts as absent.
    fn optional_text(&mut self, path: &str, text: Option<String>, max: usize) -> Option<String> {
        let text = text.filter(|text| !text.trim().is_empty())?;
        Some(self.text(path, &text, max))
    }

    fn result(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// The error of a patch that clears the configuration.
const NO_CONFIG: &str = "cannot be cleared; send a configuration or leave the field out to keep the present one";

/// Either an adapter with its configuration, or a template with its fields.
fn adapter_choice(
    adapter: Option<String>,
    config: Option<serde_json::Value>,
    template: Option<String>,
    fields: BTreeMap<String, String>,
) -> Result<AdapterChoice, Error> {
    match (template, adapter, config) {
        (Some(id), None, None) => Ok(AdapterChoice::Template { id, fields }),
        (Some(_), Some(_), _) => Err(Error::invalid("/adapter", "remove it; the template decides")),
        (Some(_), None, Some(_)) => Err(Error::invalid("/config", "remove it; the template and its fields decide")),
        (None, ..) if !fields.is_empty() => Err(Error::invalid(
            "/fields",
            "fields are the values of a template; send its id as template, or remove fields",
        )),
        (None, Some(adapter), Some(config)) => Ok(AdapterChoice::Adapter { adapter, config }),
        (None, None, _) => Err(Error::invalid("", "send either adapter and config, or template and fields")),
        (None, Some(_), None) => Err(Error::invalid("", "config is missing; send the configuration of the adapter")),
    }
}

/// Takes the changed values of a template's fields out of a patch; null stands for the default of the field.
fn changed_fields(patch: &mut Patch) -> Result<Option<BTreeMap<String, Option<String>>>, Error> {
    let Some(fields) = patch.take("fields") else { return Ok(None) };
    if patch.get("config").is_some() {
        return Err(Error::invalid("/config", "send either config or fields"));
    }
    body::read_at("/fields", fields).map(Some)
}

/// The amount of a request. Any JSON value is accepted at first, so that a number gets an error that names the field.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct AmountIn(serde_json::Value);

impl AmountIn {
    /// The form in which a request sends this amount or percentage.
    fn of(amount: impl std::fmt::Display) -> Self {
        Self(amount.to_string().into())
    }

    /// The text of the request, for fields that also accept a word such as "all".
    fn word(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// Parses the amount; adds an issue if it is not valid. `None` if it is absent, null or not valid.
    fn read(amount: Option<Self>, path: &str, issues: &mut Issues) -> Option<domain::amounts::Amount> {
        let message = match amount?.0 {
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

/// The default of flags that are true if absent.
fn default_true() -> bool {
    true
}

/// Checks the name of a person who registers, and trims it.
pub fn valid_name(text: &str) -> Result<String, Error> {
    let mut issues = Issues::default();
    let name = issues.text("/name", text, 200);
    issues.result().map(|()| name)
}

/// Checks the form of an e-mail address, and trims it.
pub fn valid_email(text: &str) -> Result<String, Error> {
    let mut issues = Issues::default();
    let email = email(&mut issues, text);
    issues.result().map(|()| email)
}

/// Whether a text of one line has characters that are not visible: a line break, a control character, or a mark that
/// changes the direction of text.
fn has_control_characters(text: &str) -> bool {
    let is_invisible =
        |it| matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    text.contains(|it: char| it.is_control() || is_invisible(it))
}

/// Checks only the form. Whether the address exists shows when a message is sent to it.
fn email(issues: &mut Issues, text: &str) -> String {
    let text = issues.text("/email", text, 254);
    let (name, host) = text.split_once('@').unwrap_or_default();
    if has_control_characters(&text) {
        issues.add("/email", "invalid_field", "contains an invisible or control character; remove it");
    } else if name.is_empty() || host.is_empty() || host.contains('@') || text.contains(char::is_whitespace) {
        issues.add("/email", "invalid_field", "must be an e-mail address, such as ada@example.com");
    }
    text
}
