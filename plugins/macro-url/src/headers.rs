//! Headers beside the ones that the server sets itself.

use std::borrow::Cow;

use postrider_sdk::prelude::*;
use postrider_sdk::tokens::{Encoding, Template};
use serde::Deserialize;

/// A name, and either a value with macros or a secret, which is sent as it is.
#[derive(Deserialize)]
pub struct Header {
    name: String,
    value: Option<Template<&'static Macro>>,
    secret: Option<Secret>,
}

/// These describe the connection or the message; the server refuses a request that sets them.
const SERVERS_OWN: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Header {
    pub fn issues(headers: &[Self]) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        for (index, header) in headers.iter().enumerate() {
            let mut issue = |field: &str, message: &str| {
                issues.push(ConfigIssue::new(format!("/headers/{index}{field}"), message));
            };
            if let Some(message) = header.name_problem() {
                issue("/name", message);
            }
            if headers[..index].iter().any(|earlier| earlier.name.eq_ignore_ascii_case(&header.name)) {
                issue("/name", "This header is there already.");
            }
            match (&header.value, &header.secret) {
                (Some(value), None) => {
                    value.problems().for_each(|problem| issue("/value", problem));
                    if !value.source().bytes().all(is_allowed) {
                        issue("/value", "A header may have letters, digits and signs of ASCII only, in one line.");
                    }
                }
                (None, Some(_)) => {}
                (None, None) | (Some(_), Some(_)) => issue("", "A header has either a value or a secret."),
            }
        }
        issues
    }

    fn name_problem(&self) -> Option<&'static str> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(token) {
            return Some("A header's name has letters, digits and hyphens only.");
        }
        let own = SERVERS_OWN.iter().any(|own| own.eq_ignore_ascii_case(&self.name));
        own.then_some("This header is set by the server itself.")
    }

    /// What a header cannot carry (line breaks, letters beyond ASCII) is sent as `%XX`.
    pub fn render<'v>(
        &self,
        index: usize,
        value: impl Fn(&&'static Macro) -> Cow<'v, str>,
    ) -> Result<Field, AdapterError> {
        let rendered = match (&self.value, &self.secret) {
            (Some(template), _) => template
                .render(Encoding::Raw, |known| encoded(value(known)))
                .map_err(|problem| AdapterError::invalid_config(format!("/headers/{index}/value"), problem))?,
            (None, Some(secret)) => secret.placeholder().to_owned(),
            (None, None) => String::new(),
        };
        Ok(Field { name: self.name.clone(), value: rendered })
    }
}

fn is_allowed(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

fn encoded(value: Cow<'_, str>) -> Cow<'_, str> {
    if value.bytes().all(is_allowed) {
        return value;
    }
    let mut out = String::with_capacity(value.len() * 2);
    for c in value.chars() {
        if c.is_ascii() && is_allowed(c as u8) {
            out.push(c);
        } else {
            url::encode_into(&mut out, c.encode_utf8(&mut [0; 4]));
        }
    }
    Cow::Owned(out)
}
