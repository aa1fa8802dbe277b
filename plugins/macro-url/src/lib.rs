//! The generic adapter. Outbound: a tracker's URL, parameters filled from macros, and fixed values. Inbound: a mapping of
//! a network's parameters.
//!
//! It uses only the SDK. It sends one request per event and adds no rule of its own; scope,
//! status, rejection reasons and delay are the host's. It refuses macros in the host name,
//! because visitors determine their values.

mod config;
mod headers;
mod token;

use postrider_sdk::inbound::Parameters;
use postrider_sdk::prelude::*;

use crate::config::{BodyFormat, Config, Method};

/// The adapter; see [`Adapter`].
pub struct MacroUrl;

impl Adapter for MacroUrl {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor {
            summary: "Calls any tracker: a URL with macros, sent as GET, or as a form or JSON by POST. \
                Reads any network's report whose parameters you name."
                .into(),
            capabilities: Capabilities::OUTBOUND | Capabilities::INBOUND,
            hosts: vec!["*".into()],
            config_schema: include_str!("../config.schema.json").into(),
            macros: macros::describe(),
            ..Descriptor::outbound("macro-url", env!("CARGO_PKG_VERSION"), "Macro URL")
        }
    }

    fn validate(config: &Config) -> Vec<ConfigIssue> {
        config.issues()
    }

    /// A tracker that gets a request without its click id cannot assign it, and nobody would notice.
    fn decide(_: &Context, config: &Config, event: &Event) -> Result<Decision, AdapterError> {
        Ok(config.missing(event).map_or_else(Decision::fire, Decision::missing))
    }

    /// GET appends the parameters and then the fixed values to the base URL's own query;
    /// POST sends the same pairs as a form or as JSON. A macro without a value is sent empty (`name=`),
    /// so that a tracker always receives the same names; a required parameter without a value prevents the request.
    fn render(_: &Context, config: &Config, event: &Event) -> Result<Request, AdapterError> {
        if let Some(missing) = config.missing(event) {
            return Err(AdapterError::invalid_event(missing));
        }
        let base = config.url(event)?;
        let request = match (config.method, config.body) {
            (Method::Get, _) => Request::get(url::append_encoded_query(&base, &config.pairs(event)?)),
            (Method::Post, BodyFormat::Form) => {
                Request::post(base, "application/x-www-form-urlencoded", config.pairs(event)?)
            }
            (Method::Post, BodyFormat::Json) => Request::post(base, "application/json", config.json(event)?),
        };
        Ok(Request { headers: config.headers(event)?, ..request })
    }

    fn classify(_: &Context, config: &Config, _: &Request, response: &Response) -> Result<Outcome, AdapterError> {
        Ok(success::classify(config.success.as_ref(), response))
    }

    /// One conversion per request, in the network's own words.
    fn parse_inbound(_: &Context, config: &Config, request: &InboundRequest) -> Result<InboundReport, AdapterError> {
        let names = config.fields.as_ref().ok_or_else(|| {
            AdapterError::invalid_config(
                "/fields",
                "This configuration only sends: it does not say which parameters a report has.",
            )
        })?;
        Ok(names.report(&Parameters::read(request)))
    }
}

postrider_sdk::export_adapter!(MacroUrl);

#[cfg(test)]
mod tests;
