//! Values cannot break out of templates, and templates report their errors.

mod catalogue;
mod templates;

use serde_json::{Value, json};

use super::*;

fn config(value: Value) -> Config {
    serde_json::from_value(value).expect("the configuration is readable")
}

fn context() -> Context {
    Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() }
}

fn issues(value: Value) -> Vec<(String, String)> {
    CrmJson::validate(&config(value)).into_iter().map(|issue| (issue.path, issue.message)).collect()
}

fn render(value: Value, event: &Event) -> Result<Request, AdapterError> {
    let config = config(value);
    assert_eq!(CrmJson::validate(&config), []);
    CrmJson::render(&context(), &config, event)
}

fn with_body(body: &str) -> Value {
    json!({"url": "https://crm.example/", "body": body})
}

/// The body that a template renders for `event`.
fn body(template: &str, event: &Event) -> String {
    let request = render(with_body(template), event).expect("it renders");
    String::from_utf8(request.body.expect("it has a body").bytes).expect("it is text")
}

fn sample() -> Event {
    sample::approved_conversion()
}

fn named(name: &str) -> Event {
    let mut event = sample();
    event.conversion.as_mut().expect("it has one").customer_name = Some(name.into());
    event
}

#[test]
fn a_request_has_its_url_headers_body_and_token() {
    let value = json!({
        "url": "https://crm.example/{{offer_id}}?mail={{customer_email}}",
        "method": "PUT",
        "headers": [{"name": "X-Order", "value": "{{transaction_id}}"}, {"name": "Version", "value": "1"}],
        "body": "{\"mail\": \"{{customer_email}}\", \"value\": {{payout}}}",
        "token": "t0k3n",
        "signing_secrets": ["new", "old"],
    });
    let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
    let url = "https://crm.example/off_06bq3x8k2m7v1d5r9t4w6y8z0a?mail=test%40example.com";
    let expected = Request {
        method: HttpMethod::Put,
        headers: vec![
            field("Authorization", "Bearer t0k3n"),
            field("X-Order", "test-transaction"),
            field("Version", "1"),
        ],
        sign_with: vec!["new".into(), "old".into()],
        ..Request::post(url, "application/json", r#"{"mail": "test@example.com", "value": 12.50}"#)
    };
    assert_eq!(render(value, &sample()), Ok(expected));
}

#[test]
fn a_token_in_a_template_is_not_sent_twice() {
    let token = "T/B&c\"d";
    let value = json!({
        "url": "https://crm.example/{{token}}?k={{token}}",
        "headers": [{"name": "Authorization", "value": "Key {{token}}"}],
        "body": "{}",
        "token": token,
    });
    let request = render(value, &sample()).expect("it renders");
    assert_eq!(request.url, format!("https://crm.example/{token}?k={token}"));
    assert_eq!(request.headers, [Field { name: "Authorization".into(), value: format!("Key {token}") }]);
}

#[test]
fn a_token_in_a_template_must_exist_and_be_alone() {
    let found = issues(json!({"url": "https://crm.example/?k={{token}}", "body": "{}"}));
    assert_eq!(
        found,
        [("/token".to_owned(), "A template contains {{token}}, but the token is empty; enter it here.".to_owned())]
    );
    let found = issues(json!({"url": "https://crm.example/?k={{sha256 token}}", "body": "{}", "token": "t"}));
    assert_eq!(found[0].0, "/url");
    assert!(found[0].1.contains("cannot be changed or compared"));
}

#[test]
fn secrets_are_sent_in_place_of_their_names() {
    let value = json!({
        "url": "https://crm.example/{{secret.hook}}?k={{ secret.query }}",
        "headers": [{"name": "X-Key", "value": "Key {{secret.header}}"}],
        "body": "{\"key\": \"{{secret.body}}\"}",
        "secrets": {"hook": "a", "query": "b", "header": "c", "body": "d"},
    });
    let request = render(value, &sample()).expect("it renders");
    assert_eq!(request.url, "https://crm.example/a?k=b");
    assert_eq!(request.headers, [Field { name: "X-Key".into(), value: "Key c".into() }]);
    assert_eq!(request.body.expect("it has one").bytes, br#"{"key": "d"}"#);
}

#[test]
fn a_secret_in_a_template_must_exist_and_be_alone() {
    let with =
        |body: &str, secrets: Value| issues(json!({"url": "https://crm.example/", "body": body, "secrets": secrets}));
    let one = || json!({"one": "1"});
    let missing = with("[\"{{secret.two}}\"]", json!({}));
    assert_eq!(
        missing,
        [(
            "/secrets".to_owned(),
            "A template contains {{secret.two}}, but there is no secret 'two'; add it here.".to_owned()
        )]
    );
    assert_eq!(with("[]", one())[0].0, "/secrets/one");
    for body in [
        "[\"{{sha256 secret.one}}\"]",
        "[{{json secret}}]",
        "[\"{{secret}}\"]",
        "[\"{{#with click}}{{secret.one}}{{/with}}\"]",
        "[{{#if (eq secret.one \"1\")}}1{{/if}}]",
    ] {
        let found = with(body, one());
        assert!(
            found.iter().any(|(_, message)| message.contains("cannot be changed or compared")),
            "{body}: {found:?}"
        );
    }
    let all = with("[{{json this}}, \"{{secret.one}}\"]", one());
    assert!(all[0].1.contains("would send the secrets too"), "{all:?}");
}

#[test]
fn headers_are_ascii_lines_that_the_server_does_not_set() {
    let with = |name: &str, value: &str| {
        issues(json!({"url": "https://crm.example/", "body": "{}", "headers": [{"name": name, "value": value}]}))
    };
    assert_eq!(with("X-Name", "{{customer_name}}"), []);
    for (name, value, path) in [
        ("Content-Type", "text/plain", "/headers/0/name"),
        ("X Y", "1", "/headers/0/name"),
        ("X", "zażółć", "/headers/0/value"),
        ("X", "{{nope}}", "/headers/0/value"),
    ] {
        assert_eq!(with(name, value)[0].0, path, "{name}: {value}");
    }
    let twice = json!([{"name": "x-a", "value": "1"}, {"name": "X-A", "value": "2"}]);
    let found = issues(json!({"url": "https://crm.example/", "body": "{}", "headers": twice}));
    assert_eq!(found[0].0, "/headers/1/name");
    let value =
        json!({"url": "https://crm.example/", "body": "{}", "headers": [{"name": "X", "value": "{{customer_name}}"}]});
    let request = render(value, &named("Łukasz\r\nHost: evil")).expect("it renders");
    assert_eq!(request.headers[0].value, "%C5%81ukasz%0D%0AHost: evil");
}

#[test]
fn success_can_depend_on_the_answers_body() {
    let classify = |success: Value, status: u16, body: &str| {
        let config = config(json!({"url": "https://crm.example/", "body": "{}", "success": success}));
        assert_eq!(CrmJson::validate(&config), []);
        let response = Response { status, headers: vec![], body: body.into(), truncated: false };
        CrmJson::classify(&context(), &config, &Request::get(""), &response).expect("it classifies")
    };
    assert_eq!(classify(Value::Null, 200, "failed"), Outcome::Accepted(None));
    let received = json!({"json_pointer": "/events_received", "equals": 1});
    assert_eq!(classify(received.clone(), 200, r#"{"events_received": 1}"#), Outcome::Accepted(None));
    for (body, code) in [
        (r#"{"events_received": 0}"#, "answer_not_success"),
        ("{}", "answer_not_success"),
        ("grace@example.com", "answer_not_json"),
    ] {
        let Outcome::Refused(refusal) = classify(received.clone(), 200, body) else { panic!("{body} is a refusal") };
        assert_eq!(refusal.code, code);
        assert!(!refusal.message.contains("grace"));
    }
    assert_eq!(classify(received, 503, ""), Outcome::Retry(None));
    assert_eq!(classify(json!({"text": "ok"}), 200, "it is ok"), Outcome::Accepted(None));
    assert!(matches!(classify(json!({"text": "ok"}), 200, "no"), Outcome::Refused(_)));
    for bad in [json!({}), json!({"json_pointer": "/a"}), json!({"text": "a", "json_pointer": "/a", "equals": 1})] {
        assert_eq!(issues(json!({"url": "https://crm.example/", "body": "{}", "success": bad})).len(), 1);
    }
}

#[test]
fn the_schema_has_a_title_and_help_for_every_field() {
    fn fields(schema: &Value) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            assert!(field["title"].is_string() && field["description"].is_string(), "{name}");
            fields(field);
            fields(&field["items"]);
        }
    }
    let schema: Value = serde_json::from_str(&CrmJson::describe().config_schema).expect("it is JSON");
    fields(&schema);
    let properties = &schema["properties"];
    let several = [&properties["signing_secrets"]["items"], &properties["secrets"]["additionalProperties"]];
    for secret in [&properties["token"]].into_iter().chain(several) {
        assert_eq!((&secret["writeOnly"], &secret["format"]), (&json!(true), &json!("password")));
    }
}
