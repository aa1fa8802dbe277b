//! Converts between the program's types and those of the adapter contract.

use domain::amounts::Money;
use domain::delivery::delivery::AdapterLine;
use domain::delivery::postback::Postback;
use domain::inbound::inbound_request::RawRequest;
use domain::inbound::notification::{Notification, NotificationAmount};
use domain::inbound::source::Source;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::conversion::Status;
use domain::tracking::event::{ClickFacts, ConversionFacts, Event, PartyFacts};
use host::{LogLine, wire};

use super::secrets::{Placeholders, SecretError, Vault};

/// The context of a call. `attempt` is counted from 1; 0 while routing.
pub fn context(now: Timestamp, attempt: u32, dry_run: bool, idempotency_key: String) -> wire::Context {
    wire::Context { now: unix_ms(now), attempt, dry_run, idempotency_key }
}

/// The event as `postback` may see it. Postbacks of affiliates do not see the revenue.
pub fn event(event: &Event, postback: &Postback) -> wire::Event {
    let mut seen = whole_event(event);
    if postback.owner.is_some()
        && let Some(conversion) = &mut seen.conversion
    {
        conversion.revenue = None;
    }
    seen
}

/// The event with all its data.
pub fn whole_event(event: &Event) -> wire::Event {
    let facts = &event.facts;
    wire::Event {
        id: event.id.to_string(),
        action: match event.action {
            Action::Impression => wire::Action::Impression,
            Action::Click => wire::Action::Click,
            Action::Conversion => wire::Action::Conversion,
            Action::Event => wire::Action::CustomEvent,
        },
        name: facts.name.clone(),
        occurred_at: unix_ms(event.occurred_at),
        affiliate: party(&facts.affiliate),
        offer: Some(party(&facts.offer)),
        click: facts.click.as_ref().map(click),
        conversion: facts.conversion.as_ref().map(conversion),
        attributes: fields(&facts.attributes),
    }
}

/// The configuration of a source as its adapter may see it, and the secrets of its placeholders.
pub(crate) fn source_binding(vault: &Vault, source: &Source) -> Result<(wire::Binding, Placeholders), SecretError> {
    let holder = source.id.to_string();
    let (config, secrets) = vault.with_placeholders(&source.config, &holder)?;
    Ok((wire::Binding { id: holder, config: config.to_string() }, secrets))
}

/// The log lines of an adapter, with `***` in place of secrets.
pub(crate) fn log_lines(log: &[LogLine], secrets: &Placeholders) -> Vec<AdapterLine> {
    log.iter().map(|it| AdapterLine::new(it.level.word(), secrets.mask(&it.message))).collect()
}

/// An inbound request, with its query parsed.
pub fn inbound_request(raw: &RawRequest) -> wire::InboundRequest {
    let query = url::form_urlencoded::parse(raw.query.as_bytes());
    wire::InboundRequest {
        method: if raw.method == "POST" { wire::HttpMethod::Post } else { wire::HttpMethod::Get },
        path: raw.path.clone(),
        query: query.map(|(name, value)| field(&name, value.into_owned())).collect(),
        headers: fields(&raw.headers),
        body: raw.body.clone(),
        remote_ip: raw.remote_ip.map(|ip| ip.to_string()),
    }
}

/// A notification that an adapter read.
pub fn notification(it: wire::ReportedConversion) -> Notification {
    let amount = |amount: Option<wire::ReportedAmount>| {
        amount.map(|wire::ReportedAmount { text, currency }| NotificationAmount { text, currency })
    };
    Notification {
        transaction_id: it.transaction_id,
        click_id: it.click_id,
        goal: it.goal,
        status: it.status,
        rejection_reason: it.rejection_reason,
        payout: amount(it.payout),
        revenue: amount(it.revenue),
        sale: amount(it.sale),
        occurred_at: it.occurred_at,
        attributes: it.attributes.into_iter().map(|field| (field.name, field.value)).collect(),
    }
}

/// A rendered request as it is sent.
pub fn request(request: &wire::Request) -> egress::Outgoing {
    egress::Outgoing {
        method: match request.method {
            wire::HttpMethod::Get => egress::Method::GET,
            wire::HttpMethod::Post => egress::Method::POST,
            wire::HttpMethod::Put => egress::Method::PUT,
            wire::HttpMethod::Patch => egress::Method::PATCH,
            wire::HttpMethod::Delete => egress::Method::DELETE,
        },
        url: request.url.clone(),
        headers: request.headers.iter().map(|field| (field.name.clone(), field.value.clone())).collect(),
        body: request.body.as_ref().map(|body| (body.content_type.clone(), body.bytes.clone())),
    }
}

/// An answer as adapters classify it.
pub fn response(answer: &egress::Answer) -> wire::Response {
    wire::Response {
        status: answer.status,
        headers: fields(&answer.headers),
        body: answer.body.clone(),
        truncated: answer.truncated,
    }
}

fn unix_ms(at: Timestamp) -> u64 {
    at.millis().max(0).cast_unsigned()
}

fn fields(pairs: &[(String, String)]) -> Vec<wire::Field> {
    pairs.iter().map(|(name, value)| field(name, value.clone())).collect()
}

fn field(name: &str, value: String) -> wire::Field {
    wire::Field { name: name.to_owned(), value }
}

fn party(party: &PartyFacts) -> wire::Party {
    let code = party.referral_code.iter().map(|code| field("referral_code", code.clone()));
    wire::Party { id: party.id.clone(), name: party.name.clone(), attributes: code.collect() }
}

/// A click as adapters see it.
pub fn click(click: &ClickFacts) -> wire::Click {
    wire::Click {
        id: click.id.to_string(),
        external_id: click.external_id.clone(),
        at: unix_ms(click.at),
        target_url: click.landing_url.clone(),
        referrer: click.referrer.clone(),
        ip: click.ip.clone(),
        user_agent: click.user_agent.clone(),
        country: click.country.clone(),
        device: click.device.clone(),
        sub_ids: fields(&click.sub_ids),
        attributes: fields(&click.params),
    }
}

fn conversion(it: &ConversionFacts) -> wire::Conversion {
    let attributes = [
        ("plan_price", it.plan_price.map(|price| price.to_string())),
        ("purchase_id", it.purchase_id.clone()),
        ("purchase_date", it.purchase_date.map(rfc3339_seconds)),
    ];
    wire::Conversion {
        id: it.id.to_string(),
        transaction_id: it.transaction_id.clone(),
        revision: it.revision.max(0).cast_unsigned(),
        goal: it.goal.clone(),
        status: status(&it.status),
        previous_status: it.previous.as_ref().map(status),
        payout: it.payout.map(money),
        revenue: it.revenue.map(money),
        sale: it.sale.map(money),
        customer_name: it.customer_name.clone(),
        customer_email: it.customer_email.clone(),
        product_name: it.plan_name.clone(),
        occurred_at: unix_ms(it.occurred_at),
        attributes: attributes.into_iter().filter_map(|(name, value)| Some(field(name, value?))).collect(),
    }
}

/// RFC 3339 without fractions of a second, the form in which adapters write dates.
fn rfc3339_seconds(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

fn status(status: &Status) -> wire::ConversionStatus {
    match status {
        Status::Pending => wire::ConversionStatus::Pending,
        Status::Approved => wire::ConversionStatus::Approved,
        Status::Rejected { reason } => {
            wire::ConversionStatus::Rejected(wire::Rejection { reason: reason.clone(), detail: None })
        }
    }
}

fn money(money: Money) -> wire::Money {
    wire::Money { micros: money.micros, currency: money.currency.to_string() }
}
