//! Unusual events, answers and notifications: special characters, empty values, huge numbers, missing parts.

use host::wire;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Text with special characters of a URL, a header, JSON, a template or a terminal, and random text.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just(String::new()),
        4 => "\\PC{0,24}",
        2 => "[a-z0-9_-]{1,16}",
        1 => any::<String>(),
        1 => Just("\u{202e}😀%00&=#?/../{click_id}{{this}}\"'\\\r\nX-Forged: 1".to_owned()),
        1 => Just("{".repeat(50)),
        1 => Just("ü".repeat(1000)),
    ]
}

/// Text in a field where an adapter expects a number, a status, a time or an id.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        text(),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("12.50".to_owned()),
        Just("1,234.5678901234567890".to_owned()),
        Just("-0".to_owned()),
        Just("9".repeat(400)),
        Just("1e400".to_owned()),
        Just("approved".to_owned()),
        Just("{payout}".to_owned()),
        Just("06bq3x8k2m7v1d5r9t4w6y8z0a".to_owned()),
    ]
}

fn fields(name: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<wire::Field>> {
    vec((name, value()).prop_map(|(name, value)| wire::Field { name, value }), 0..12)
}

fn money() -> impl Strategy<Value = wire::Money> {
    let micros = prop_oneof![Just(12_500_000), Just(0), Just(i64::MIN), Just(i64::MAX), any::<i64>()];
    let currency = prop_oneof![Just("USD".to_owned()), Just("JPY".to_owned()), Just("KWD".to_owned()), text()];
    (micros, currency).prop_map(|(micros, currency)| wire::Money { micros, currency })
}

fn party() -> impl Strategy<Value = wire::Party> {
    (text(), text(), fields(text())).prop_map(|(id, name, attributes)| wire::Party { id, name, attributes })
}

fn status() -> impl Strategy<Value = wire::ConversionStatus> {
    let rejected = (text(), option::of(text())).prop_map(|(reason, detail)| wire::Rejection { reason, detail });
    prop_oneof![
        Just(wire::ConversionStatus::Pending),
        Just(wire::ConversionStatus::Approved),
        rejected.prop_map(wire::ConversionStatus::Rejected),
    ]
}

fn click() -> impl Strategy<Value = wire::Click> {
    let sub_ids = fields(prop_oneof![text(), (1..=10).prop_map(|slot| format!("sub{slot}"))]);
    let whence = (option::of(text()), option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    (value(), option::of(text()), any::<u64>(), text(), whence, sub_ids, fields(text())).prop_map(
        |(id, external_id, at, target_url, whence, sub_ids, attributes)| {
            let (referrer, ip, user_agent, country, device) = whence;
            wire::Click {
                id,
                external_id,
                at,
                target_url,
                referrer,
                ip,
                user_agent,
                country,
                device,
                sub_ids,
                attributes,
            }
        },
    )
}

fn conversion() -> impl Strategy<Value = wire::Conversion> {
    let amounts = (option::of(money()), option::of(money()), option::of(money()));
    let buyer = (option::of(text()), option::of(text()), option::of(text()));
    let known = prop_oneof![text(), Just("plan_price".to_owned()), Just("purchase_date".to_owned())];
    let identity = (text(), text(), any::<u32>(), option::of(text()));
    (identity, status(), option::of(status()), amounts, buyer, any::<u64>(), fields(known)).prop_map(
        |(identity, status, previous_status, amounts, buyer, occurred_at, attributes)| {
            let (id, transaction_id, revision, goal) = identity;
            let (payout, revenue, sale) = amounts;
            let (customer_name, customer_email, product_name) = buyer;
            wire::Conversion {
                id,
                transaction_id,
                revision,
                goal,
                status,
                previous_status,
                payout,
                revenue,
                sale,
                customer_name,
                customer_email,
                product_name,
                occurred_at,
                attributes,
            }
        },
    )
}

pub fn event() -> impl Strategy<Value = wire::Event> {
    let action = prop_oneof![
        Just(wire::Action::Impression),
        Just(wire::Action::Click),
        Just(wire::Action::Conversion),
        Just(wire::Action::CustomEvent),
    ];
    let parts = (option::of(party()), option::of(click()), option::of(conversion()));
    (text(), action, option::of(text()), any::<u64>(), party(), parts, fields(text())).prop_map(
        |(id, action, name, occurred_at, affiliate, (offer, click, conversion), attributes)| wire::Event {
            id,
            action,
            name,
            occurred_at,
            affiliate,
            offer,
            click,
            conversion,
            attributes,
        },
    )
}

/// A body that is JSON, a form, or neither.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let json = fields(parameter()).prop_map(|fields| {
        let members: serde_json::Map<_, _> = fields.into_iter().map(|field| (field.name, field.value.into())).collect();
        serde_json::Value::Object(members).to_string().into_bytes()
    });
    prop_oneof![
        json,
        vec(any::<u8>(), 0..200),
        text().prop_map(String::into_bytes),
        Just("[".repeat(20_000).into_bytes()),
        Just("a=1&".repeat(5_000).into_bytes()),
    ]
}

/// Names that adapters look for, and others.
fn parameter() -> impl Strategy<Value = String> {
    let known =
        ["subid", "click_id", "clickid", "sessionId", "amount", "payout", "sum", "status", "transaction_id", "tid"];
    prop_oneof![text(), proptest::sample::select(known.map(str::to_owned).to_vec())]
}

pub fn inbound_request() -> impl Strategy<Value = wire::InboundRequest> {
    let method = prop_oneof![Just(wire::HttpMethod::Get), Just(wire::HttpMethod::Post), Just(wire::HttpMethod::Put)];
    let content_type =
        prop_oneof![Just("application/json".to_owned()), Just("application/x-www-form-urlencoded".to_owned()), text(),]
            .prop_map(|value| wire::Field { name: "content-type".into(), value });
    (method, text(), fields(parameter()), content_type, body(), option::of(text())).prop_map(
        |(method, path, query, content_type, body, remote_ip)| wire::InboundRequest {
            method,
            path,
            query,
            headers: vec![content_type],
            body,
            remote_ip,
        },
    )
}

pub fn response() -> impl Strategy<Value = wire::Response> {
    let status = prop_oneof![Just(200), Just(204), Just(302), Just(404), Just(429), Just(503), any::<u16>()];
    let name = prop_oneof![Just("retry-after".to_owned()), Just("content-type".to_owned()), text()];
    (status, fields(name), body(), any::<bool>()).prop_map(|(status, headers, body, truncated)| wire::Response {
        status,
        headers,
        body,
        truncated,
    })
}
