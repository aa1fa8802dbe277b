//! JSON bodies, headers, and the tracker's own status words.

use super::*;

fn with(more: Value) -> Value {
    let mut config = json!({"base_url": "https://t.example/pb"});
    let more = more.as_object().expect("an object").clone();
    config.as_object_mut().expect("an object").extend(more);
    config
}

#[test]
fn post_sends_the_pairs_as_json_in_their_order() {
    let request = render(
        with(json!({
            "method": "POST",
            "body": "json",
            "parameters": [{"name": "z", "macro": "payout"}, {"name": "a \"b\"", "macro": "customer_name"}],
            "custom": [{"name": "source", "value": "line\nbreak"}],
        })),
        &full(),
    );
    let name = serde_json::to_string(ODD).expect("it is a text");
    let body = format!(r#"{{"z":"12.50","a \"b\"":{name},"source":"line\nbreak"}}"#);
    assert_eq!(request, Request::post("https://t.example/pb", "application/json", body));
    let empty = render(with(json!({"method": "POST", "body": "json"})), &full());
    assert_eq!(empty.body.expect("there is one").bytes, b"{}");
}

#[test]
fn a_json_body_needs_post() {
    assert_eq!(issue_paths(with(json!({"body": "json"}))), ["/body"]);
    assert_eq!(issue_paths(with(json!({"body": "form"}))), [""; 0]);
}

#[test]
fn headers_have_macros_and_secrets_have_none() {
    let request = render(
        with(json!({"headers": [
            {"name": "X-Click", "value": "id={transaction_id}; {status}"},
            {"name": "Authorization", "secret": "Bearer {payout}"},
        ]})),
        &full(),
    );
    let headers: Vec<_> = request.headers.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
    assert_eq!(headers[1], ("Authorization", "Bearer {payout}"));
    let (name, value) = headers[0];
    assert_eq!(name, "X-Click");
    assert!(value.starts_with("id=") && value.ends_with("; rejected"), "{value}");
    assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{value}");
}

#[test]
fn a_visitor_cannot_add_a_header() {
    let mut event = full();
    event.conversion.as_mut().expect("it has one").transaction_id = "a\r\nX-Evil: ü".into();
    let request = render(with(json!({"headers": [{"name": "X-Id", "value": "{transaction_id}"}]})), &event);
    assert_eq!(request.headers, [field("X-Id", "a%0D%0AX-Evil: %C3%BC")]);
}

#[test]
fn a_header_that_cannot_be_sent_is_refused_with_its_path() {
    let paths = |headers: Value| issue_paths(with(json!({"headers": headers})));
    assert_eq!(paths(json!([{"name": "X-A", "value": ""}, {"name": "X-B", "secret": "s"}])), [""; 0]);
    assert_eq!(paths(json!([{"name": "Host", "value": "x"}])), ["/headers/0/name"]);
    assert_eq!(paths(json!([{"name": "content-type", "value": "x"}])), ["/headers/0/name"]);
    assert_eq!(
        paths(json!([{"name": "X Y", "value": "x"}, {"name": "", "value": "x"}])),
        ["/headers/0/name", "/headers/1/name"]
    );
    assert_eq!(paths(json!([{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}])), ["/headers/1/name"]);
    assert_eq!(
        paths(json!([{"name": "X-A"}, {"name": "X-B", "value": "1", "secret": "2"}])),
        ["/headers/0", "/headers/1"]
    );
    assert_eq!(paths(json!([{"name": "X-A", "value": "{nope} ü"}])), ["/headers/0/value", "/headers/0/value"]);
}

#[test]
fn statuses_are_sent_in_the_trackers_words() {
    let config = with(json!({
        "base_url": "https://t.example/{status}",
        "parameters": [{"name": "s", "macro": "status"}, {"name": "p", "macro": "previous_status"}],
        "statuses": {"rejected": "trash & more", "approved": "sale"},
    }));
    assert_eq!(
        render(config.clone(), &full()).url,
        "https://t.example/trash%20%26%20more?s=trash%20%26%20more&p=pending"
    );
    assert_eq!(render(config, &bare(Action::Click)).url, "https://t.example/?s=&p=");
}
