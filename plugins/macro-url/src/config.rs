//! The configuration, parsed once, so that rendering needs no lookups. The schema (`config.schema.json`) checks lengths,
//! counts and types; this file checks everything else.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use postrider_sdk::macros::Amounts;
use postrider_sdk::prelude::*;
use postrider_sdk::tokens::{Syntax, Template};
use serde::{Deserialize, Deserializer};

use crate::headers::Header;
use crate::token::{self, SECRET, Secrets, Token};

/// The configuration; see `config.schema.json`.
#[derive(Deserialize)]
pub struct Config {
    #[serde(default, deserialize_with = "template")]
    base_url: Option<Template<Token>>,
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
    #[serde(default)]
    secrets: Secrets,
    pub success: Option<Success>,
    #[serde(default)]
    statuses: Statuses,
    pub fields: Option<inbound::Names>,
    /// Determined when it is first needed.
    #[serde(skip)]
    amounts: OnceCell<Amounts>,
}

/// The method of the request.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Get,
    Post,
}

/// The format of a POST request's body.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    #[default]
    Form,
    Json,
}

/// The tracker's parameter name, and the macro for its value.
#[derive(Deserialize)]
struct Parameter {
    name: String,
    /// The macro, or the reason why there is no such macro.
    #[serde(rename = "macro", deserialize_with = "token")]
    token: Result<Token, String>,
    /// Whether the tracker needs this value, so that nothing is sent without it.
    #[serde(default)]
    required: bool,
}

/// A fixed pair. The value may be empty, because a pasted URL may contain `flag=`.
#[derive(Deserialize)]
struct Custom {
    name: String,
    value: String,
}

fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Result<Token, String>, D::Error> {
    String::deserialize(deserializer).map(|token| Token::resolve(&token))
}

/// Deserializes an optional text with macros.
pub fn template<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Template<Token>>, D::Error> {
    let source = Option::<String>::deserialize(deserializer)?;
    Ok(source.map(|source| Template::parse(source, Syntax::CURLY, Token::resolve)))
}

/// The tracker's words for the statuses. A status without one has Postrider's word.
#[derive(Deserialize, Default)]
struct Statuses {
    pending: Option<String>,
    approved: Option<String>,
    rejected: Option<String>,
}

impl Statuses {
    fn word(&self, status: &str) -> Option<&str> {
        let word = match status {
            "pending" => &self.pending,
            "approved" => &self.approved,
            "rejected" => &self.rejected,
            _ => &None,
        };
        word.as_deref()
    }
}

impl Config {
    /// The problems that the schema cannot find, each with the JSON pointer of its field.
    pub fn issues(&self) -> Vec<ConfigIssue> {
        let mut issues = self.base_url.as_ref().map(|url| url.url_issues("/base_url")).unwrap_or_default();
        for (index, parameter) in self.parameters.iter().enumerate() {
            if let Err(problem) = &parameter.token {
                issues.push(ConfigIssue::new(format!("/parameters/{index}/macro"), problem));
            }
        }
        self.misplaced_secrets(&mut issues);
        self.repeated_names(&mut issues);
        if self.body == BodyFormat::Json && matches!(self.method, Method::Get) {
            issues.push(ConfigIssue::new("/body", "Only a POST request has a JSON body; set the method to POST."));
        }
        issues.extend(Header::issues(&self.headers));
        issues.extend(self.success.iter().filter_map(|success| success.issue("/success")));
        if self.fields.as_ref().is_some_and(|names| names.click_id.is_none() && names.transaction_id.is_none()) {
            let message =
                "Enter the parameter of the click id or of the transaction id; a notification needs one of them.";
            issues.push(ConfigIssue::new("/fields/click_id", message));
        }
        issues
    }

    /// Every token, with the JSON pointer of its position.
    fn tokens(&self) -> impl Iterator<Item = (String, &Token)> {
        let url = self.base_url.iter().flat_map(Template::tokens).map(|token| ("/base_url".to_owned(), token));
        let parameters = self.parameters.iter().enumerate();
        let parameters =
            parameters.filter_map(|(index, it)| Some((format!("/parameters/{index}/macro"), it.token.as_ref().ok()?)));
        let headers = self.headers.iter().enumerate().flat_map(|(index, header)| {
            let tokens = header.value.iter().flat_map(Template::tokens);
            tokens.map(move |token| (format!("/headers/{index}/value"), token))
        });
        url.chain(parameters).chain(headers)
    }

    /// The amounts that this configuration sends, in its order.
    fn amounts(&self) -> &Amounts {
        self.amounts.get_or_init(|| {
            Amounts::of(self.tokens().filter_map(|(_, token)| match token {
                Token::Macro(known) => Some(known.token()),
                Token::Secret(_) => None,
            }))
        })
    }

    /// Secrets that do not exist, secrets that are not used, and fixed values that refer to a secret.
    fn misplaced_secrets(&self, issues: &mut Vec<ConfigIssue>) {
        let missing = self.tokens().filter_map(|(path, it)| Some(ConfigIssue::new(path, it.problem(&self.secrets)?)));
        issues.extend(missing);
        issues.extend(token::unused(&self.secrets, self.tokens().map(|(_, token)| token)));
        for (index, custom) in self.custom.iter().enumerate() {
            if custom.value.contains(&format!("{{{SECRET}")) {
                let message = format!(
                    "A fixed value is sent unchanged, without secrets; to send a secret, add a parameter with the macro {SECRET}name."
                );
                issues.push(ConfigIssue::new(format!("/custom/{index}/value"), message));
            }
        }
    }

    /// Names that occur twice. A tracker uses only one of the two values, and it is not known which one.
    fn repeated_names(&self, issues: &mut Vec<ConfigIssue>) {
        let parameters = self.parameters.iter().map(|parameter| parameter.name.as_str()).enumerate();
        let custom = self.custom.iter().map(|custom| custom.name.as_str()).enumerate();
        let paths = parameters
            .map(|(index, name)| (format!("/parameters/{index}/name"), name))
            .chain(custom.map(|(index, name)| (format!("/custom/{index}/name"), name)));
        let mut first = HashMap::new();
        for (path, name) in paths {
            if let Some(earlier) = first.get(name) {
                let message = format!("{earlier} has the name '{name}' too; remove or rename one of them.");
                issues.push(ConfigIssue::new(path, message));
            } else {
                first.insert(name, path);
            }
        }
        // The names in a body are separate from those in the URL.
        let url = self.base_url.as_ref().filter(|_| self.method == Method::Get);
        let query = url.and_then(|url| url.source().split('#').next()?.split_once('?')).map(|(_, query)| query);
        for (name, _) in query.into_iter().flat_map(url::pairs) {
            if let Some(path) = first.get(name.as_str()) {
                let message = format!(
                    "The query of the URL and {path} both have '{name}', so it would be sent twice; remove it from the URL."
                );
                issues.push(ConfigIssue::new("/base_url", message));
            }
        }
    }

    /// The reason why nothing is sent for this event: a required parameter has no value.
    pub fn missing(&self, event: &Event) -> Option<String> {
        self.parameters.iter().filter(|parameter| parameter.required).find_map(|parameter| match &parameter.token {
            Ok(Token::Macro(known)) if self.amounts().value(known, event).is_empty() => {
                Some(format!("the parameter \"{}\" is required, but {}", parameter.name, known.absence(event)))
            }
            _ => None,
        })
    }

    /// The base URL with the values of the event.
    pub fn url(&self, event: &Event) -> Result<String, AdapterError> {
        let base_url = self.base_url.as_ref().ok_or_else(|| {
            AdapterError::invalid_config(
                "/base_url",
                "This configuration only receives; to send postbacks, enter the tracker's URL under Base URL.",
            )
        })?;
        base_url.render_url("/base_url", |token| self.value(token, event))
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
                Ok(token) => push(&parameter.name, &self.value(token, event)),
                Err(problem) => {
                    return Err(AdapterError::invalid_config(format!("/parameters/{index}/macro"), problem));
                }
            }
        }
        for custom in &self.custom {
            push(&custom.name, &custom.value);
        }
        Ok(())
    }

    /// The configured headers with the values of the event.
    pub fn headers(&self, event: &Event) -> Result<Vec<Field>, AdapterError> {
        let render = |(index, header): (usize, &Header)| header.render(index, |token| self.value(token, event));
        self.headers.iter().enumerate().map(render).collect()
    }

    /// The value of a macro, with the tracker's status words; for a secret, its placeholder.
    fn value<'a>(&'a self, token: &Token, event: &'a Event) -> Cow<'a, str> {
        let known = match token {
            Token::Macro(known) => known,
            Token::Secret(name) => {
                return self.secrets.get(name).map(Secret::placeholder).unwrap_or_default().into();
            }
        };
        let value = self.amounts().value(known, event);
        if !matches!(known.token(), "status" | "previous_status") {
            return value;
        }
        self.statuses.word(&value).map_or(value, Cow::Borrowed)
    }
}

fn push_json(json: &mut String, text: &str) {
    json.push_str(&serde_json::to_string(text).expect("a text is always JSON"));
}
