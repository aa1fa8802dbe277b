//! Notifications of networks, with any parameter names, in the network's own words.

use super::*;

fn parse(value: Value, query: &[(&str, &str)], content_type: &str, body: &str) -> Result<InboundReport, AdapterError> {
    let ctx = Context { now: 0, attempt: 1, dry_run: false, idempotency_key: String::new() };
    let request = InboundRequest {
        method: if body.is_empty() { HttpMethod::Get } else { HttpMethod::Post },
        path: "/in/key".into(),
        query: query.iter().map(|(name, value)| field(name, value)).collect(),
        headers: vec![field("content-type", content_type)],
        body: body.into(),
        remote_ip: Some("203.0.113.9".into()),
    };
    MacroUrl::parse_inbound(&ctx, &config(value), &request)
}

fn affise() -> Value {
    json!({"fields": {"click_id": "subid", "payout": "sum", "status": "st", "transaction_id": "tid", "currency": "cur",
        "goal": "g", "sale": "order_sum", "revenue": "rev", "occurred_at": "time", "rejection_reason": "comment"}})
}

#[test]
fn every_field_is_read_from_query_form_and_json() {
    let pairs = [
        ("subid", "c1"),
        ("sum", "1.50"),
        ("st", "5"),
        ("tid", "t-1"),
        ("cur", "EUR"),
        ("g", "lead"),
        ("order_sum", "49"),
        ("rev", "2,00"),
        ("time", "2026-11-20 14:05:00"),
        ("comment", "fraud"),
    ];
    let amount = |text: &str| Some(ReportedAmount { text: text.into(), currency: Some("EUR".into()) });
    let expected = InboundReport::of(vec![ReportedConversion {
        click_id: Some("c1".into()),
        transaction_id: Some("t-1".into()),
        status: Some("5".into()),
        goal: Some("lead".into()),
        rejection_reason: Some("fraud".into()),
        payout: amount("1.50"),
        sale: amount("49"),
        revenue: amount("2,00"),
        occurred_at: Some("2026-11-20 14:05:00".into()),
        attributes: vec![],
    }]);
    let json: serde_json::Map<String, Value> =
        pairs.iter().map(|(name, value)| ((*name).into(), json!(value))).collect();
    let json = Value::Object(json).to_string();
    assert_eq!(parse(affise(), &pairs, "", ""), Ok(expected.clone()));
    assert_eq!(parse(affise(), &[], "application/x-www-form-urlencoded", &url::query(pairs)), Ok(expected.clone()));
    assert_eq!(parse(affise(), &[], "application/json", &json), Ok(expected));
}

#[test]
fn values_without_information_are_named() {
    let code = |query: &[(&str, &str)]| {
        parse(affise(), query, "", "").expect("it is read").ignored.expect("it is ignored").code
    };
    assert_eq!(code(&[("subid", "{sub1}"), ("sum", "1")]), "unreplaced_macro");
    assert_eq!(code(&[("subid", "c1"), ("sum", "{sum}")]), "unreplaced_macro");
    assert_eq!(code(&[("subid", "test")]), "test_ping");
    assert_eq!(code(&[("subid", "")]), "no_click_id");
}

#[test]
fn one_configuration_may_send_receive_or_both() {
    let event = full();
    let ctx = Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() };
    assert_eq!(issue_paths(affise()), [""; 0]);
    let error = MacroUrl::render(&ctx, &config(affise()), &event).expect_err("it only receives");
    assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidConfig, Some("/base_url")));
    let error = parse(json!({"base_url": "https://t.example/"}), &[], "", "").expect_err("it only sends");
    assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidConfig, Some("/fields")));
    let mut both = affise();
    both["base_url"] = json!("https://t.example/");
    assert_eq!(render(both.clone(), &event).url, "https://t.example/");
    assert_eq!(parse(both, &[("subid", "c1")], "", "").expect("it is read").conversions.len(), 1);
}

#[test]
fn a_notification_needs_a_click_id_or_a_transaction_id() {
    assert_eq!(issue_paths(json!({"fields": {"payout": "sum"}})), ["/fields/click_id"]);
    assert_eq!(issue_paths(json!({"fields": {"transaction_id": "tid"}})), [""; 0]);
    assert!(
        serde_json::from_value::<Config>(json!({"fields": {"clickid": "x"}})).is_err(),
        "unknown fields are refused"
    );
}
