//! The positions of secrets. In these tests the values are the secrets themselves; the host passes placeholders.

use super::*;

#[test]
fn a_secret_is_sent_in_place_of_its_name() {
    let config = json!({
        "base_url": "https://t.example/{secret.path}/postback?k={ secret.query }",
        "parameters": [{"name": "token", "macro": "secret.parameter"}, {"name": "sum", "macro": "payout"}],
        "headers": [{"name": "Authorization", "value": "Bearer {secret.header}"}],
        "secrets": {"path": "p", "query": "q", "parameter": "r", "header": "h"},
    });
    let request = render(config, &full());
    assert_eq!(request.url, "https://t.example/p/postback?k=q&token=r&sum=12.50");
    assert_eq!(request.headers, [field("Authorization", "Bearer h")]);
}

#[test]
fn missing_and_unused_secrets_are_named() {
    let found = issues(json!({
        "base_url": "https://t.example/{secret.one}",
        "parameters": [{"name": "k", "macro": "secret.two"}],
        "headers": [{"name": "X-Key", "value": "{secret.three}"}],
        "custom": [{"name": "c", "value": "{secret.four}"}],
        "secrets": {"four": "4"},
    }));
    let paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/base_url", "/parameters/0/macro", "/headers/0/value", "/secrets/four", "/custom/0/value"]);
    assert_eq!(found[0].1, "There is no secret 'one'; add it under \"secrets\".");
    assert!(found[3].1.starts_with("This secret is not used; write {secret.four} into"), "{}", found[3].1);
}

#[test]
fn a_secret_cannot_be_part_of_the_host() {
    let paths = issue_paths(json!({"base_url": "https://{secret.host}/", "secrets": {"host": "t.example"}}));
    assert_eq!(paths, ["/base_url"]);
}

#[test]
fn every_secret_is_sealed() {
    let schema: Value = serde_json::from_str(&MacroUrl::describe().config_schema).expect("it is JSON");
    let secrets = [
        &schema["properties"]["secrets"]["additionalProperties"],
        &schema["properties"]["headers"]["items"]["properties"]["secret"],
    ];
    for secret in secrets {
        assert_eq!((&secret["writeOnly"], &secret["format"]), (&json!(true), &json!("password")));
    }
}
