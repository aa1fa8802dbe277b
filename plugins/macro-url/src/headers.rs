//! The additional headers of a request.

use std::borrow::Cow;

use postrider_sdk::prelude::*;
use postrider_sdk::tokens::{Encoding, Template};
use serde::Deserialize;

use crate::config::template;
use crate::token::Token;

/// A name, and either a value with macros or a secret, which is sent unchanged.
#[derive(Deserialize)]
pub struct Header {
    name: String,
    #[serde(default, deserialize_with = "template")]
    pub value: Option<Template<Token>>,
    secret: Option<Secret>,
}

impl Header {
    /// The problems of all headers, each with the JSON pointer of its field.
    pub fn issues(all: &[Self]) -> Vec<ConfigIssue> {
        let names: Vec<&str> = all.iter().map(|header| header.name.as_str()).collect();
        let mut issues = Vec::new();
        for (index, header) in all.iter().enumerate() {
            let mut issue = |field: &str, message: &str| {
                issues.push(ConfigIssue::new(format!("/headers/{index}{field}"), message));
            };
            if let Some(message) = headers::name_problem(&names[..=index]) {
                issue("/name", message);
            }
            match (&header.value, &header.secret) {
                (Some(value), None) => {
                    value.problems().chain(headers::value_problem(value.source())).for_each(|it| issue("/value", it));
                }
                (None, Some(_)) => {}
                (None, None) | (Some(_), Some(_)) => issue("", "Enter either a value or a secret for this header."),
            }
        }
        issues
    }

    /// The header for one event. `index` is its position in the configuration.
    pub fn render<'v>(&self, index: usize, value: impl Fn(&Token) -> Cow<'v, str>) -> Result<Field, AdapterError> {
        let rendered = match (&self.value, &self.secret) {
            (Some(template), _) => template
                .render(Encoding::Raw, |token| headers::encode(value(token)))
                .map_err(|problem| AdapterError::invalid_config(format!("/headers/{index}/value"), problem))?,
            (None, Some(secret)) => secret.placeholder().to_owned(),
            (None, None) => String::new(),
        };
        Ok(Field { name: self.name.clone(), value: rendered })
    }
}
