//! Expressions, helpers, and every reason for which a template is refused.

use super::*;

fn problem(template: &str) -> String {
    let mut found = issues(with_body(template));
    assert!(!found.is_empty(), "{template} has no problem");
    let (path, message) = found.remove(0);
    assert_eq!(path, "/body", "{message}");
    message
}

#[test]
fn a_value_never_becomes_syntax() {
    let name = "Grace \"Amazing\" Hopper\\\r\n\u{1}{{token}}, \"admin\": true, ż😀";
    let written = body("{\"name\": \"{{customer_name}}\", \"again\": {{json customer_name}}}", &named(name));
    let read: Value = serde_json::from_str(&written).expect("it is JSON");
    assert_eq!(read, json!({"name": name, "again": name}));
    let url = json!({"url": "https://crm.example/{{customer_name}}?n={{customer_name}}", "body": "{}"});
    let request = render(url.clone(), &named("a/b?c&d#e \"")).expect("it renders");
    assert_eq!(request.url, "https://crm.example/a%2Fb%3Fc%26d%23e%20%22?n=a%2Fb%3Fc%26d%23e%20%22");
    assert!(render(url, &named("..")).expect_err("it would be another page").message.contains("'..'"));
}

#[test]
fn a_value_outside_quotes_cannot_add_json() {
    let template = "{\"id\": {{sub1}}}";
    let config = config(with_body(template));
    let mut event = sample();
    let mut render = |value: &str| {
        event.click.as_mut().expect("it has one").sub_ids = vec![Field { name: "sub1".into(), value: value.into() }];
        CrmJson::render(&context(), &config, &event)
    };
    assert!(render("17").is_ok());
    for value in ["1, \"admin\": true", "abc", "", "}{"] {
        let error = render(value).expect_err("it is no JSON");
        assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidEvent, Some("/body")));
        assert!(error.message.starts_with("The body is not JSON: "), "{}", error.message);
    }
}

#[test]
fn every_macro_and_every_group_can_be_read() {
    let event = sample();
    for known in macros::describe() {
        let expected = macros::find(&known.token).expect("it exists").value(&event).into_owned();
        let written = body(&format!("[\"{{{{{}}}}}\"]", known.token), &event);
        assert_eq!(serde_json::from_str::<Value>(&written).expect("it is JSON"), json!([expected]), "{}", known.token);
    }
    for (expression, expected) in [
        ("click.sub_ids.sub3", "test-sub3"),
        ("click.attributes.keyword", "test keyword"),
        ("click.attributes.nothing", ""),
        ("conversion.payout.amount", "12.50"),
        ("conversion.sale.currency", "USD"),
        ("affiliate.attributes.referral_code", "AF12345"),
        ("offer.name", "Test Offer"),
        ("event.at_ms", "1795183500000"),
        ("#with click}}{{country}}{{/with", "PL"),
        ("#each click.attributes}}{{@key}}={{this}};{{/each", "keyword=test keyword;page=/test;"),
    ] {
        assert_eq!(body(&format!("[\"{{{{{expression}}}}}\"]"), &event), format!("[\"{expected}\"]"), "{expression}");
    }
    let everything: Value = serde_json::from_str(&body("{{json this}}", &event)).expect("it is JSON");
    assert_eq!(everything["click"]["country"], "PL");
    assert_eq!(everything["payout_minor"], "1250");
}

#[test]
fn missing_values_are_empty() {
    let click = Event { action: Action::Click, conversion: None, offer: None, ..sample() };
    let template = "[\"{{payout}}\", \"{{conversion.payout.amount}}\", {{number payout}}, {{json conversion}}, \"{{offer.name}}\"]";
    assert_eq!(body(template, &click), r#"["", "", null, null, ""]"#);
}

#[test]
fn helpers_compute_what_services_want() {
    let event = sample();
    for (expression, expected) in [
        ("json customer_name", r#""Test Customer""#),
        ("json conversion.payout", r#"{"amount":"12.50","currency":"USD"}"#),
        ("json click.attributes", r#"{"keyword":"test keyword","page":"/test"}"#),
        ("number payout", "12.50"),
        ("number event.at_ms", "1795183500000"),
        ("number (default rejection_reason payout)", "12.50"),
        ("unix event_date", "1795183500"),
        ("unix event_date \"ms\"", "1795183500000"),
        ("unix event.at_ms", "1795183500"),
        ("minor payout currency", "1250"),
        ("minor conversion.sale", "4900"),
        ("minor \"12\" \"JPY\"", "12"),
        ("len click.attributes", "2"),
    ] {
        assert_eq!(body(&format!("[{{{{{expression}}}}}]"), &event), format!("[{expected}]"), "{expression}");
    }
    for (expression, expected) in [
        ("date event_date", "2026-11-20"),
        ("date event_date \"time\"", "14:05:00"),
        ("date click.at_ms \"datetime\"", "2026-11-19 14:05:00"),
        ("date event.at_ms \"rfc3339\"", "2026-11-20T14:05:00Z"),
        ("default rejection_reason \"none\"", "none"),
        ("default customer_name \"none\"", "Test Customer"),
        ("default rejection_reason", ""),
        ("sha256 customer_email", "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"),
        ("sha256 \" TEST@Example.com \"", "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"),
        ("sha256 rejection_reason", ""),
        ("unix rejection_reason", ""),
        ("#if (eq status \"approved\")}}yes{{else}}no{{/if", "yes"),
        ("#unless rejection_reason}}none{{/unless", "none"),
    ] {
        assert_eq!(body(&format!("[\"{{{{{expression}}}}}\"]"), &event), format!("[\"{expected}\"]"), "{expression}");
    }
}

#[test]
fn the_error_of_a_helper_quotes_no_value() {
    for (template, what) in [
        ("[{{number customer_name}}]", "number got a text that is not a number"),
        ("[{{unix customer_name}}]", "unix got a value that is not a time"),
        ("[{{minor customer_name currency}}]", "minor got a text that is not an amount"),
        ("[\"{{date event_date \"week\"}}\"]", "date got an unknown format"),
        ("[{{unix event_date \"minutes\"}}]", "unix got an unknown unit"),
    ] {
        let message = problem(template);
        assert!(message.contains(what) && !message.contains("Test Customer"), "{message}");
    }
}

#[test]
fn a_body_that_is_not_json_is_refused_with_the_position() {
    assert_eq!(
        problem("{\n  \"a\": {{customer_name}}\n}"),
        "With a sample conversion: The body is not JSON: expected value at line 2 column 8. Put texts in quotes, and write amounts as {{number …}}, which is null without an amount."
    );
    for template in ["", "a=1&b=2", "{\"a\": 1,}", "{'a': 1}", "{} {}"] {
        assert!(problem(template).contains("The body is not JSON: "), "{template}");
    }
}

#[test]
fn a_template_with_mistakes_is_refused_with_a_sentence() {
    for (template, what) in [
        ("[\"{{nope}}\"]", "'nope' is not a known macro"),
        ("[\"{{custmer_name}}\"]", "did you mean customer_name"),
        ("[\"{{click.nope}}\"]", "'nope' is not a known field of click"),
        ("[\"{{clik.id}}\"]", "'clik' is not a known group"),
        ("[\"{{shout customer_name}}\"]", "'shout' is not a known helper"),
        ("[\"{{#loop click}}x{{/loop}}\"]", "'loop' is not a known block"),
        ("[\"{{{customer_name}}}\"]", "two braces"),
        ("[\"{{&customer_name}}\"]", "two braces"),
        ("{{> other}}", "Partials"),
        ("{{#*inline \"a\"}}x{{/inline}}", "Partials"),
        ("[{{#if payout}}1]", "cannot be read"),
        ("[{{#if payout}}1{{/unless}}]", "{{#if}} is closed by {{/unless}}"),
        ("[\"{{payout\"]", "cannot be read"),
        ("[\"{{log payout}}\"]", "'log' is not a known helper"),
    ] {
        let message = problem(template);
        assert!(message.contains(what), "{template}: {message}");
    }
}

#[test]
fn the_cost_of_a_template_is_bounded() {
    let deep = |open: &str, close: &str| format!("[{}1{}]", open.repeat(9), close.repeat(9));
    assert!(problem(&deep("{{#if payout}}", "{{/if}}")).contains("up to 8 deep"));
    assert!(problem(&deep("{{~ #if payout}}", "{{~ /if}}")).contains("up to 8 deep"));
    assert!(problem(&format!("[{{{{json {}}}}}]", "[".repeat(5_000))).contains("up to 8 brackets"));
    let chain = format!("[{{{{#if goal}}}}1{}{{{{/if}}}}]", "{{else if goal}}1".repeat(9));
    assert!(problem(&chain).contains("up to 8 {{else if}}"));
    for much in ["{{payout}}".repeat(250), "{{!}}".repeat(250), format!("{{{{payout}}}}{}", " ".repeat(10_000))] {
        assert!(problem(&much).contains("The templates are too long"));
    }
    let list = "{{#each click.attributes}}{{#each click.sub_ids}}1{{/each}}{{/each}}";
    assert!(problem(list).contains("cannot contain another list"));
    assert!(problem("{{#each this}}{{/each}}").contains("only attributes and sub_ids"));
    let long = format!("{{{{#each click.attributes}}}}{}{{{{/each}}}}", "{{@key}}".repeat(11));
    assert!(problem(&long).contains("up to 10 expressions"));
    assert!(problem(&"{{#each click.attributes}}{{/each}}".repeat(3)).contains("up to 2 lists"));
    let huge = format!("{{{{#each click.sub_ids}}}}{}{{{{/each}}}}", " ".repeat(7_000));
    assert!(problem(&huge).contains("more than 64000 bytes"));
    assert!(problem("{{len (json this)}}").contains("use it alone"));
    for whole in ["{{default click}}", "{{sha256 click}}", "{{number click}}"] {
        assert!(problem(whole).contains("accepts only texts and numbers"));
    }
}

#[test]
fn the_templates_of_a_configuration_share_one_budget() {
    let headers: Vec<Value> =
        (0..20).map(|index| json!({"name": format!("X-{index}"), "value": "{{payout}}".repeat(10)})).collect();
    let value = |body: &str| json!({"url": "https://crm.example/", "headers": headers, "body": body});
    assert_eq!(issues(value(&format!("[{}1]", "{{payout}},".repeat(100)))), []);
    let found = issues(value(&format!("[{}1]", "{{payout}},".repeat(160))));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "/body");
}

#[test]
fn an_expression_cannot_be_part_of_the_host() {
    for url in [
        "https://{{sub1}}.example/",
        "https://crm.example{{sub1}}/",
        "{{sub1}}",
        "{{#if sub1}}https://a.example/{{/if}}",
        "crm.example/",
        "https://user@crm.example/",
        "https://crm.example/a b",
        "https://crm.example\\a",
        "https://crm.example/../a",
    ] {
        let found = issues(json!({"url": url, "body": "{}"}));
        assert!(found.iter().any(|(path, _)| path == "/url"), "{url}: {found:?}");
    }
    assert_eq!(issues(json!({"url": "https://crm.example/{{default sub1 \"a b\"}}?x={{goal}}", "body": "{}"})), []);
}
