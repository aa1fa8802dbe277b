//! Tokens in braces or in the field `macro`: a macro of Postrider, or `secret.name` for a secret of this configuration.

use std::collections::{BTreeMap, BTreeSet};

use postrider_sdk::prelude::*;

/// The meaning of a token.
pub enum Token {
    Macro(&'static Macro),
    /// The name of the secret.
    Secret(String),
}

/// The prefix of a reference to a secret.
pub const SECRET: &str = "secret.";

/// The secrets by name. The values are placeholders; the host inserts the secrets into the finished request.
pub type Secrets = BTreeMap<String, Secret>;

impl Token {
    /// The token with this text, or the reason why there is none.
    pub fn resolve(inner: &str) -> Result<Self, String> {
        match inner.strip_prefix(SECRET) {
            Some(name) => Ok(Self::Secret(name.to_owned())),
            None => macros::resolve(inner).map(Self::Macro),
        }
    }

    /// The reason why this token cannot be sent: its secret does not exist.
    pub fn problem(&self, secrets: &Secrets) -> Option<String> {
        let Self::Secret(name) = self else { return None };
        (!secrets.contains_key(name)).then(|| {
            let shown: String = name.chars().take(60).collect();
            format!("There is no secret '{shown}'; add it under \"secrets\".")
        })
    }
}

/// An issue for each unused secret, because the reference to it can be missing or misspelled.
pub fn unused<'a>(secrets: &Secrets, tokens: impl Iterator<Item = &'a Token>) -> Vec<ConfigIssue> {
    let used: BTreeSet<&str> = tokens
        .filter_map(|token| match token {
            Token::Secret(name) => Some(name.as_str()),
            Token::Macro(_) => None,
        })
        .collect();
    let unused = secrets.keys().filter(|name| !used.contains(name.as_str()));
    let issue = |name: &String| {
        let message = format!(
            "This secret is not used; write {{{SECRET}{name}}} into the base URL or a header, or give a parameter the macro {SECRET}{name}."
        );
        ConfigIssue::new(format!("/secrets/{name}"), message)
    };
    unused.map(issue).collect()
}
