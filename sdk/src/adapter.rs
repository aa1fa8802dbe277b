//! The trait that an adapter implements. The comment of every method says when the host calls it and what its default does.

use serde::de::DeserializeOwned;

use crate::types::*;

/// The connection to one network. Implement [`describe`](Self::describe) and, to send requests,
/// [`render`](Self::render). The other defaults suit a network that answers with plain HTTP statuses.
///
/// The same input must give the same output: the host calls `decide` and `render` again for previews, explanations
/// and replays, possibly in a new instance each time. Keep no state between calls.
pub trait Adapter {
    /// The configuration, deserialized by serde. An instance parses it once per binding, so work that depends only on
    /// the configuration (such as splitting a template) belongs in `Deserialize`.
    type Config: DeserializeOwned + 'static;

    /// The adapter's metadata and permissions. Called once when the adapter is loaded. The host checks every request
    /// against `hosts` and every configuration against `config-schema`.
    fn describe() -> Descriptor;

    /// The checks that the schema cannot express. Called before a postback or a source is saved. By default there are none.
    fn validate(config: &Self::Config) -> Vec<ConfigIssue> {
        let _ = config;
        Vec::new()
    }

    /// Whether to send this event. Called after the host's own rules have passed. The default always fires.
    fn decide(ctx: &Context, config: &Self::Config, event: &Event) -> Result<Decision, AdapterError> {
        let _ = (ctx, config, event);
        Ok(Decision::fire())
    }

    /// Builds the HTTP request of a delivery, exactly one. Called when the delivery is due, and for previews. The default
    /// is an error of the kind `unsupported`.
    fn render(ctx: &Context, config: &Self::Config, event: &Event) -> Result<Request, AdapterError> {
        let _ = (ctx, config, event);
        Err(AdapterError::unsupported("this adapter does not send postbacks"))
    }

    /// Interprets the network's answer. Called after every answer. The default is [`classify_by_status`]; replace it for
    /// a network that answers 200 with an error in the body.
    fn classify(
        ctx: &Context,
        config: &Self::Config,
        request: &Request,
        response: &Response,
    ) -> Result<Outcome, AdapterError> {
        let _ = (ctx, config, request);
        Ok(classify_by_status(response))
    }

    /// The parameters to add to the landing page's URL. Called when a click is redirected, for an adapter with the
    /// capability `click`. The default is an error of the kind `unsupported`.
    fn decorate_click(ctx: &Context, config: &Self::Config, click: &Click) -> Result<Vec<Field>, AdapterError> {
        let _ = (ctx, config, click);
        Err(AdapterError::unsupported("this adapter does not decorate clicks"))
    }

    /// Reads the conversions in a network's notification. Called for every inbound request of a source. The default is
    /// an error of the kind `unsupported`.
    fn parse_inbound(
        ctx: &Context,
        config: &Self::Config,
        request: &InboundRequest,
    ) -> Result<InboundReport, AdapterError> {
        let _ = (ctx, config, request);
        Err(AdapterError::unsupported("this adapter does not read notifications"))
    }
}

/// Interprets an answer by its status: 2xx is accepted; 408, 429 and 5xx are retried, not earlier than the seconds in
/// `Retry-After`. Any other status is refused. A redirect is refused too, because the tracker at the old address has not
/// recorded the event.
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

/// Reads only the form in seconds. A date would need a clock, so for a date the host's own schedule applies.
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
    fn only_2xx_is_accepted_and_only_temporary_failures_are_retried() {
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
