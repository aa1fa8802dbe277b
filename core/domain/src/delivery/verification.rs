//! What came of a test request.

use std::time::Duration;

use crate::people::actor::Actor;
use crate::people::masking::hide_address;

/// What the destination made of a test request.
#[derive(Clone, Debug)]
pub struct Verification {
    pub accepted: bool,
    pub method: String,
    pub url: String,
    pub status: Option<u16>,
    /// The first 16 KiB of the answer.
    pub body: Option<String>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub duration: Duration,
}

impl Verification {
    /// Which inside address a name has is nobody's business but the operator's.
    pub fn shown_to(mut self, actor: Actor) -> Self {
        if !actor.is_staff() {
            self.error = hide_address(self.error_code.as_deref(), self.error.take());
        }
        self
    }

    pub fn sentence(&self) -> String {
        let what = match (self.status, &self.error) {
            // An answer may be a 200 and say in its body that it is none.
            (Some(status), Some(error)) if (200..300).contains(&status) => format!("{error} (it answered {status})"),
            (Some(status), _) => {
                let body = self.body.as_deref().unwrap_or_default().trim();
                let quote: String = body.chars().take(200).collect();
                if quote.is_empty() {
                    format!("it answered {status}")
                } else {
                    format!("it answered {status}: {quote}")
                }
            }
            (None, Some(error)) => error.clone(),
            (None, None) => "it did not answer".to_owned(),
        };
        format!("the destination did not accept a test request, so the postback was not saved: {what}")
    }
}
