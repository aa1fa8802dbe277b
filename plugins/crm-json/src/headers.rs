//! Headers beside those that the server sets itself.

use postrider_sdk::prelude::*;

use crate::template::Template;

pub struct Header {
    name: String,
    value: Template,
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
    pub fn new(name: String, value: Template) -> Self {
        Self { name, value }
    }

    pub fn value(&self) -> &Template {
        &self.value
    }

    pub fn issues(headers: &[Self]) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        for (index, header) in headers.iter().enumerate() {
            let repeated = headers[..index].iter().any(|earlier| earlier.name.eq_ignore_ascii_case(&header.name));
            let problem = header.name_problem().or(repeated.then_some("This header is there already."));
            issues.extend(problem.map(|problem| ConfigIssue::new(format!("/headers/{index}/name"), problem)));
            let path = format!("/headers/{index}/value");
            issues.extend(header.value.issues(&path));
            if !header.value.source().bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                issues.push(ConfigIssue::new(path, "A header may have letters, digits and signs of ASCII only."));
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

    pub fn render(&self, index: usize, context: &handlebars::Context) -> Result<Field, AdapterError> {
        let value = self.value.render(&format!("/headers/{index}/value"), context)?;
        Ok(Field { name: self.name.clone(), value })
    }
}
