//! Sends JSON to CRM systems, mail tools, analytics services and webhooks, with handlebars templates for the URL, the headers
//! and the body.
//!
//! Every value is encoded for its position, so a value never becomes syntax. A body that is not JSON is not sent. The adapter
//! refuses templates that cannot be checked before sending: unescaped expressions, partials, expressions in the host name.

mod config;
mod context;
mod headers;
mod helpers;
mod inspect;
mod moment;
mod sample;
mod template;

use postrider_sdk::prelude::*;

use crate::config::Config;

/// The adapter; see [`Adapter`].
pub struct CrmJson;

impl Adapter for CrmJson {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor {
            summary: "Sends JSON from a template to a CRM system, mail tool, analytics service or webhook.".into(),
            hosts: vec!["*".into()],
            config_schema: include_str!("../config.schema.json").into(),
            macros: macros::describe(),
            ..Descriptor::outbound("crm-json", env!("CARGO_PKG_VERSION"), "CRM (JSON)")
        }
    }

    fn validate(config: &Config) -> Vec<ConfigIssue> {
        config.issues()
    }

    fn render(_: &Context, config: &Config, event: &Event) -> Result<Request, AdapterError> {
        config.request(event)
    }

    fn classify(_: &Context, config: &Config, _: &Request, response: &Response) -> Result<Outcome, AdapterError> {
        Ok(success::classify(config.success.as_ref(), response))
    }
}

postrider_sdk::export_adapter!(CrmJson);

#[cfg(test)]
mod tests;
