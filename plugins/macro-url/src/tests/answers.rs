//! The interpretation of answers, also from trackers that answer 200 to everything.

use super::*;

fn classify(success: Value, status: u16, body: &str) -> Outcome {
    let ctx = Context { now: 0, attempt: 1, dry_run: false, idempotency_key: String::new() };
    let config = config(json!({"base_url": "https://t.example/", "success": success}));
    assert_eq!(MacroUrl::validate(&config), []);
    let response = Response { status, headers: vec![], body: body.into(), truncated: false };
    MacroUrl::classify(&ctx, &config, &Request::get("https://t.example/"), &response).expect("it classifies")
}

fn refusal(success: Value, body: &str) -> (String, String) {
    let Outcome::Refused(refusal) = classify(success, 200, body) else { panic!("{body} is refused") };
    (refusal.code, refusal.message)
}

#[test]
fn without_a_setting_the_status_decides() {
    assert_eq!(classify(Value::Null, 200, r#"{"success":false}"#), Outcome::Accepted(None));
    assert_eq!(classify(Value::Null, 503, "OK"), Outcome::Retry(None));
}

#[test]
fn a_text_must_be_in_the_answer() {
    let success = json!({"text": "OK"});
    assert_eq!(classify(success.clone(), 200, "status: OK\n"), Outcome::Accepted(None));
    let (code, message) = refusal(success.clone(), "unknown click of grace@example.com");
    assert_eq!(code, "answer_not_success");
    assert_eq!(message, "the destination answered 200, but the answer does not contain 'OK'");
    assert_eq!(classify(success.clone(), 503, "OK"), Outcome::Retry(None));
    assert!(matches!(classify(success, 404, "OK"), Outcome::Refused(_)));
}

#[test]
fn a_200_with_success_false_is_a_failure() {
    let success = json!({"json_pointer": "/result/success", "equals": true});
    for body in [
        r#"{"result":{"success":true}}"#,
        r#"{"result":{"success":"true"}}"#,
        "\u{feff}{\"result\":{\"success\":true}}",
    ] {
        assert_eq!(classify(success.clone(), 200, body), Outcome::Accepted(None), "{body}");
    }
    let message = |body| refusal(success.clone(), body).1;
    let why = |is: &str| format!("the destination answered 200, but /result/success is {is}; it must be true");
    assert_eq!(message(r#"{"result":{"success":false}}"#), why("false"));
    assert_eq!(message(r#"{"result":{"success":null}}"#), why("null"));
    assert_eq!(message(r#"{"result":{}}"#), why("missing"));
    assert_eq!(message(r#"{"result":{"success":"grace@example.com"}}"#), why("another value"), "no buyer's data");
    assert_eq!(refusal(success.clone(), "<html>").0, "answer_not_json");
}

#[test]
fn numbers_and_texts_are_compared_by_their_digits_and_letters() {
    let number = json!({"json_pointer": "/code", "equals": 0});
    assert_eq!(classify(number.clone(), 200, r#"{"code":0}"#), Outcome::Accepted(None));
    assert_eq!(classify(number.clone(), 200, r#"{"code":"0"}"#), Outcome::Accepted(None));
    assert_eq!(refusal(number, r#"{"code":40001}"#).0, "answer_not_success");
    let null = json!({"json_pointer": "/error", "equals": null});
    assert_eq!(classify(null.clone(), 200, r#"{"error":null}"#), Outcome::Accepted(None));
    assert_eq!(refusal(null.clone(), r#"{"error":"x"}"#).0, "answer_not_success");
    assert_eq!(refusal(null, "{}").0, "answer_not_success");
}

#[test]
fn the_refusal_of_a_cut_answer_mentions_the_cut() {
    let ctx = Context { now: 0, attempt: 1, dry_run: false, idempotency_key: String::new() };
    let config = config(json!({"base_url": "https://t.example/", "success": {"text": "OK"}}));
    let response = Response { status: 200, headers: vec![], body: b"O".to_vec(), truncated: true };
    let outcome = MacroUrl::classify(&ctx, &config, &Request::get("https://t.example/"), &response);
    let Ok(Outcome::Refused(refusal)) = outcome else { panic!("it is refused") };
    assert!(refusal.message.ends_with("the answer is too long, only its beginning was read"), "{}", refusal.message);
}

#[test]
fn success_has_one_condition() {
    let paths = |success: Value| issue_paths(json!({"base_url": "https://t.example/", "success": success}));
    assert_eq!(paths(json!({})), ["/success"]);
    assert_eq!(paths(json!({"text": "OK", "json_pointer": "/a", "equals": 1})), ["/success"]);
    assert_eq!(paths(json!({"json_pointer": "/a"})), ["/success/equals"]);
    assert_eq!(paths(json!({"equals": 1})), ["/success"]);
}
