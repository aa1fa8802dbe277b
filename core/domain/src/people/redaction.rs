//! Redaction: what a record keeps of a request and of what it changed. No secret, and nobody's personal data.

use serde_json::{Map, Value};

use super::masking;

/// What one record may hold of a request.
const FIELDS_MAX_CHARS: usize = 4_000;
const TEXT_MAX_CHARS: usize = 200;
pub const HIDDEN: &str = "•••";

/// The fields of requests whose values a record shows. Every other value is hidden, also of a field that is added later or
/// is misspelled: a caller may send anything.
const SHOWN: [&str; 95] = [
    "action",
    "adapter",
    "affiliate_id",
    "amount",
    "amounts",
    "attribution",
    "caps",
    "click",
    "commission_is",
    "conversions",
    "coupon",
    "coupons",
    "currency",
    "decimal",
    "deep_link_hosts",
    "deep_url",
    "default",
    "default_status",
    "delay",
    "despite_debt",
    "dry_run",
    "email",
    "enabled",
    "end_keys",
    "ends_at",
    "expires_at",
    "external_id",
    "fallback_url",
    "fee",
    "file",
    "firing_status",
    "fixed",
    "format",
    "from",
    "goal",
    "goals",
    "hold_days",
    "id",
    "ids",
    "landing_page",
    "landing_pages",
    "landing_url",
    "limits",
    "link",
    "message",
    "method",
    "minimum",
    "minimum_withdrawal",
    "name",
    "never_sent",
    "next",
    "offer_id",
    "older_than_days",
    "opened_by",
    "ordering",
    "outside_window",
    "over",
    "owner_affiliate_id",
    "paid_from",
    "parent_affiliate",
    "payer",
    "payout",
    "per",
    "percent",
    "period",
    "postbacks",
    "processing_time",
    "rate",
    "read_only",
    "reason",
    "reference",
    "rejection_reasons",
    "reply",
    "revenue",
    "role",
    "scope",
    "scopes",
    "self_referral",
    "session_parameter",
    "settings",
    "starts_at",
    "status",
    "template",
    "tiers",
    "time_zone",
    "to",
    "unit",
    "unknown_status_reply",
    "url",
    "valid_from",
    "value",
    "visibility",
    "weight",
    "window_days",
    "without_transaction_id",
];

/// What stands in these is named by the program or its networks: currencies and status words.
const MAPS: [&str; 3] = ["currencies", "minimums", "statuses"];

/// The fields of a request as the log keeps them: only values of [`SHOWN`] fields, no personal data, and long text is cut
/// off. What was changed stays visible, what it was changed to where that is harmless.
pub fn asked(body: &Value) -> Value {
    finished(known(body, false))
}

/// Only what is known to be harmless; `named` says whether a name of [`SHOWN`] vouches for it.
fn known(value: &Value, named: bool) -> Value {
    match value {
        Value::Object(fields) => {
            let one = |(name, value): (&String, &Value)| {
                let shown = match value {
                    Value::Null => Value::Null,
                    Value::Object(entries) if MAPS.contains(&name.as_str()) => {
                        entries.iter().map(|(word, value)| (shortened_if_long(word), known(value, true))).collect()
                    }
                    value if SHOWN.contains(&name.as_str()) => known(value, true),
                    _ => HIDDEN.into(),
                };
                (shortened_if_long(name), shown)
            };
            Value::Object(fields.iter().map(one).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(|it| known(it, named)).collect(),
        Value::String(text) if named => shortened_if_long(text).into(),
        Value::Null | Value::Bool(_) | Value::Number(_) if named => value.clone(),
        Value::Null => Value::Null,
        _ => HIDDEN.into(),
    }
}

fn shortened_if_long(text: &str) -> String {
    if text.chars().count() > TEXT_MAX_CHARS { shortened(text) } else { text.to_owned() }
}

/// A value that the API shows, as the log keeps it: secrets, free-form configurations and everything about a person are
/// hidden, long text is cut off.
pub fn shown(value: &Value) -> Value {
    finished(hide(value))
}

fn finished(mut shown: Value) -> Value {
    // A second look at what is left, by the rules that hold for everything that networks send.
    if let Ok(masked) = serde_json::from_str(&masking::hide_people(&shown.to_string())) {
        shown = masked;
    }
    match shown.to_string().chars().count() {
        0..=FIELDS_MAX_CHARS => shown,
        length => Value::from(format!("{length} characters; too long to keep")),
    }
}

fn hide(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let one = |(name, value): (&String, &Value)| {
                let hidden = is_secret(name) && !value.is_null();
                (name.clone(), if hidden { HIDDEN.into() } else { hide(value) })
            };
            Value::Object(fields.iter().map(one).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(hide).collect(),
        Value::String(text) => shortened_if_long(text).into(),
        other => other.clone(),
    }
}

pub fn shortened(text: &str) -> String {
    text.chars().take(TEXT_MAX_CHARS).chain(['…']).collect()
}

/// The author of a schema names the fields of configurations and details: nothing is known to be harmless there.
pub fn is_secret(name: &str) -> bool {
    const PARTS: [&str; 12] = [
        "password", "secret", "token", "key", "code", "config", "fields", "guards", "details", "header", "current",
        "iban",
    ];
    const HARMLESS: [&str; 5] = ["referral_code", "error_code", "reason_code", "currency_code", "end_keys"];
    !HARMLESS.contains(&name) && PARTS.iter().any(|part| name.to_ascii_lowercase().contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_shows_only_what_is_known_to_be_harmless() {
        let body = json!({
            "name": "Ada", "email": "ada@example.com", "password": "x", "status": "active", "config": {"a": "b"},
            "reason": "write to ada@example.com", "api_key": null, "caps": {"token": "t", "limits": [{"payout": 5}]},
            "message": "x".repeat(500), "current": "old", "new": "new", "pasword": ["y"],
            "settings": {"guards": {"token": {"value": "z"}}, "statuses": {"ok": {"status": "approved", "note": "w"}}},
        });
        let kept = asked(&body);
        let wanted = json!({
            "name": "***", "email": "***", "password": HIDDEN, "status": "active", "config": HIDDEN, "reason": "***",
            "api_key": null, "caps": {"token": HIDDEN, "limits": [{"payout": 5}]}, "message": kept["message"],
            "current": HIDDEN, "new": HIDDEN, "pasword": HIDDEN,
            "settings": {"guards": HIDDEN, "statuses": {"ok": {"status": "approved", "note": HIDDEN}}},
        });
        assert_eq!(kept, wanted);
        assert_eq!(kept["message"].as_str().map(|text| text.chars().count()), Some(201));
        for (body, kept) in [
            (json!("a password"), json!(HIDDEN)),
            (json!(["a password"]), json!([HIDDEN])),
            (json!([{"new": "x", "ids": ["a"]}]), json!([{"new": HIDDEN, "ids": ["a"]}])),
            (json!({"old": {"new": 1}}), json!({"old": HIDDEN})),
            (Value::Null, Value::Null),
        ] {
            assert_eq!(asked(&body), kept);
        }
    }

    #[test]
    fn of_what_is_shown_secrets_and_people_are_hidden() {
        let shown = shown(&json!({"status": "active", "password": "x", "email": "ada@example.com", "note": "y"}));
        assert_eq!(shown, json!({"status": "active", "password": HIDDEN, "email": "***", "note": "y"}));
    }

    /// Every field that a request may have is shown on purpose, and none that is called like a secret.
    #[test]
    fn no_field_of_a_request_that_is_called_like_a_secret_is_shown() {
        let called_like = |name: &str| is_secret(name) || ["new", "pin", "otp", "credential", "auth"].contains(&name);
        let secret: Vec<_> = SHOWN.iter().chain(&MAPS).filter(|name| called_like(name)).collect();
        assert_eq!(secret, Vec::<&&str>::new());
    }
}
