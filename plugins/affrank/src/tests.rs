//! The session in landing URLs and in notifications.

use serde_json::{Value, json};

use super::*;

fn config(value: Value) -> Config {
    serde_json::from_value(value).expect("the configuration is readable")
}

fn context() -> Context {
    Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() }
}

fn click(target_url: &str) -> Click {
    Click {
        id: "06bq3x8k2m".into(),
        external_id: None,
        at: 1_795_080_600_000,
        target_url: target_url.into(),
        referrer: None,
        ip: None,
        user_agent: None,
        country: None,
        device: None,
        sub_ids: vec![],
        attributes: vec![],
    }
}

fn decorated(value: Value, target_url: &str) -> Vec<(String, String)> {
    let fields = AffRank::decorate_click(&context(), &config(value), &click(target_url)).expect("it decorates");
    fields.into_iter().map(|field| (field.name, field.value)).collect()
}

fn reported(query: &[(&str, &str)], body: &str) -> InboundReport {
    let field = |(name, value): &(&str, &str)| Field { name: (*name).into(), value: (*value).into() };
    let request = InboundRequest {
        method: HttpMethod::Get,
        path: "/in/key".into(),
        query: query.iter().map(field).collect(),
        headers: vec![],
        body: body.into(),
        remote_ip: None,
    };
    AffRank::parse_inbound(&context(), &config(json!({})), &request).expect("it is read")
}

fn refusal(query: &[(&str, &str)]) -> Refusal {
    let report = reported(query, "");
    assert_eq!(report.conversions, []);
    report.ignored.expect("it is ignored")
}

fn amount(text: &str, currency: Option<&str>) -> Option<ReportedAmount> {
    Some(ReportedAmount { text: text.into(), currency: currency.map(str::to_owned) })
}

#[test]
fn the_session_is_added_to_the_link() {
    let session = |name: &str| vec![(name.to_owned(), "06bq3x8k2m".to_owned())];
    assert_eq!(decorated(json!({}), "https://network.example/?a=1"), session("affrank_sid"));
    assert_eq!(decorated(json!({"parameter": "subid"}), "https://network.example/"), session("subid"));
    assert_eq!(decorated(json!({"append": false}), "https://network.example/"), []);
}

#[test]
fn a_session_in_the_link_is_not_replaced() {
    assert_eq!(decorated(json!({}), "https://network.example/?a=1&affrank_sid=x#top"), []);
    assert_eq!(decorated(json!({}), "https://network.example/?affrank%5Fsid=x"), []);
    assert_eq!(decorated(json!({}), "https://network.example/affrank_sid?b=affrank_sid#?affrank_sid=x").len(), 1);
}

#[test]
fn the_postback_of_affranks_guide_is_read() {
    let report = reported(&[("sessionId", "06bq3x8k2m"), ("amount", "12.50")], "");
    let expected = ReportedConversion {
        click_id: Some("06bq3x8k2m".into()),
        transaction_id: Some("06bq3x8k2m".into()),
        payout: amount("12.50", None),
        ..ReportedConversion::default()
    };
    assert_eq!(report, InboundReport::of(vec![expected]));
}

#[test]
fn additional_parameters_are_read() {
    let query = "sessionId=06bq&amount=1250&currency=EUR&status=APPROVED&transaction_id=t%201&goal=sale";
    let expected = ReportedConversion {
        click_id: Some("06bq".into()),
        transaction_id: Some("t 1".into()),
        status: Some("APPROVED".into()),
        goal: Some("sale".into()),
        payout: amount("1250", Some("EUR")),
        ..ReportedConversion::default()
    };
    assert_eq!(reported(&[], query), InboundReport::of(vec![expected]));
    let json = r#"{"sessionId":"06bq","amount":12.50}"#;
    assert_eq!(reported(&[], json).conversions[0].payout, amount("12.50", None));
}

#[test]
fn unreplaced_macros_are_named() {
    for query in
        [[("sessionId", "{SESSION_ID}"), ("amount", "12.50")], [("sessionId", "06bq"), ("amount", "{COMMISSION}")]]
    {
        let refusal = refusal(&query);
        assert_eq!(refusal.code, "unreplaced_macro");
        assert!(refusal.message.contains("the network did not replace"), "{}", refusal.message);
    }
    assert!(refusal(&[("sessionId", "{SESSION_ID}")]).message.contains("{SESSION_ID}"));
}

#[test]
fn a_request_without_a_session_is_not_a_conversion() {
    assert_eq!(refusal(&[("amount", "12.50")]).code, "no_click_id");
    assert_eq!(refusal(&[("sessionId", ""), ("amount", "12.50")]).code, "no_click_id");
    assert_eq!(refusal(&[]).code, "no_click_id");
    assert_eq!(refusal(&[("sessionId", "test"), ("amount", "1")]).code, "test_ping");
}

#[test]
fn it_decorates_and_reads_but_does_not_send() {
    let descriptor = AffRank::describe();
    assert_eq!(descriptor.capabilities, Capabilities::INBOUND | Capabilities::CLICK);
    assert_eq!((descriptor.hosts.len(), descriptor.rules.actions.len()), (0, 0));
}

#[test]
fn the_schema_has_a_title_and_help_for_every_field() {
    let schema: Value = serde_json::from_str(&AffRank::describe().config_schema).expect("it is JSON");
    for (name, field) in schema["properties"].as_object().expect("it has fields") {
        assert!(field["title"].is_string() && field["description"].is_string(), "{name}");
    }
    let defaults = config(json!({}));
    assert_eq!(schema["properties"]["append"]["default"], defaults.append);
    assert_eq!(schema["properties"]["parameter"]["default"], defaults.parameter);
}
