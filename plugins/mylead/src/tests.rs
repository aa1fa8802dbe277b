//! The fifteen tokens, the five triggers, and MyLead's notifications.

use serde_json::{Value, json};

use super::*;

fn event(action: Action, status: ConversionStatus) -> Event {
    let field = |name: String, value: String| Field { name, value };
    let money = |micros, currency: &str| Some(Money { micros, currency: currency.into() });
    Event {
        id: "evt_1".into(),
        action,
        name: (action == Action::CustomEvent).then(|| "available_to_pay".into()),
        occurred_at: 1_795_183_500_000,
        affiliate: Party { id: "aff_1".into(), name: "Ada".into(), attributes: vec![] },
        offer: Some(Party { id: "off_1".into(), name: "Bank & Loan".into(), attributes: vec![] }),
        click: Some(Click {
            id: "06bq3x8k2m".into(),
            external_id: None,
            at: 1_795_080_600_000,
            target_url: "https://shop.example/".into(),
            referrer: None,
            ip: Some("203.0.113.7".into()),
            user_agent: None,
            country: Some("PL".into()),
            device: None,
            sub_ids: (1..=6).map(|slot| field(format!("sub{slot}"), format!("value {slot}"))).collect(),
            attributes: vec![],
        }),
        conversion: Some(Conversion {
            id: "cnv_1".into(),
            transaction_id: "order-1001".into(),
            revision: 1,
            goal: Some("account".into()),
            status,
            previous_status: None,
            payout: money(12_500_000, "PLN"),
            revenue: None,
            sale: money(49_000_000, "USD"),
            customer_name: None,
            customer_email: None,
            product_name: None,
            occurred_at: 1_795_183_500_000,
            attributes: vec![],
        }),
        attributes: vec![],
    }
}

fn rejected() -> ConversionStatus {
    ConversionStatus::Rejected(Rejection { reason: "fraud".into(), detail: None })
}

fn config(value: Value) -> Config {
    serde_json::from_value(value).expect("the configuration is readable")
}

fn context() -> Context {
    Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() }
}

fn render(url: &str, event: &Event) -> Request {
    let config = config(json!({ "url": url }));
    assert_eq!(MyLead::validate(&config), []);
    MyLead::render(&context(), &config, event).expect("it renders")
}

fn value(token: &str, event: &Event) -> String {
    let url = render(&format!("https://t.example/?v=[{token}]"), event).url;
    url.strip_prefix("https://t.example/?v=").expect("the only parameter").to_owned()
}

fn decide(trigger: &str, event: &Event) -> Decision {
    let config = config(json!({"url": "https://t.example/", "trigger": trigger}));
    MyLead::decide(&context(), &config, event).expect("it decides")
}

fn issues(value: Value) -> Vec<(String, String)> {
    MyLead::validate(&config(value)).into_iter().map(|issue| (issue.path, issue.message)).collect()
}

fn read(names: Value, query: &[(&str, &str)]) -> InboundReport {
    let field = |(name, value): &(&str, &str)| Field { name: (*name).into(), value: (*value).into() };
    let request = InboundRequest {
        method: HttpMethod::Get,
        path: "/in/key".into(),
        query: query.iter().map(field).collect(),
        headers: vec![],
        body: vec![],
        remote_ip: None,
    };
    let config = config(json!({ "names": names }));
    assert_eq!(MyLead::validate(&config), []);
    MyLead::parse_inbound(&context(), &config, &request).expect("it is read")
}

fn amount(text: &str, currency: Option<&str>) -> Option<ReportedAmount> {
    Some(ReportedAmount { text: text.into(), currency: currency.map(str::to_owned) })
}

#[test]
fn the_url_of_myleads_guide_works_unchanged() {
    let request = render(
        "http://www.yourdomain.com/script.php?subID=[transaction_id]&program=[program_id]&name=[program_name]&status=[status]&payout=[payout]",
        &event(Action::Conversion, ConversionStatus::Approved),
    );
    let url = "http://www.yourdomain.com/script.php?subID=order-1001&program=off_1&name=Bank%20%26%20Loan&status=approved&payout=1250";
    assert_eq!(request, Request::get(url));
}

#[test]
fn each_of_the_fifteen_tokens_has_its_value() {
    let event = event(Action::Conversion, ConversionStatus::Pending);
    let expected = [
        ("transaction_id", "order-1001"),
        ("program_id", "off_1"),
        ("program_name", "Bank%20%26%20Loan"),
        ("program_config_id", "account"),
        ("payout", "1250"),
        ("payout_decimal", "12.50"),
        ("status", "pending"),
        ("currency", "PLN"),
        ("ip", "203.0.113.7"),
        ("country_code", "PL"),
        ("ml_sub1", "value%201"),
        ("ml_sub2", "value%202"),
        ("ml_sub3", "value%203"),
        ("ml_sub4", "value%204"),
        ("ml_sub5", "value%205"),
    ];
    let described = MyLead::describe().macros;
    let names: Vec<&str> = described.iter().map(|known| known.token.as_str()).collect();
    assert_eq!(names, expected.map(|(token, _)| token));
    for (token, text) in expected {
        assert_eq!(value(token, &event), text, "{token}");
    }
    let personal: Vec<&str> =
        described.iter().filter(|known| known.personal_data).map(|known| known.token.as_str()).collect();
    assert_eq!(personal, ["ip"]);
}

#[test]
fn pennies_follow_the_currency() {
    let mut event = event(Action::Conversion, ConversionStatus::Approved);
    let mut pay = |micros, currency: &str| {
        let conversion = event.conversion.as_mut().expect("it has one");
        conversion.payout = Some(Money { micros, currency: currency.into() });
        (value("payout", &event), value("payout_decimal", &event))
    };
    assert_eq!(pay(10_000, "EUR"), ("1".into(), "0.01".into()));
    assert_eq!(pay(500_000_000, "JPY"), ("500".into(), "500.00".into()));
    assert_eq!(pay(-12_500_000, "USD"), ("-1250".into(), "-12.50".into()));
}

#[test]
fn each_trigger_fires_on_its_change_only() {
    let changes = [
        ("pending", event(Action::Conversion, ConversionStatus::Pending)),
        ("accepted", event(Action::Conversion, ConversionStatus::Approved)),
        ("rejected", event(Action::Conversion, rejected())),
        ("available", event(Action::CustomEvent, ConversionStatus::Approved)),
    ];
    for (change, event) in &changes {
        assert_eq!(decide("any", event).verdict, Verdict::Fire, "{change}");
        for (trigger, _) in &changes {
            let decision = decide(trigger, event);
            assert_eq!(decision.verdict, if trigger == change { Verdict::Fire } else { Verdict::Skip });
            assert_eq!(decision.checks[0].passed, trigger == change);
        }
    }
}

#[test]
fn a_skip_has_a_reason() {
    let why = |trigger, event: &Event| decide(trigger, event).checks.remove(0).detail;
    let pending = event(Action::Conversion, ConversionStatus::Pending);
    assert_eq!(why("accepted", &pending), "fires on accepted; the lead is pending");
    let mut other = event(Action::CustomEvent, ConversionStatus::Approved);
    other.name = Some("trial_started".into());
    assert_eq!(
        why("any", &other),
        "MyLead has no custom event other than available_to_pay; this event is trial_started"
    );
    let click = event(Action::Click, ConversionStatus::Approved);
    assert_eq!(why("any", &click), "MyLead sends only changes of leads; the action of this event is click");
}

#[test]
fn other_tokens_and_bad_urls_are_refused() {
    let found = issues(json!({"url": "https://t.example/?a=[click_id]&b=[ml_sub1]"}));
    assert_eq!(found.len(), 1);
    assert!(found[0].0 == "/url" && found[0].1.contains("'click_id'") && found[0].1.contains("ml_sub5"));
    for url in ["https://[ml_sub1].example/", "t.example/", "https://t.example/?a=[payout"] {
        assert!(!issues(json!({ "url": url })).is_empty(), "{url}");
    }
    // Braces are neither tokens of MyLead nor macros here: they are sent unchanged.
    let event = event(Action::Conversion, ConversionStatus::Approved);
    assert_eq!(render("https://t.example/?a={payout}", &event).url, "https://t.example/?a={payout}");
}

#[test]
fn a_postback_without_a_url_is_an_error_at_the_url() {
    let event = event(Action::Conversion, ConversionStatus::Approved);
    let error = MyLead::render(&context(), &config(json!({})), &event).expect_err("there is no URL");
    assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidConfig, Some("/url")));
}

#[test]
fn a_notification_is_read_by_its_token_names() {
    let query = [
        ("ml_sub1", "06bq3x8k2m"),
        ("ml_sub2", "aff-7"),
        ("transaction_id", "T-1"),
        ("status", "pre_approved"),
        ("payout", "1250"),
        ("payout_decimal", "12.5"),
        ("currency", "PLN"),
        ("program_id", "42"),
        ("program_name", "[program_name]"),
        ("country_code", ""),
    ];
    let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
    let expected = ReportedConversion {
        click_id: Some("06bq3x8k2m".into()),
        transaction_id: Some("T-1".into()),
        status: Some("pre_approved".into()),
        payout: amount("12.5", Some("PLN")),
        attributes: vec![field("program_id", "42"), field("ml_sub2", "aff-7")],
        ..ReportedConversion::default()
    };
    assert_eq!(read(json!({}), &query), InboundReport::of(vec![expected]));
}

#[test]
fn pennies_become_a_decimal_amount() {
    let payout = |pennies: &str, currency: &str| {
        let query = [("ml_sub1", "c"), ("payout", pennies), ("currency", currency)];
        read(json!({}), &query).conversions.remove(0).payout
    };
    assert_eq!(payout("1250", "USD"), amount("12.50", Some("USD")));
    assert_eq!(payout("5", "EUR"), amount("0.05", Some("EUR")));
    assert_eq!(payout("500", "JPY"), amount("500.00", Some("JPY")));
    assert_eq!(payout("1250", ""), amount("12.50", None));
    assert_eq!(payout("", "USD"), None);
    for bad in ["12.50", "abc", "99999999999999999999"] {
        let refusal = read(json!({}), &[("ml_sub1", "c"), ("payout", bad)]).ignored.expect("it is ignored");
        assert_eq!(refusal.code, "invalid_amount");
        assert!(refusal.message.contains(bad) && refusal.message.contains("[payout_decimal]"));
    }
}

#[test]
fn renamed_parameters_are_read_by_their_names() {
    let names =
        json!({"ml_sub1": "click_id", "payout_decimal": "payout", "payout": "pennies", "transaction_id": "txid"});
    let query = [("click_id", "06bq"), ("payout", "12.50"), ("txid", "T-1"), ("ml_sub1", "not this")];
    let conversion = read(names, &query).conversions.remove(0);
    assert_eq!(conversion.click_id.as_deref(), Some("06bq"));
    assert_eq!(conversion.transaction_id.as_deref(), Some("T-1"));
    assert_eq!(conversion.payout, amount("12.50", None));
}

#[test]
fn names_are_those_of_tokens_and_used_once() {
    let found = issues(json!({"names": {"payout_decimal": "payout"}}));
    let message = "The parameter 'payout' is used for both [payout] and [payout_decimal]; rename one of them.";
    assert_eq!(found, [("/names/payout_decimal".to_owned(), message.to_owned())]);
    let found = issues(json!({"names": {"status": "ip"}}));
    assert_eq!(found[0].0, "/names/status");
    assert_eq!(issues(json!({"names": {"nope": "x"}}))[0].0, "/names/nope");
}

#[test]
fn a_token_that_was_not_replaced_is_named() {
    for query in [[("ml_sub1", "[ml_sub1]"), ("payout", "1")], [("ml_sub1", "c"), ("payout", "[payout]")]] {
        assert_eq!(read(json!({}), &query).ignored.expect("it is ignored").code, "unreplaced_macro");
    }
    assert_eq!(read(json!({}), &[]).ignored.expect("it is ignored").code, "no_click_id");
}

#[test]
fn the_rules_leave_the_status_to_the_trigger() {
    let descriptor = MyLead::describe();
    assert_eq!(descriptor.capabilities, Capabilities::OUTBOUND | Capabilities::INBOUND);
    assert_eq!(descriptor.rules.actions, [Action::Conversion, Action::CustomEvent]);
    assert!(!descriptor.rules.statuses);
}

#[test]
fn the_schema_has_a_title_and_help_for_every_field_and_a_name_for_every_token() {
    fn fields(schema: &Value) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            assert!(field["title"].is_string() && field["description"].is_string(), "{name}");
            fields(field);
        }
    }
    let schema: Value = serde_json::from_str(&MyLead::describe().config_schema).expect("it is JSON");
    fields(&schema);
    let named = schema["properties"]["names"]["properties"].as_object().expect("it has names");
    assert_eq!(named.len(), macros::TOKENS.len());
    assert!(macros::TOKENS.iter().all(|token| named.contains_key(token.name)));
}
