//! The data for templates: every macro by its name, and the event in groups.
//!
//! Only the values that the templates read are added, because most templates use a few of about eighty values.

use postrider_sdk::macros::Amounts;
use postrider_sdk::prelude::*;
use serde_json::{Map, Value, json};

use crate::config::Secrets;
use crate::inspect::{Reads, SECRET};

/// The groups and their fields. `attributes` and `sub_ids` contain pairs with any name.
const GROUPS: [(&str, &[&str]); 5] = [
    ("event", &["id", "action", "name", "at", "at_ms", "attributes"]),
    ("affiliate", &["id", "name", "attributes"]),
    ("offer", &["id", "name", "attributes"]),
    (
        "click",
        &[
            "id",
            "external_id",
            "at",
            "at_ms",
            "target_url",
            "referrer",
            "ip",
            "user_agent",
            "country",
            "device",
            "sub_ids",
            "attributes",
        ],
    ),
    (
        "conversion",
        &[
            "id",
            "transaction_id",
            "revision",
            "goal",
            "status",
            "previous_status",
            "rejection_reason",
            "payout",
            "revenue",
            "sale",
            "customer_name",
            "customer_email",
            "product_name",
            "at",
            "at_ms",
            "test",
            "attributes",
        ],
    ),
];

/// The reason why there is no value with this name or field, with similar names; `None` if there is one.
pub fn unknown(name: &str, field: Option<&str>) -> Option<String> {
    let group = GROUPS.iter().find(|(group, _)| *group == name);
    match (group, field) {
        (Some((_, fields)), Some(field)) if !fields.contains(&field) => {
            Some(tokens::unknown(&format!("field of {name}"), field, fields.iter().copied()))
        }
        (Some(_), _) => None,
        (None, None) => macros::resolve(name).err(),
        (None, Some(_)) => Some(tokens::unknown("group", name, GROUPS.iter().map(|(group, _)| *group))),
    }
}

/// Builds the data for an event. The values that the templates read are determined once.
pub struct ContextBuilder {
    macros: Vec<&'static Macro>,
    amounts: Amounts,
    groups: Vec<&'static str>,
    /// The placeholder of each secret.
    secrets: Option<Value>,
}

impl ContextBuilder {
    /// For the values that the templates read and the configuration's secrets.
    pub fn new(reads: &Reads, secrets: &Secrets) -> Self {
        let placeholders = secrets.iter().map(|(name, secret)| (name.clone(), secret.placeholder().into()));
        let macros = macros::describe();
        let macros = macros.iter().filter(|known| reads.contains(&known.token));
        let macros: Vec<_> = macros.filter_map(|known| macros::find(&known.token)).collect();
        // A template that reads everything can tell the amounts apart by their own currencies.
        let others = macros.iter().map(|known| known.token());
        Self {
            amounts: Amounts::of(reads.in_order().chain(others)),
            macros,
            groups: GROUPS.iter().map(|(group, _)| *group).filter(|group| reads.contains(group)).collect(),
            secrets: (!secrets.is_empty()).then(|| Value::Object(placeholders.collect())),
        }
    }

    /// The data for one event.
    pub fn build(&self, event: &Event) -> handlebars::Context {
        let macros =
            self.macros.iter().map(|known| (known.token(), self.amounts.value(known, event).into_owned().into()));
        let groups = self.groups.iter().map(|group| (*group, group_of(event, group)));
        let secrets = self.secrets.iter().map(|secrets| (SECRET, secrets.clone()));
        let all = macros.chain(groups).chain(secrets);
        let mut context = handlebars::Context::null();
        *context.data_mut() = Value::Object(all.map(|(name, value)| (name.into(), value)).collect());
        context
    }
}

fn group_of(event: &Event, group: &str) -> Value {
    match group {
        "event" => json!({
            "id": event.id,
            "action": event.action.as_str(),
            "name": event.name,
            "at": time::rfc3339(event.occurred_at),
            "at_ms": event.occurred_at,
            "attributes": pairs(&event.attributes),
        }),
        "affiliate" => party(&event.affiliate),
        "offer" => event.offer.as_ref().map(party).unwrap_or_default(),
        "click" => event.click.as_ref().map(click).unwrap_or_default(),
        _ => event.conversion.as_ref().map(conversion).unwrap_or_default(),
    }
}

fn party(party: &Party) -> Value {
    json!({"id": party.id, "name": party.name, "attributes": pairs(&party.attributes)})
}

fn click(click: &Click) -> Value {
    json!({
        "id": click.id,
        "external_id": click.external_id,
        "at": time::rfc3339(click.at),
        "at_ms": click.at,
        "target_url": click.target_url,
        "referrer": click.referrer,
        "ip": click.ip,
        "user_agent": click.user_agent,
        "country": click.country,
        "device": click.device,
        "sub_ids": pairs(&click.sub_ids),
        "attributes": pairs(&click.attributes),
    })
}

fn conversion(conversion: &Conversion) -> Value {
    let reason = match &conversion.status {
        ConversionStatus::Rejected(rejection) => Some(&rejection.reason),
        ConversionStatus::Pending | ConversionStatus::Approved => None,
    };
    json!({
        "id": conversion.id,
        "transaction_id": conversion.transaction_id,
        "revision": conversion.revision,
        "goal": conversion.goal,
        "status": conversion.status.as_str(),
        "previous_status": conversion.previous_status.as_ref().map(ConversionStatus::as_str),
        "rejection_reason": reason,
        "payout": money_of(&conversion.payout),
        "revenue": money_of(&conversion.revenue),
        "sale": money_of(&conversion.sale),
        "customer_name": conversion.customer_name,
        "customer_email": conversion.customer_email,
        "product_name": conversion.product_name,
        "at": time::rfc3339(conversion.occurred_at),
        "at_ms": conversion.occurred_at,
        "test": conversion.is_test(),
        "attributes": pairs(&conversion.attributes),
    })
}

/// `{"amount": "12.50", "currency": "USD"}`, or null.
fn money_of(money: &Option<Money>) -> Value {
    let both = |money: &Money| json!({"amount": money::decimal(money), "currency": money.currency});
    money.as_ref().map(both).unwrap_or_default()
}

/// Names and values. Of two equal names, the first one counts, as everywhere in an event.
fn pairs(fields: &[Field]) -> Value {
    let mut pairs = Map::new();
    for field in fields {
        pairs.entry(field.name.as_str()).or_insert_with(|| field.value.as_str().into());
    }
    pairs.into()
}
