//! AffRank: the adapter adds the session of a click to the affiliate link, and the network returns it with the commission.
//!
//! The session id is Postrider's click id. The click has the keyword and the page, so the revenue can be attributed to them.
//! The adapter sends no requests.

use postrider_sdk::inbound::{Names, Parameters};
use postrider_sdk::prelude::*;
use serde::Deserialize;

/// The adapter; see [`Adapter`].
pub struct AffRank;

/// The configuration; see `config.schema.json`.
#[derive(Deserialize)]
pub struct Config {
    #[serde(default = "yes")]
    append: bool,
    /// The name of the link's parameter for the session id.
    #[serde(default = "affrank_sid")]
    parameter: String,
    /// The parameters of a notification, which a user cannot change.
    #[serde(skip, default = "names")]
    names: Names,
}

fn yes() -> bool {
    true
}

fn affrank_sid() -> String {
    "affrank_sid".into()
}

/// `sessionId` and `amount` are AffRank's names. Networks with more data can send the others too.
fn names() -> Names {
    let name = |name: &str| Some(name.to_owned());
    Names {
        click_id: name("sessionId"),
        payout: name("amount"),
        currency: name("currency"),
        status: name("status"),
        transaction_id: name("transaction_id"),
        goal: name("goal"),
        ..Names::default()
    }
}

impl Adapter for AffRank {
    type Config = Config;

    fn describe() -> Descriptor {
        let general = Descriptor::outbound("affrank", env!("CARGO_PKG_VERSION"), "AffRank");
        Descriptor {
            summary: "Adds the session of a click to affiliate links, and reads sessionId and amount from the network's notifications.".into(),
            capabilities: Capabilities::INBOUND | Capabilities::CLICK,
            rules: RulePolicy {
                actions: Vec::new(),
                statuses: false,
                rejection_reasons: false,
                ..general.rules.clone()
            },
            config_schema: include_str!("../config.schema.json").into(),
            ..general
        }
    }

    /// A link that already has the parameter is not changed.
    fn decorate_click(_: &Context, config: &Config, click: &Click) -> Result<Vec<Field>, AdapterError> {
        if !config.append || has_parameter(&click.target_url, &config.parameter) {
            return Ok(Vec::new());
        }
        Ok(vec![Field { name: config.parameter.clone(), value: click.id.clone() }])
    }

    /// A network without transaction ids sends one sale per session, so the session is used as the transaction id.
    fn parse_inbound(_: &Context, config: &Config, request: &InboundRequest) -> Result<InboundReport, AdapterError> {
        let mut report = config.names.report_all(Parameters::read_all(request));
        for conversion in &mut report.conversions {
            if conversion.transaction_id.is_none() {
                conversion.transaction_id = conversion.click_id.clone();
            }
        }
        Ok(report)
    }
}

fn has_parameter(url: &str, name: &str) -> bool {
    let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    url::pairs(query).any(|(known, _)| known == name)
}

postrider_sdk::export_adapter!(AffRank);

#[cfg(test)]
mod tests;
