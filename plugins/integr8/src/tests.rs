//! The ten macros, the two statuses, and invalid publisher URLs.

use serde_json::{Value, json};

use super::*;

fn event(action: Action, status: Option<ConversionStatus>) -> Event {
    let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
    let party = |id: &str| Party { id: id.into(), name: "A name".into(), attributes: vec![] };
    let money = |micros| Some(Money { micros, currency: "EUR".into() });
    Event {
        id: "evt_1".into(),
        action,
        name: None,
        occurred_at: 1_795_183_500_000,
        affiliate: party("aff_1"),
        offer: Some(party("off_1")),
        click: Some(Click {
            id: "06bq3x8k2m".into(),
            external_id: Some("pub click&1".into()),
            at: 1_795_080_600_000,
            target_url: "https://shop.example/".into(),
            referrer: None,
            ip: Some("203.0.113.7".into()),
            user_agent: None,
            country: None,
            device: None,
            sub_ids: vec![field("sub1", "news letter")],
            attributes: vec![],
        }),
        conversion: status.map(|status| Conversion {
            id: "cnv_1".into(),
            transaction_id: "order-1001".into(),
            revision: 1,
            goal: None,
            status,
            previous_status: None,
            payout: money(12_500_000),
            revenue: money(20_000_000),
            sale: money(49_000_000),
            customer_name: None,
            customer_email: None,
            product_name: None,
            occurred_at: 1_795_183_500_000,
            attributes: vec![],
        }),
        attributes: vec![],
    }
}

fn rejected(reason: &str) -> Option<ConversionStatus> {
    Some(ConversionStatus::Rejected(Rejection { reason: reason.into(), detail: None }))
}

fn config(url: &str) -> Config {
    serde_json::from_value(json!({ "url": url })).expect("the configuration is readable")
}

fn context() -> Context {
    Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() }
}

fn render(url: &str, event: &Event) -> Request {
    let config = config(url);
    assert_eq!(Integr8::validate(&config), []);
    Integr8::render(&context(), &config, event).expect("it renders")
}

fn decide(event: &Event) -> Decision {
    Integr8::decide(&context(), &config("https://t.example/"), event).expect("it decides")
}

fn value(token: &str, event: &Event) -> String {
    let url = render(&format!("https://t.example/?v={{{token}}}"), event).url;
    url.strip_prefix("https://t.example/?v=").expect("the only parameter").to_owned()
}

#[test]
fn the_url_of_integr8s_guide_works_unchanged() {
    let request = render(
        "https://publisher-track.com/postback?clickid={external_transaction_id}&status={status}",
        &event(Action::Conversion, Some(ConversionStatus::Approved)),
    );
    let url = "https://publisher-track.com/postback?clickid=pub%20click%261&status=approved";
    assert_eq!(request, Request::get(url));
}

#[test]
fn each_of_the_ten_macros_has_its_value() {
    let event = event(Action::Conversion, rejected("charge back"));
    let expected = [
        ("transaction_id", "06bq3x8k2m"),
        ("external_transaction_id", "pub%20click%261"),
        ("offer_id", "off_1"),
        ("publisher_id", "aff_1"),
        ("sub_id", "news%20letter"),
        ("payout", "12.50"),
        ("revenue", "20.00"),
        ("currency", "EUR"),
        ("status", "rejected"),
        ("rejection_reason", "charge%20back"),
    ];
    let described: Vec<String> = Integr8::describe().macros.into_iter().map(|known| known.token).collect();
    assert_eq!(described, expected.map(|(token, _)| token));
    for (token, text) in expected {
        assert_eq!(value(token, &event), text, "{token}");
    }
}

#[test]
fn missing_values_of_clicks_and_impressions_are_empty() {
    for action in [Action::Click, Action::Impression] {
        let event = event(action, None);
        assert_eq!(value("external_transaction_id", &event), "pub%20click%261");
        for token in ["payout", "revenue", "currency", "status", "rejection_reason"] {
            assert_eq!(value(token, &event), "", "{token}");
        }
        assert_eq!(decide(&event).verdict, Verdict::Fire);
    }
}

#[test]
fn a_pending_conversion_is_skipped_with_a_reason() {
    let pending = event(Action::Conversion, Some(ConversionStatus::Pending));
    let decision = decide(&pending);
    assert_eq!(decision.verdict, Verdict::Skip);
    assert_eq!(decision.checks.len(), 1);
    assert!(!decision.checks[0].passed && decision.checks[0].detail.contains("pending"));
    assert_eq!(value("status", &pending), "");
    for status in [Some(ConversionStatus::Approved), rejected("fraud")] {
        assert_eq!(decide(&event(Action::Conversion, status)).verdict, Verdict::Fire);
    }
    let later = event(Action::CustomEvent, Some(ConversionStatus::Pending));
    assert_eq!(decide(&later).verdict, Verdict::Fire);
}

#[test]
fn other_macros_are_refused_by_name() {
    let issues = Integr8::validate(&config("https://t.example/?a={click_id}&b={payout}"));
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].path, "/url");
    assert!(issues[0].message.contains("'click_id'") && issues[0].message.contains("external_transaction_id"));
    for url in ["https://{sub_id}.example/", "t.example/?a={payout}", "https://t.example/{"] {
        assert!(!Integr8::validate(&config(url)).is_empty(), "{url}");
    }
}

#[test]
fn the_rules_are_integr8s() {
    let rules = Integr8::describe().rules;
    assert_eq!(rules.actions, [Action::Impression, Action::Click, Action::Conversion, Action::CustomEvent]);
    assert!(rules.statuses && rules.rejection_reasons);
    assert_eq!(rules.min_delay, 120_000);
}

#[test]
fn the_schema_has_a_title_and_help_for_every_field() {
    let schema: Value = serde_json::from_str(&Integr8::describe().config_schema).expect("it is JSON");
    for (name, field) in schema["properties"].as_object().expect("it has fields") {
        assert!(field["title"].is_string() && field["description"].is_string(), "{name}");
    }
}
