//! Converts between the program's types and those of the adapter contract.

use domain::amounts::Money;
use domain::delivery::delivery::AdapterLine;
use domain::inbound::inbound_request::RawRequest;
use domain::inbound::notification::{Notification, NotificationAmount};
use domain::inbound::source::Source;
use domain::program::buyer_visibility::Shown;
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

/// The event as its reader may see it.
pub fn event(event: Shown<Event>) -> wire::Event {
    let event = event.into_inner();
    let facts = event.facts;
    wire::Event {
        id: event.id.to_string(),
        action: match event.action {
            Action::Impression => wire::Action::Impression,
            Action::Click => wire::Action::Click,
            Action::Conversion => wire::Action::Conversion,
            Action::Event => wire::Action::CustomEvent,
        },
        name: facts.name,
        occurred_at: unix_ms(event.occurred_at),
        affiliate: party(facts.affiliate),
        offer: Some(party(facts.offer)),
        click: facts.click.map(click_of),
        conversion: facts.conversion.map(conversion),
        attributes: owned_fields(facts.attributes),
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
    wire::InboundRequest {
        method: if raw.method == "POST" { wire::HttpMethod::Post } else { wire::HttpMethod::Get },
        path: raw.path.clone(),
        query: fields(&raw.query_pairs()),
        headers: fields(raw.headers_of_network()),
        // A body that cannot be read was refused before.
        body: raw.plain_body().unwrap_or_default().into_owned(),
        remote_ip: raw.remote_ip.map(|ip| ip.to_string()),
    }
}

/// A notification that an adapter read.
pub fn notification(it: wire::ReportedConversion) -> Notification {
    let amount = |amount: Option<wire::ReportedAmount>| {
        amount.map(|wire::ReportedAmount { text, currency }| NotificationAmount {
            text,
            currency,
            notation: Default::default(),
        })
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

fn fields<'a>(pairs: impl IntoIterator<Item = &'a (String, String)>) -> Vec<wire::Field> {
    owned_fields(pairs.into_iter().cloned().collect())
}

fn owned_fields(pairs: Vec<(String, String)>) -> Vec<wire::Field> {
    pairs.into_iter().map(|(name, value)| wire::Field { name, value }).collect()
}

fn field(name: &str, value: String) -> wire::Field {
    wire::Field { name: name.to_owned(), value }
}

fn party(party: PartyFacts) -> wire::Party {
    let code = party.referral_code.into_iter().map(|code| field("referral_code", code));
    wire::Party { id: party.id, name: party.name, attributes: code.collect() }
}

/// A click as its reader may see it.
pub fn click(click: Shown<ClickFacts>) -> wire::Click {
    click_of(click.into_inner())
}

fn click_of(click: ClickFacts) -> wire::Click {
    wire::Click {
        id: click.id.to_string(),
        external_id: click.external_id,
        at: unix_ms(click.at),
        target_url: click.landing_url,
        referrer: click.referrer,
        ip: click.ip,
        user_agent: click.user_agent,
        country: click.country,
        device: click.device,
        sub_ids: owned_fields(click.sub_ids),
        attributes: owned_fields(click.params),
    }
}

fn conversion(it: ConversionFacts) -> wire::Conversion {
    let attributes = [
        ("plan_price", it.plan_price.map(|price| price.to_string())),
        ("purchase_id", it.purchase_id),
        ("purchase_date", it.purchase_date.map(rfc3339_seconds)),
        ("test", it.test.then(|| "true".to_owned())),
    ];
    wire::Conversion {
        id: it.id.to_string(),
        transaction_id: it.transaction_id,
        revision: it.revision.max(0).cast_unsigned(),
        goal: it.goal,
        status: status(&it.status),
        previous_status: it.previous.as_ref().map(status),
        payout: it.payout.map(money),
        revenue: it.revenue.map(money),
        sale: it.sale.map(money),
        customer_name: it.customer_name,
        customer_email: it.customer_email,
        product_name: it.plan_name,
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
