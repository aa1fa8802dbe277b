//! The generic adapter. It sends a tracker's URL with parameters from macros and with fixed values, and it reads a network's
//! notification with a mapping of the network's parameters.
//!
//! It sends one request per event. The host applies the rules: scope, status, rejection reasons and delay. The adapter
//! refuses macros in the host name, because visitors determine their values.

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
            summary: "Calls any tracker: a URL with macros as a GET request, or a POST request with a form or JSON. \
                Reads the notifications of any network whose parameters you name."
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

    /// Skips an event without a required value: a tracker cannot assign a request without its click id, and often answers
    /// 200 to it all the same.
    fn decide(_: &Context, config: &Config, event: &Event) -> Result<Decision, AdapterError> {
        Ok(config.missing(event).map_or_else(Decision::fire, Decision::missing))
    }

    /// GET appends the parameters and then the fixed values to the base URL's query; POST sends the same pairs as a form or
    /// as JSON. A macro without a value is sent empty (`name=`), so a tracker always receives the same names. A required
    /// parameter without a value is an error.
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

    /// Reads the conversions of a request in the network's own words: one, or one for each object of a JSON array.
    fn parse_inbound(_: &Context, config: &Config, request: &InboundRequest) -> Result<InboundReport, AdapterError> {
        let names = config.fields.as_ref().ok_or_else(|| {
            AdapterError::invalid_config(
                "/fields",
                "This configuration only sends; to read notifications, enter the network's parameters under Fields of a notification.",
            )
        })?;
        Ok(names.report_all(Parameters::read_all(request)))
    }
}

postrider_sdk::export_adapter!(MacroUrl);

#[cfg(test)]
mod tests;
