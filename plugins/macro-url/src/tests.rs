//! Every macro, every check of the configuration, and the requests.

mod answers;
mod bodies;
mod reports;
mod secrets;

use serde_json::{Value, json};

use super::*;

/// Reserved characters and Unicode, each with its expected output.
const ODD: &str = "a b&c=d?é😀%20+#/";
const ODD_ENCODED: &str = "a%20b%26c%3Dd%3F%C3%A9%F0%9F%98%80%2520%2B%23%2F";

fn odd() -> String {
    ODD.into()
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.into(), value: value.into() }
}

/// An event whose texts all contain special characters.
fn full() -> Event {
    let money = |micros, currency: &str| Some(Money { micros, currency: currency.into() });
    let subs = (1..=10).map(|index| field(&format!("sub{index}"), &format!("{index}{ODD}"))).collect();
    Event {
        id: odd(),
        action: Action::Conversion,
        name: Some(odd()),
        occurred_at: 1_795_183_501_999,
        affiliate: Party { id: odd(), name: odd(), attributes: vec![field("referral_code", ODD)] },
        offer: Some(Party { id: odd(), name: odd(), attributes: vec![] }),
        click: Some(Click {
            id: odd(),
            external_id: Some(odd()),
            at: 1_795_080_600_000,
            target_url: odd(),
            referrer: Some(odd()),
            ip: Some(odd()),
            user_agent: Some(odd()),
            country: Some(odd()),
            device: Some(odd()),
            sub_ids: subs,
            attributes: vec![field("keyword", ODD), field("page", ODD)],
        }),
        conversion: Some(Conversion {
            id: odd(),
            transaction_id: odd(),
            revision: 3,
            goal: Some(odd()),
            status: ConversionStatus::Rejected(Rejection { reason: odd(), detail: None }),
            previous_status: Some(ConversionStatus::Pending),
            payout: money(12_500_000, "EUR"),
            revenue: money(-20_005_000, "USD"),
            sale: money(49_000_000, "USD"),
            customer_name: Some(odd()),
            customer_email: Some(odd()),
            product_name: Some(odd()),
            occurred_at: 1_795_183_500_000,
            attributes: vec![field("plan_price", ODD), field("purchase_id", ODD), field("purchase_date", ODD)],
        }),
        attributes: vec![],
    }
}

/// An event without any optional value.
fn bare(action: Action) -> Event {
    Event {
        id: "evt".into(),
        action,
        name: None,
        occurred_at: 0,
        affiliate: Party { id: "aff".into(), name: String::new(), attributes: vec![] },
        offer: None,
        click: None,
        conversion: None,
        attributes: vec![],
    }
}

fn config(config: Value) -> Config {
    serde_json::from_value(config).expect("the configuration is readable")
}

fn render(value: Value, event: &Event) -> Request {
    let ctx = Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() };
    let config = config(value);
    assert_eq!(MacroUrl::validate(&config), []);
    MacroUrl::render(&ctx, &config, event).expect("it renders")
}

fn value(token: &str, event: &Event) -> String {
    let url =
        render(json!({"base_url": "https://t.example/", "parameters": [{"name": "v", "macro": token}]}), event).url;
    url.strip_prefix("https://t.example/?v=").expect("the only parameter").to_owned()
}

fn issues(value: Value) -> Vec<(String, String)> {
    MacroUrl::validate(&config(value)).into_iter().map(|issue| (issue.path, issue.message)).collect()
}

fn issue_paths(value: Value) -> Vec<String> {
    issues(value).into_iter().map(|(path, _)| path).collect()
}

#[test]
fn every_macro_has_its_value_encoded_once() {
    let plain = [
        ("status", "rejected"),
        ("previous_status", "pending"),
        ("payout", "12.50"),
        ("revenue", "-20.005"),
        ("amount", "49.00"),
        ("payout_minor", "1250"),
        ("revenue_minor", "-2001"),
        ("amount_minor", "4900"),
        ("currency", "EUR"),
        ("payout_currency", "EUR"),
        ("revenue_currency", "USD"),
        ("amount_currency", "USD"),
        // A real conversion has no mark.
        ("test", ""),
        ("action", "conversion"),
        ("revision", "3"),
        ("event_date", "2026-11-20T14%3A05%3A01Z"),
        ("click_date", "2026-11-19T09%3A30%3A00Z"),
        ("conversion_date", "2026-11-20T14%3A05%3A00Z"),
        ("timestamp", "1795183501"),
    ];
    let event = full();
    for known in MacroUrl::describe().macros {
        let token = known.token.as_str();
        let expected = match plain.iter().find(|(name, _)| *name == token) {
            Some((_, expected)) => (*expected).to_owned(),
            None => format!("{}{ODD_ENCODED}", token.strip_prefix("sub").unwrap_or_default()),
        };
        assert_eq!(value(token, &event), expected, "{token}");
    }
}

#[test]
fn the_macros_are_the_documented_ones() {
    let tokens: Vec<String> = MacroUrl::describe().macros.into_iter().map(|known| known.token).collect();
    let documented = "click_id external_click_id sub1 sub2 sub3 sub4 sub5 sub6 sub7 sub8 sub9 sub10 affiliate_id \
        affiliate_name referral_code offer_id offer_name conversion_id transaction_id goal status previous_status \
        rejection_reason payout revenue amount payout_minor revenue_minor amount_minor currency payout_currency \
        revenue_currency amount_currency customer_name customer_email plan_name plan_price purchase_id \
        purchase_date test event_id action event_name revision event_date click_date conversion_date timestamp ip country \
        device user_agent referrer keyword page";
    assert_eq!(tokens, documented.split_whitespace().collect::<Vec<_>>());
    let personal: Vec<String> =
        MacroUrl::describe().macros.into_iter().filter(|known| known.personal_data).map(|known| known.token).collect();
    assert_eq!(personal, ["customer_name", "customer_email", "ip", "user_agent"]);
}

#[test]
fn a_macro_without_a_value_is_sent_empty() {
    let event = bare(Action::Impression);
    let always = ["affiliate_id", "event_id", "action", "event_date", "timestamp"];
    for known in MacroUrl::describe().macros {
        if !always.contains(&known.token.as_str()) {
            assert_eq!(value(&known.token, &event), "", "{}", known.token);
        }
    }
    let parameters = json!([{"name": "a", "macro": "payout"}, {"name": "b", "macro": "event_id"}]);
    let request = render(json!({"base_url": "https://t.example", "parameters": parameters}), &event);
    assert_eq!(request.url, "https://t.example?a=&b=evt");
}

#[test]
fn an_amount_is_not_sent_with_the_currency_of_another() {
    let sent = |tokens: &[&str]| {
        let parameters: Vec<_> = tokens.iter().map(|token| json!({"name": token, "macro": token})).collect();
        let url = render(json!({"base_url": "https://t.example", "parameters": parameters}), &full()).url;
        url.split_once('?').expect("a query").1.to_owned()
    };
    assert_eq!(sent(&["amount", "currency"]), "amount=49.00&currency=USD");
    assert_eq!(sent(&["payout", "amount", "currency"]), "payout=12.50&amount=&currency=EUR");
    assert_eq!(
        sent(&["payout", "amount", "currency", "amount_currency"]),
        "payout=12.50&amount=49.00&currency=EUR&amount_currency=USD"
    );
}

#[test]
fn details_of_the_purchase_fall_back_to_the_conversion() {
    let mut event = full();
    let conversion = event.conversion.as_mut().expect("it has one");
    conversion.attributes.clear();
    conversion.transaction_id = "order-1".into();
    conversion.payout = None;
    assert_eq!(value("plan_price", &event), "49.00");
    assert_eq!(value("purchase_id", &event), "order-1");
    assert_eq!(value("purchase_date", &event), "2026-11-20T14%3A05%3A00Z");
    assert_eq!(value("currency", &event), "USD");
}

#[test]
fn actions_and_statuses_have_their_words() {
    let actions = [
        (Action::Impression, "impression"),
        (Action::Click, "click"),
        (Action::Conversion, "conversion"),
        (Action::CustomEvent, "event"),
    ];
    for (action, word) in actions {
        assert_eq!(value("action", &bare(action)), word);
    }
    let mut event = full();
    event.conversion.as_mut().expect("it has one").status = ConversionStatus::Approved;
    assert_eq!(value("status", &event), "approved");
    assert_eq!(value("rejection_reason", &event), "");
}

#[test]
fn get_appends_parameters_and_then_fixed_values_to_the_url() {
    let request = render(
        json!({
            "base_url": "https://t.example/p%20b?event=sale#top",
            "parameters": [{"name": "click id", "macro": "transaction_id"}],
            "custom": [{"name": "source", "value": "post rider"}, {"name": "flag", "value": ""}],
        }),
        &full(),
    );
    let url = format!("https://t.example/p%20b?event=sale&click%20id={ODD_ENCODED}&source=post%20rider&flag=#top");
    assert_eq!(request, Request::get(url));
}

#[test]
fn post_sends_the_same_pairs_as_a_form() {
    let request = render(
        json!({
            "base_url": "https://t.example/pb?event=sale",
            "method": "POST",
            "parameters": [{"name": "payout", "macro": "payout"}, {"name": "name", "macro": "customer_name"}],
            "custom": [{"name": "k&", "value": "ü"}],
        }),
        &full(),
    );
    let form = format!("payout=12.50&name={ODD_ENCODED}&k%26=%C3%BC");
    assert_eq!(request, Request::post("https://t.example/pb?event=sale", "application/x-www-form-urlencoded", form));
}

#[test]
fn a_pasted_url_works_unchanged() {
    let pasted =
        "https://yourtracking.com/{goal}/postback?event=sale&click_id={click_id}&payout={payout}&name={customer_name}";
    let request = render(json!({"base_url": pasted}), &full());
    let expected = format!(
        "https://yourtracking.com/{ODD_ENCODED}/postback?event=sale&click_id={ODD_ENCODED}&payout=12.50&name={ODD_ENCODED}"
    );
    assert_eq!(request.url, expected);
    // A value that looks like a macro is still a value.
    let mut event = full();
    event.conversion.as_mut().expect("it has one").transaction_id = "{payout}".into();
    let request = render(json!({"base_url": "https://t.example/?t={transaction_id}"}), &event);
    assert_eq!(request.url, "https://t.example/?t=%7Bpayout%7D");
}

#[test]
fn a_visitor_cannot_choose_another_page() {
    let ctx = Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() };
    let config = config(json!({"base_url": "https://t.example/a/{sub1}/b?x={sub1}"}));
    let mut event = full();
    let mut render_with = |value: &str| {
        event.click.as_mut().expect("it has one").sub_ids = vec![field("sub1", value)];
        MacroUrl::render(&ctx, &config, &event)
    };
    assert!(render_with("..").is_err());
    assert!(render_with(".").is_err());
    assert_eq!(render_with("../x").expect("it is encoded").url, "https://t.example/a/..%2Fx/b?x=..%2Fx");
    assert_eq!(render_with("...").expect("it is a name").url, "https://t.example/a/.../b?x=...");
}

#[test]
fn an_unknown_macro_is_named_with_its_path() {
    let parameters =
        json!([{"name": "a", "macro": "goal"}, {"name": "b", "macro": "payout"}, {"name": "c", "macro": "{goal}"}]);
    let found = issues(json!({"base_url": "https://t.example/?x={nope}", "parameters": parameters}));
    assert_eq!(
        found,
        [
            ("/base_url".into(), "'nope' is not a known macro; check its spelling.".into()),
            ("/parameters/2/macro".into(), "'{goal}' is not a known macro; did you mean goal?".to_owned()),
        ]
    );
}

#[test]
fn a_tracker_that_needs_a_value_is_not_called_without_it() {
    let ctx = Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() };
    let config = config(json!({"base_url": "https://t.example/", "parameters": [
        {"name": "sum", "macro": "payout"}, {"name": "cid", "macro": "external_click_id", "required": true}]}));
    assert_eq!(MacroUrl::validate(&config), []);
    assert_eq!(MacroUrl::decide(&ctx, &config, &full()).expect("it decides").verdict, Verdict::Fire);
    let mut without = full();
    without.click.as_mut().expect("it has one").external_id = None;
    for (event, why) in
        [(without, "the click has no external click id; add"), (bare(Action::Click), "no click is known")]
    {
        let decision = MacroUrl::decide(&ctx, &config, &event).expect("it decides");
        let [check] = decision.checks.as_slice() else { panic!("one check decides") };
        assert_eq!((decision.verdict, check.name.as_str(), check.passed), (Verdict::Skip, "missing", false));
        let sentence = format!("the parameter \"cid\" is required, but {why}");
        assert!(check.detail.starts_with(&sentence), "{}", check.detail);
        let error = MacroUrl::render(&ctx, &config, &event).expect_err("nothing can be sent");
        assert_eq!((error.kind, error.message), (ErrorKind::InvalidEvent, check.detail.clone()));
    }
}

#[test]
fn spaces_inside_braces_are_ignored() {
    let request = render(json!({"base_url": "https://t.example/{ action }?s={ status}"}), &bare(Action::Click));
    assert_eq!(request.url, "https://t.example/click?s=");
}

#[test]
fn a_parameter_of_the_base_url_is_not_sent_twice() {
    let config = |method: &str| {
        json!({"base_url": "https://t.example/?visitor_id={click_id}&x=1#y", "method": method,
            "parameters": [{"name": "visitor_id", "macro": "external_click_id"}]})
    };
    let message = "The query of the URL and /parameters/0/name both have 'visitor_id', so it would be sent twice; remove it from the URL.";
    assert_eq!(issues(config("GET")), [("/base_url".to_owned(), message.to_owned())]);
    assert_eq!(issues(config("POST")), []);
}

#[test]
fn a_name_may_be_used_once() {
    let found = issues(json!({
        "base_url": "https://t.example/",
        "parameters": [{"name": "a", "macro": "goal"}, {"name": "a", "macro": "payout"}, {"name": "A", "macro": "payout"}],
        "custom": [{"name": "b", "value": "1"}, {"name": "a", "value": "2"}],
    }));
    let message = "/parameters/0/name has the name 'a' too; remove or rename one of them.";
    assert_eq!(
        found,
        [("/parameters/1/name".into(), message.into()), ("/custom/1/name".to_owned(), message.to_owned())]
    );
}

#[test]
fn a_base_url_is_absolute_http_without_macros_in_its_host() {
    for good in [
        "http://t.example",
        "HTTPS://T.example:8443/a?b=c#d",
        "https://[::1]/",
        "https://t.example/{goal}{payout}",
        "https://t.example?c={click_id}",
    ] {
        assert_eq!(issue_paths(json!({"base_url": good})), [""; 0], "{good}");
    }
    let bad = [
        "",
        "t.example/pb",
        "//t.example",
        "ftp://t.example/",
        "https://",
        "https:///path",
        "https://:80/",
        "https://?x=1",
        "https://{sub1}/",
        "https://{sub1}.example/",
        "https://user:pass@t.example/",
        "https://t.example/a b",
        "https://t.example/\n",
        "https://t.example\\evil",
        "https://t.example/{",
        "https://t.example/}",
        "https://t.example/{{goal}}",
        "https://t.example/a/../b",
        "https://t.example/%2e%2E/b",
        "javascript://t.example/",
    ];
    for bad in bad {
        let paths = issue_paths(json!({"base_url": bad}));
        assert!(!paths.is_empty() && paths.iter().all(|path| path == "/base_url"), "{bad}: {paths:?}");
    }
}

#[test]
fn a_configuration_that_was_not_validated_is_an_error_not_a_wrong_postback() {
    let ctx = Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() };
    let unknown = config(json!({"base_url": "https://t.example/", "parameters": [{"name": "a", "macro": "nope"}]}));
    let error = MacroUrl::render(&ctx, &unknown, &full()).expect_err("the macro is unknown");
    assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidConfig, Some("/parameters/0/macro")));
    for base_url in ["https://t.example/{nope}", "https://t.example/{"] {
        let error =
            MacroUrl::render(&ctx, &config(json!({"base_url": base_url})), &full()).expect_err("it cannot be read");
        assert_eq!(error.path.as_deref(), Some("/base_url"));
    }
}

#[test]
fn the_schema_is_json_with_a_title_and_help_for_every_field() {
    fn fields(schema: &Value) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            assert!(field["title"].is_string() && field["description"].is_string(), "{name}");
            fields(field);
            fields(&field["items"]);
        }
    }
    let schema: Value = serde_json::from_str(&MacroUrl::describe().config_schema).expect("it is JSON");
    assert_eq!(schema["properties"].as_object().map(serde_json::Map::len), Some(10));
    fields(&schema);
}

#[test]
fn every_action_host_and_rule_is_allowed() {
    let descriptor = MacroUrl::describe();
    assert_eq!((descriptor.id.as_str(), descriptor.version.as_str()), ("macro-url", "0.1.0"));
    assert_eq!(descriptor.capabilities, Capabilities::OUTBOUND | Capabilities::INBOUND);
    assert_eq!(descriptor.hosts, ["*"]);
    let rules = descriptor.rules;
    assert_eq!((rules.actions.len(), rules.statuses, rules.rejection_reasons), (4, true, true));
    assert_eq!((rules.min_delay, rules.max_delay), (0, 30 * 24 * 3600 * 1000));
}
