//! What the log keeps of requests and answers.

use crate::adapters::wire as contract;
use crate::services::plan::Plan;
use crate::services::wire;

/// What the log keeps of a body.
pub const BODY_LOG_BYTES: usize = 16 * 1024;

/// A request as the log shows it: as it was rendered, without its secrets.
#[derive(Default)]
pub struct Logged {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
}

impl Logged {
    pub fn of(request: &contract::Request, plan: &Plan) -> Self {
        let outgoing = wire::request(request);
        let hide = |text: &str| plan.secrets.mask(text).into_owned();
        let mut headers: Vec<_> = outgoing.headers.into_iter().map(|(name, value)| (name, hide(&value))).collect();
        // Masked before it is cut, so that no half of a placeholder is left at the end.
        let body = outgoing.body.map(|(content_type, bytes)| {
            headers.push(("content-type".to_owned(), content_type));
            let whole = hide(&text(&bytes));
            whole[..whole.floor_char_boundary(BODY_LOG_BYTES)].to_owned()
        });
        Self { method: outgoing.method.to_string(), url: hide(&outgoing.url), headers, body }
    }
}

/// Bytes of a stranger as text that any database keeps: PostgreSQL has no NUL.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}
