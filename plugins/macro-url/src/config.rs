//! What a person configures, parsed once into a form that renders without looking anything up.
//! Lengths, counts and types are the schema's business (`config.schema.json`); this knows the rest.

use std::borrow::Cow;
use std::collections::HashMap;

use postrider_sdk::prelude::*;
use postrider_sdk::tokens::Template;
use serde::Deserialize;

use crate::headers::Header;
use crate::success::Success;

#[derive(Deserialize)]
pub struct Config {
    base_url: Option<Template<&'static Macro>>,
    #[serde(default)]
    pub method: Method,
    #[serde(default)]
    pub body: BodyFormat,
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    custom: Vec<Custom>,
    #[serde(default)]
    headers: Vec<Header>,
    pub success: Option<Success>,
    #[serde(default)]
    statuses: Statuses,
    pub fields: Option<inbound::Names>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Get,
    Post,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    #[default]
    Form,
    Json,
}

/// The name that the tracker expects, and the macro that fills it.
#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(rename = "macro")]
    token: Token,
}

/// A fixed pair. The value may be empty, since a pasted URL may carry `flag=`.
#[derive(Deserialize)]
struct Custom {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(from = "String")]
enum Token {
    Known(&'static Macro),
    /// Why it is none.
    Unknown(String),
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        macros::resolve(&token).map_or_else(Self::Unknown, Self::Known)
    }
}

/// The tracker's words for our statuses; ours where it has none.
#[derive(Deserialize, Default)]
struct Statuses {
    pending: Option<String>,
    approved: Option<String>,
    rejected: Option<String>,
}

impl Statuses {
    fn word(&self, ours: &str) -> Option<&str> {
        let theirs = match ours {
            "pending" => &self.pending,
            "approved" => &self.approved,
            "rejected" => &self.rejected,
            _ => &None,
        };
        theirs.as_deref()
    }
}

impl Config {
    /// Everything that the schema cannot say, each with the JSON pointer of its field.
    pub fn issues(&self) -> Vec<ConfigIssue> {
        let mut issues = self.base_url.as_ref().map(|url| url.url_issues("/base_url")).unwrap_or_default();
        for (index, parameter) in self.parameters.iter().enumerate() {
            if let Token::Unknown(problem) = &parameter.token {
                issues.push(ConfigIssue::new(format!("/parameters/{index}/macro"), problem));
            }
        }
        self.repeated_names(&mut issues);
        if self.body == BodyFormat::Json && matches!(self.method, Method::Get) {
            issues.push(ConfigIssue::new("/body", "A JSON body is sent by POST only; set the method to POST."));
        }
        issues.extend(Header::issues(&self.headers));
        issues.extend(self.success.iter().filter_map(Success::issue));
        if self.fields.as_ref().is_some_and(|names| names.click_id.is_none() && names.transaction_id.is_none()) {
            let message = "Say which parameter carries the click id or the transaction id; without one of them no report can be matched.";
            issues.push(ConfigIssue::new("/fields/click_id", message));
        }
        issues
    }

    /// A tracker keeps the first or the last of two equal names; nobody could say which.
    fn repeated_names(&self, issues: &mut Vec<ConfigIssue>) {
        let parameters = self.parameters.iter().map(|parameter| &parameter.name).enumerate();
        let custom = self.custom.iter().map(|custom| &custom.name).enumerate();
        let paths = parameters
            .map(|(index, name)| (format!("/parameters/{index}/name"), name))
            .chain(custom.map(|(index, name)| (format!("/custom/{index}/name"), name)));
        let mut first = HashMap::new();
        for (path, name) in paths {
            if let Some(earlier) = first.get(name) {
                let message = format!("The name '{name}' is used already at {earlier}.");
                issues.push(ConfigIssue::new(path, message));
            } else {
                first.insert(name, path);
            }
        }
    }

    pub fn url(&self, event: &Event) -> Result<String, AdapterError> {
        let base_url = self.base_url.as_ref().ok_or_else(|| {
            AdapterError::invalid_config("/base_url", "This configuration only receives: it has no URL to send to.")
        })?;
        base_url.render_url("/base_url", |known| self.value(known, event))
    }

    /// The pairs encoded for a query or a form: parameters, then fixed values, in the order of the configuration.
    pub fn pairs(&self, event: &Event) -> Result<String, AdapterError> {
        let mut pairs = String::new();
        self.each_pair(event, |name, value| url::push_pair(&mut pairs, name, value))?;
        Ok(pairs)
    }

    /// The same pairs as a JSON object; all values are texts.
    pub fn json(&self, event: &Event) -> Result<String, AdapterError> {
        let mut json = String::from("{");
        self.each_pair(event, |name, value| {
            if json.len() > 1 {
                json.push(',');
            }
            push_json(&mut json, name);
            json.push(':');
            push_json(&mut json, value);
        })?;
        json.push('}');
        Ok(json)
    }

    fn each_pair(&self, event: &Event, mut push: impl FnMut(&str, &str)) -> Result<(), AdapterError> {
        for (index, parameter) in self.parameters.iter().enumerate() {
            match &parameter.token {
                Token::Known(known) => push(&parameter.name, &self.value(known, event)),
                Token::Unknown(problem) => {
                    return Err(AdapterError::invalid_config(format!("/parameters/{index}/macro"), problem));
                }
            }
        }
        for custom in &self.custom {
            push(&custom.name, &custom.value);
        }
        Ok(())
    }

    pub fn headers(&self, event: &Event) -> Result<Vec<Field>, AdapterError> {
        let render = |(index, header): (usize, &Header)| header.render(index, |known| self.value(known, event));
        self.headers.iter().enumerate().map(render).collect()
    }

    /// The value of a macro, statuses in the tracker's words.
    fn value<'a>(&'a self, known: &Macro, event: &'a Event) -> Cow<'a, str> {
        let value = known.value(event);
        if !matches!(known.token(), "status" | "previous_status") {
            return value;
        }
        self.statuses.word(&value).map_or(value, Cow::Borrowed)
    }
}

fn push_json(json: &mut String, text: &str) {
    json.push_str(&serde_json::to_string(text).expect("a text is always JSON"));
}
