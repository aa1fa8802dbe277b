//! Integr8's affiliate postbacks: a URL with ten macros, called for a click, conversion, custom event or impression.
//!
//! The host applies the rules: scope, firing status, rejection reasons and delay. The adapter refuses what Integr8 does not
//! support: other macros, pending conversions, and a delay of less than two minutes.

mod macros;

use postrider_sdk::macros::Amounts;
use postrider_sdk::prelude::*;
use postrider_sdk::tokens::{Syntax, Template};
use serde::Deserialize;

use crate::macros::Token;

/// Integr8's minimum, which leaves time for the fraud checks of third parties.
const MIN_DELAY_MS: u64 = 2 * 60 * 1000;

/// The adapter; see [`Adapter`].
pub struct Integr8;

/// The configuration; see `config.schema.json`.
#[derive(Deserialize)]
pub struct Config {
    #[serde(deserialize_with = "url_template")]
    url: Template<Token>,
}

fn url_template<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Template<Token>, D::Error> {
    String::deserialize(deserializer).map(|url| Template::parse(url, Syntax::CURLY, macros::resolve))
}

impl Adapter for Integr8 {
    type Config = Config;

    fn describe() -> Descriptor {
        let general = Descriptor::outbound("integr8", env!("CARGO_PKG_VERSION"), "Integr8");
        Descriptor {
            summary: "Calls a publisher's URL with Integr8's ten macros.".into(),
            rules: RulePolicy { min_delay: MIN_DELAY_MS, ..general.rules.clone() },
            hosts: vec!["*".into()],
            config_schema: include_str!("../config.schema.json").into(),
            macros: macros::describe(),
            ..general
        }
    }

    fn validate(config: &Config) -> Vec<ConfigIssue> {
        config.url.url_issues("/url")
    }

    /// Skips pending conversions. At Integr8, "any" means approved or rejected, because it has no word for pending.
    fn decide(_: &Context, _: &Config, event: &Event) -> Result<Decision, AdapterError> {
        let status = event.conversion.as_ref().map(|conversion| &conversion.status);
        Ok(match (event.action, status) {
            (Action::Conversion, Some(ConversionStatus::Pending)) => Decision::skip(
                "status",
                "Integr8 sends only approved and rejected conversions; this conversion is pending",
            ),
            _ => Decision::fire(),
        })
    }

    fn render(_: &Context, config: &Config, event: &Event) -> Result<Request, AdapterError> {
        let amounts = Amounts::of(config.url.tokens().filter_map(|token| token.known()).map(Macro::token));
        config.url.render_url("/url", |token| token.value(&amounts, event)).map(Request::get)
    }
}

postrider_sdk::export_adapter!(Integr8);

#[cfg(test)]
mod tests;
