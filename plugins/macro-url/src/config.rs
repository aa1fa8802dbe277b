//! What a person configures, parsed once into a form that renders without looking anything up.
//! Lengths, counts and types are the schema's business (`config.schema.json`); this knows the rest.

use std::collections::HashMap;

use postrider_sdk::prelude::*;
use serde::Deserialize;

use crate::template::Template;

#[derive(Deserialize)]
pub struct Config {
    pub base_url: Template,
    #[serde(default)]
    pub method: Method,
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    custom: Vec<Custom>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Get,
    Post,
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
    Unknown(String),
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        macros::find(&token).map_or(Self::Unknown(token), Self::Known)
    }
}

impl Config {
    /// Everything that the schema cannot say, each with the JSON pointer of its field.
    pub fn issues(&self) -> Vec<ConfigIssue> {
        let mut issues: Vec<ConfigIssue> =
            self.base_url.problems().into_iter().map(|problem| ConfigIssue::new("/base_url", problem)).collect();
        for (index, parameter) in self.parameters.iter().enumerate() {
            if let Token::Unknown(token) = &parameter.token {
                issues.push(ConfigIssue::new(format!("/parameters/{index}/macro"), unknown(token)));
            }
        }
        self.repeated_names(&mut issues);
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

    /// The encoded pairs: parameters, then fixed values, in the order of the configuration.
    pub fn pairs(&self, event: &Event) -> Result<String, AdapterError> {
        let mut pairs = String::new();
        for (index, parameter) in self.parameters.iter().enumerate() {
            match &parameter.token {
                Token::Known(known) => url::push_pair(&mut pairs, &parameter.name, &known.value(event)),
                Token::Unknown(token) => {
                    return Err(AdapterError::invalid_config(format!("/parameters/{index}/macro"), unknown(token)));
                }
            }
        }
        for custom in &self.custom {
            url::push_pair(&mut pairs, &custom.name, &custom.value);
        }
        Ok(pairs)
    }
}

pub fn unknown(token: &str) -> String {
    format!("'{token}' is not a known macro.")
}
