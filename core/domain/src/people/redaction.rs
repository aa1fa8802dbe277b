//! Redaction: what the audit log stores of a request and of its changes. No secrets, and no personal data.

use serde_json::{Map, Value};

use super::masking;

/// The most characters of a request in one entry, and of one text in it.
const FIELDS_MAX_CHARS: usize = 4_000;
const TEXT_MAX_CHARS: usize = 200;
/// Replaces hidden values.
pub(crate) const HIDDEN: &str = "•••";

/// The fields of requests whose values are shown. Every other value is hidden, including fields that are added later or
/// are misspelled, because a caller can send anything.
const SHOWN: &[&str] = &[
    "action",
    "adapter",
    "affiliate_id",
    "affiliates_need_approval",
    "affiliates_see",
    "allow_unverified",
    "amount",
    "amounts",
    "attribution",
    "caps",
    "click",
    "commission_is",
    "conversion_id",
    "conversions",
    "coupon",
    "coupons",
    "currency",
    "date_order",
    "decimal",
    "decision",
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
    "event_id",
    "expected",
    "expires_at",
    "external_id",
    "failing_postbacks",
    "fallback_url",
    "fee",
    "file",
    "filter",
    "firing_status",
    "fixed",
    "format",
    "from",
    "goal",
    "goals",
    "hold_days",
    "http_status",
    "id",
    "ids",
    "keep_rejected",
    "landing_page",
    "landing_pages",
    "landing_url",
    "language",
    "limits",
    "link",
    "message",
    "method",
    "minimum",
    "minimum_withdrawal",
    "name",
    "never_sent",
    "next",
    "not_sent",
    "notifications",
    "offer_id",
    "older_than_days",
    "one_order_per",
    "opened_by",
    "ordering",
    "outcome",
    "outside_window",
    "over",
    "owner_affiliate_id",
    "paid_from",
    "paid_payments",
    "parent_affiliate",
    "payer",
    "payout",
    "payout_currency",
    "per",
    "percent",
    "period",
    "postback_id",
    "postbacks",
    "processing_time",
    "rate",
    "read_only",
    "reason",
    "reason_code",
    "recurring",
    "reference",
    "refunded_amount",
    "refused_reply",
    "rejection_reasons",
    "rejections",
    "repeated_transaction_id",
    "reply",
    "retired",
    "revenue",
    "revenue_currency",
    "reversal_parameter",
    "reversal_prefix",
    "role",
    "sale",
    "scope",
    "scopes",
    "self_referral",
    "session_parameter",
    "settings",
    "source_id",
    "source_parameters",
    "starts_at",
    "status",
    "template",
    "test",
    "theme",
    "tiers",
    "time_zone",
    "to",
    "transaction_id_parameters",
    "unit",
    "unknown_goal",
    "unknown_status_reply",
    "until",
    "url",
    "valid_from",
    "value",
    "version",
    "visibility",
    "weekly_summary",
    "weight",
    "window_days",
    "withdrawals",
    "without_transaction_id",
];

/// Objects whose keys are currencies, status words or parameters, not fields.
const MAPS: [&str; 4] = ["currencies", "ignore_if", "minimums", "statuses"];

/// Whether values of a request's field with this name are shown.
pub fn is_shown(field: &str) -> bool {
    SHOWN.contains(&field) || MAPS.contains(&field)
}

/// The fields of a request for the audit log: only values of known harmless fields, no personal data, and long text is
/// cut. Names of changed fields stay visible; their new values only if they are harmless.
pub fn asked(body: &Value) -> Value {
    finished(known(body, false))
}

/// Only values that are known to be harmless; `named` is whether the field's name is in [`SHOWN`].
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

/// A value in the API's representation for the audit log: secrets, free-form configurations and personal data are
/// hidden, long text is cut.
pub fn shown(value: &Value) -> Value {
    finished(hide(value))
}

fn finished(mut shown: Value) -> Value {
    // The rules for requests of networks are applied to the rest as well.
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

/// The first 200 characters and an ellipsis.
pub fn shortened(text: &str) -> String {
    text.chars().take(TEXT_MAX_CHARS).chain(['…']).collect()
}

/// Whether the name of a field suggests a secret. This includes whole configurations and payout details: their fields
/// are named by the author of a schema, so none is known to be harmless.
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
    fn a_request_shows_only_harmless_fields() {
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
    fn secrets_and_personal_data_are_hidden() {
        let shown = shown(&json!({"status": "active", "password": "x", "email": "ada@example.com", "note": "y"}));
        assert_eq!(shown, json!({"status": "active", "password": HIDDEN, "email": "***", "note": "y"}));
    }

    /// No field with a name like a secret is in the list of shown fields.
    #[test]
    fn no_field_named_like_a_secret_is_shown() {
        let called_like = |name: &str| is_secret(name) || ["new", "pin", "otp", "credential", "auth"].contains(&name);
        let secret: Vec<_> = SHOWN.iter().chain(&MAPS).filter(|name| called_like(name)).collect();
        assert_eq!(secret, Vec::<&&str>::new());
    }
}
