//! MyLead in both directions: postbacks with MyLead's fifteen tokens, and MyLead's notifications to Postrider.
//!
//! A token is written in square brackets; `[payout]` is an amount in pennies. The trigger is the status of a lead that
//! activates a postback, so the host's firing status remains "any". The adapter refuses other tokens.

mod inbound;
mod macros;
mod trigger;

use postrider_sdk::prelude::*;
use postrider_sdk::tokens::{Syntax, Template};
use serde::Deserialize;

use crate::inbound::Names;
use crate::trigger::Trigger;

/// The adapter; see [`Adapter`].
pub struct MyLead;

/// The configuration; see `config.schema.json`.
#[derive(Deserialize)]
pub struct Config {
    /// Required for a postback, unused for a source.
    #[serde(default, deserialize_with = "url_template")]
    url: Option<Template<&'static Macro>>,
    #[serde(default)]
    trigger: Trigger,
    #[serde(default)]
    names: Names,
}

fn url_template<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Template<&'static Macro>>, D::Error> {
    String::deserialize(deserializer).map(|url| Some(Template::parse(url, Syntax::SQUARE, macros::resolve)))
}

impl Adapter for MyLead {
    type Config = Config;

    fn describe() -> Descriptor {
        let general = Descriptor::outbound("mylead", env!("CARGO_PKG_VERSION"), "MyLead");
        Descriptor {
            summary: "Sends postbacks with MyLead's fifteen tokens, and reads MyLead's notifications.".into(),
            capabilities: Capabilities::OUTBOUND | Capabilities::INBOUND,
            rules: RulePolicy {
                actions: vec![Action::Conversion, Action::CustomEvent],
                statuses: false,
                ..general.rules.clone()
            },
            hosts: vec!["*".into()],
            config_schema: include_str!("../config.schema.json").into(),
            macros: macros::describe(),
            ..general
        }
    }

    fn validate(config: &Config) -> Vec<ConfigIssue> {
        let mut issues = config.url.as_ref().map(|url| url.url_issues("/url")).unwrap_or_default();
        issues.extend(config.names.issues());
        issues
    }

    fn decide(_: &Context, config: &Config, event: &Event) -> Result<Decision, AdapterError> {
        Ok(config.trigger.decide(event))
    }

    fn render(_: &Context, config: &Config, event: &Event) -> Result<Request, AdapterError> {
        let missing = || AdapterError::invalid_config("/url", "A postback needs a URL; enter it under Postback URL.");
        config.url.as_ref().ok_or_else(missing)?.render_url("/url", |token| token.value(event)).map(Request::get)
    }

    fn parse_inbound(_: &Context, config: &Config, request: &InboundRequest) -> Result<InboundReport, AdapterError> {
        Ok(inbound::read(&config.names, request))
    }
}

postrider_sdk::export_adapter!(MyLead);

#[cfg(test)]
mod tests;
