//! The trait that an adapter implements. Every method says when the host calls it and what its default does.

use serde::de::DeserializeOwned;

use crate::types::*;

/// The connection to one network. Implement [`describe`](Self::describe) and, to send requests,
/// [`render`](Self::render); the other defaults suit a network that answers with plain HTTP statuses.
///
/// The same input must give the same output: the host calls `decide` and `render` again for previews, explanations
/// and replays, possibly in a fresh instance each time. Keep no state between calls.
pub trait Adapter {
    /// The configuration, deserialized by serde. It is parsed once per instance and binding, so work
    /// that depends only on the configuration (such as splitting a template) belongs in `Deserialize`.
    type Config: DeserializeOwned + 'static;

    /// The adapter's metadata and permissions. Called once when the adapter is loaded; the host enforces
    /// `hosts` on every request and `config-schema` on every configuration.
    fn describe() -> Descriptor;

    /// Checks that the schema cannot express. Called before a postback is saved.
    fn validate(config: &Self::Config) -> Vec<ConfigIssue> {
        let _ = config;
        Vec::new()
    }

    /// Whether to send this event. Called after the host's own rules have passed. The default fires always.
    fn decide(ctx: &Context, config: &Self::Config, event: &Event) -> Result<Decision, AdapterError> {
        let _ = (ctx, config, event);
        Ok(Decision::fire())
    }

    /// Builds the one HTTP request. Called when the delivery is due, and for previews.
    fn render(ctx: &Context, config: &Self::Config, event: &Event) -> Result<Request, AdapterError> {
        let _ = (ctx, config, event);
        Err(AdapterError::unsupported("this adapter does not send postbacks"))
    }

    /// Interprets the network's answer; see [`classify_by_status`]. Replace it for a network that
    /// answers 200 with an error in the body.
    fn classify(
        ctx: &Context,
        config: &Self::Config,
        request: &Request,
        response: &Response,
    ) -> Result<Outcome, AdapterError> {
        let _ = (ctx, config, request);
        Ok(classify_by_status(response))
    }

    /// Parameters to add to the landing URL when a click is redirected.
    fn decorate_click(ctx: &Context, config: &Self::Config, click: &Click) -> Result<Vec<Field>, AdapterError> {
        let _ = (ctx, config, click);
        Err(AdapterError::unsupported("this adapter does not decorate clicks"))
    }

    /// The conversions in a network's notification.
    fn parse_inbound(
        ctx: &Context,
        config: &Self::Config,
        request: &InboundRequest,
    ) -> Result<InboundReport, AdapterError> {
        let _ = (ctx, config, request);
        Err(AdapterError::unsupported("this adapter does not read reports"))
    }
}

/// 2xx is accepted. 408, 429 and 5xx are retried, not earlier than the seconds in `Retry-After`.
/// Any other status is refused, including a redirect, because a tracker that moved has not counted anything.
pub fn classify_by_status(response: &Response) -> Outcome {
    match response.status {
        200..=299 => Outcome::Accepted(None),
        408 | 429 | 500..=599 => Outcome::Retry(retry_after_ms(&response.headers)),
        status => Outcome::Refused(Refusal {
            code: format!("http_{status}"),
            message: format!("the destination answered {status}; it must answer 2xx"),
        }),
    }
}

/// Only the form in seconds: a date would need a clock, so the host's own schedule applies to it.
fn retry_after_ms(headers: &[Field]) -> Option<u64> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case("retry-after"))?;
    header.value.trim().parse::<u64>().ok()?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: Vec<Field>) -> Outcome {
        classify_by_status(&Response { status, headers, body: Vec::new(), truncated: false })
    }

    #[test]
    fn only_2xx_is_accepted_and_only_passing_trouble_is_retried() {
        for status in [200, 201, 204, 299] {
            assert_eq!(answer(status, vec![]), Outcome::Accepted(None), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 599] {
            assert_eq!(answer(status, vec![]), Outcome::Retry(None), "{status}");
        }
        for status in [199, 301, 302, 400, 401, 404, 410] {
            assert!(matches!(answer(status, vec![]), Outcome::Refused(_)), "{status}");
        }
    }

    #[test]
    fn retry_after_in_seconds_is_reported_in_milliseconds() {
        let header = |value: &str| vec![Field { name: "Retry-After".into(), value: value.into() }];
        assert_eq!(answer(429, header("120")), Outcome::Retry(Some(120_000)));
        assert_eq!(answer(503, header("Wed, 21 Oct 2026 07:28:00 GMT")), Outcome::Retry(None));
        assert_eq!(answer(503, header("99999999999999999999")), Outcome::Retry(None));
    }
}
