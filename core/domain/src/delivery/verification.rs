//! The result of a test request.

use std::time::Duration;

use crate::people::actor::Actor;
use crate::people::masking::hide_address;

/// How the destination responded to a test request.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Whether it accepted the request.
    pub accepted: bool,
    /// HTTP method of the request.
    pub method: String,
    /// URL of the request, with secrets redacted.
    pub url: String,
    /// HTTP status of the response; `None` if there was no response.
    pub status: Option<u16>,
    /// The first 16 KiB of the response.
    pub body: Option<String>,
    /// Stable code of the error.
    pub error_code: Option<String>,
    /// The error as a sentence.
    pub error: Option<String>,
    /// How long the request took.
    pub duration: Duration,
}

impl Verification {
    /// Hides the internal address that a host name resolved to, except from staff.
    pub fn shown_to(mut self, actor: Actor) -> Self {
        if !actor.is_staff() {
            self.error = hide_address(self.error_code.as_deref(), self.error.take());
        }
        self
    }

    /// With its texts changed by `hide`.
    #[must_use]
    pub fn masked(self, hide: impl Fn(&str) -> String) -> Self {
        let (body, error) = (self.body.as_deref().map(&hide), self.error.as_deref().map(&hide));
        Self { url: hide(&self.url), body, error, ..self }
    }

    /// Why the postback was not saved, as a sentence.
    pub fn sentence(&self) -> String {
        let what = match (self.status, &self.error) {
            // A response may have the status 200 and report an error in its body.
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
