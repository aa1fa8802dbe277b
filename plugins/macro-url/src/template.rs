//! A base URL with `{macro}` in its path or query, so that a URL pasted from a tracker works as it is.

use postrider_sdk::prelude::*;
use serde::Deserialize;

use crate::config::unknown;

#[derive(Deserialize)]
#[serde(from = "String")]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

enum Piece {
    Text(String),
    Macro(&'static Macro),
    Unknown(String),
    /// A brace without its counterpart.
    Stray(char),
}

impl From<String> for Template {
    fn from(source: String) -> Self {
        Self { pieces: split(&source), source }
    }
}

fn split(source: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].into()));
        }
        let inner = &rest[at + 1..];
        match inner.find(['{', '}']) {
            Some(end) if rest[at..].starts_with('{') && inner[end..].starts_with('}') => {
                let token = &inner[..end];
                pieces.push(macros::find(token).map_or_else(|| Piece::Unknown(token.into()), Piece::Macro));
                rest = &inner[end + 1..];
            }
            _ => {
                pieces.push(Piece::Stray(if rest[at..].starts_with('{') { '{' } else { '}' }));
                rest = inner;
            }
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    pieces
}

impl Template {
    /// The URL for one event, every value encoded once.
    pub fn render(&self, event: &Event) -> Result<String, AdapterError> {
        if let [Piece::Text(text)] = self.pieces.as_slice() {
            return Ok(text.clone());
        }
        let mut out = String::with_capacity(self.source.len() + 64);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Macro(known) => url::encode_into(&mut out, &known.value(event)),
                Piece::Unknown(token) => return Err(AdapterError::invalid_config("/base_url", unknown(token))),
                Piece::Stray(brace) => return Err(AdapterError::invalid_config("/base_url", stray(*brace))),
            }
        }
        if has_dot_segment(&out) {
            return Err(AdapterError::invalid_event(
                "A value of '.' or '..' fills a whole path segment of the base URL and would lead to another page.",
            ));
        }
        Ok(out)
    }

    /// Why this cannot be used as a base URL, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match authority(&self.source) {
            None => problems.push("The base URL must start with http:// or https:// and a host name.".into()),
            Some(authority) => {
                if authority.contains(['{', '}']) {
                    problems.push("Macros may stand in the path and the query only, not in the host name.".into());
                }
                if authority.contains('@') {
                    problems.push("The base URL must not carry a user name or password.".into());
                }
            }
        }
        if self.source.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            problems.push("The base URL must not contain spaces, line breaks or backslashes.".into());
        }
        if has_dot_segment(&self.source) {
            problems.push("The base URL must not contain '.' or '..' as a path segment.".into());
        }
        for piece in &self.pieces {
            match piece {
                Piece::Unknown(token) => problems.push(unknown(token)),
                Piece::Stray(brace) => problems.push(stray(*brace)),
                Piece::Text(_) | Piece::Macro(_) => {}
            }
        }
        problems
    }
}

fn stray(brace: char) -> String {
    format!("The base URL has a '{brace}' that belongs to no macro; write it as %{:02X}.", brace as u32)
}

/// The part between `://` and the path, if this is an absolute HTTP URL with a host.
fn authority(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    (http && !authority.starts_with(':')).then_some(authority)
}

/// URL parsers resolve `.` and `..`, also when written as `%2e`, so such a value cannot be encoded
/// away; it would let a visitor choose another page of the tracker.
fn has_dot_segment(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split('/').skip(3).any(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    })
}
