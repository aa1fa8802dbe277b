//! The generic adapter: a tracker's URL, parameters chosen from macros, and fixed values.
//!
//! Nothing but the SDK is used. It sends one request per event and adds no rule of its own; scope,
//! status, rejection reasons and delay are the host's. What it refuses: macros in the host name,
//! because a visitor chooses their values.

mod config;
mod template;

use postrider_sdk::prelude::*;

use crate::config::{Config, Method};

/// The adapter itself; see [`Adapter`].
pub struct MacroUrl;

impl Adapter for MacroUrl {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor {
            summary: "Calls any tracker: a URL with macros, sent as GET or as a form by POST.".into(),
            hosts: vec!["*".into()],
            config_schema: include_str!("../config.schema.json").into(),
            macros: macros::describe(),
            ..Descriptor::outbound("macro-url", env!("CARGO_PKG_VERSION"), "Macro URL")
        }
    }

    fn validate(config: &Config) -> Vec<ConfigIssue> {
        config.issues()
    }

    /// GET puts the parameters and then the fixed values behind the base URL's own query;
    /// POST sends the same pairs as a form. A macro without a value is sent as an empty one (`name=`),
    /// so that a tracker always sees the same names.
    fn render(_: &Context, config: &Config, event: &Event) -> Result<Request, AdapterError> {
        let base = config.base_url.render(event)?;
        let pairs = config.pairs(event)?;
        Ok(match config.method {
            Method::Get => Request::get(url::append_encoded_query(&base, &pairs)),
            Method::Post => Request::post(base, "application/x-www-form-urlencoded", pairs),
        })
    }
}

postrider_sdk::export_adapter!(MacroUrl);

#[cfg(test)]
mod tests;
