//! Changes: an object before and after an operation, and the fields that differ. The comparison uses the API's
//! representation; the result for the audit log contains no secrets and no personal data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{masking, redaction};

/// The most fields of one entry.
const FIELDS_MAX: usize = 50;
/// The most characters of a list that is stored as it is.
const LIST_MAX_CHARS: usize = 200;
/// Fields that are left out: they change with every change, or repeat other fields.
const UNTOLD: [&str; 3] = ["updated_at", "history", "summary"];
/// The addresses of sources are secret: they allow to send notifications.
const ADDRESSES: [&str; 3] = ["url", "paste_url", "also_paste"];

/// A field that changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldChange {
    /// Path of the field in the API's representation; items of lists are counted from 0.
    #[schema(example = "payout.fixed")]
    pub field: String,
    /// The old value; null if there was none.
    #[schema(example = "10.00")]
    pub from: Value,
    /// The new value; null if there is none.
    #[schema(example = "12.50")]
    pub to: Value,
}

/// An object after a change, and before it.
#[derive(Clone, Debug)]
pub struct Changed<T> {
    /// The object before; `None` if it was created.
    pub before: Option<T>,
    /// The object after the change.
    pub now: T,
    /// Changes that the representation does not show: secrets behind their masks.
    unseen: Vec<FieldChange>,
}

impl<T> Changed<T> {
    /// A changed object.
    pub fn new(before: T, now: T) -> Self {
        Self { before: Some(before), now, unseen: Vec::new() }
    }

    /// A created object.
    pub fn made(now: T) -> Self {
        Self { before: None, now, unseen: Vec::new() }
    }

    /// Adds changes of masked secrets.
    #[must_use]
    pub fn with_unseen(mut self, unseen: Vec<FieldChange>) -> Self {
        self.unseen.extend(unseen);
        self
    }

    /// Converts both states, for example to the API's representation.
    pub fn map<U>(self, mut shown: impl FnMut(T) -> U) -> Changed<U> {
        Changed { before: self.before.map(&mut shown), now: shown(self.now), unseen: self.unseen }
    }
}

impl<T: Serialize> Changed<T> {
    /// The changed fields for the audit log.
    pub fn fields(&self) -> Vec<FieldChange> {
        let before = self.before.as_ref().map(json).unwrap_or_default();
        let mut fields = Vec::new();
        compare("", false, &before, &json(&self.now), &mut fields);
        for unseen in &self.unseen {
            if !fields.iter().any(|it| it.field == unseen.field) {
                fields.push(unseen.clone());
            }
        }
        bounded(fields)
    }
}

/// The fields of a deleted object for the audit log.
pub fn deleted(it: &impl Serialize) -> Vec<FieldChange> {
    let mut fields = Vec::new();
    compare("", false, &json(it), &Value::Null, &mut fields);
    bounded(fields)
}

/// The changed fields of a secret object, without their values.
pub fn of_secrets(field: &str, before: &impl Serialize, now: &impl Serialize) -> Vec<FieldChange> {
    let mut fields = Vec::new();
    compare(field, true, &json(before), &json(now), &mut fields);
    fields
}

/// The change of a single word; `None` if it is the same.
pub fn of_word(field: impl Into<String>, from: &str, to: &str) -> Option<FieldChange> {
    (from != to).then(|| FieldChange { field: field.into(), from: from.into(), to: to.into() })
}

/// At most 50 changes; the last one counts the rest.
pub fn bounded(mut fields: Vec<FieldChange>) -> Vec<FieldChange> {
    if fields.len() > FIELDS_MAX {
        let rest = fields.split_off(FIELDS_MAX - 1).len();
        fields.push(FieldChange { field: "…".into(), from: Value::Null, to: format!("{rest} more").into() });
    }
    fields
}

fn json(it: &impl Serialize) -> Value {
    serde_json::to_value(it).expect("API representations are JSON")
}

fn compare(path: &str, hidden: bool, before: &Value, now: &Value, found: &mut Vec<FieldChange>) {
    if before == now {
        return;
    }
    let within = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (before, now) {
        (Value::Object(_), Value::Object(_) | Value::Null) | (Value::Null, Value::Object(_)) => {
            let names: BTreeSet<_> =
                [before, now].into_iter().filter_map(Value::as_object).flat_map(|it| it.keys()).collect();
            for name in names.into_iter().filter(|name| !path.is_empty() || !UNTOLD.contains(&name.as_str())) {
                let hidden = hidden || is_hidden(path, name);
                compare(&within(name), hidden, &before[name], &now[name], found);
            }
        }
        _ if is_list_of_things(before, now) => {
            let length = [before, now].into_iter().filter_map(Value::as_array).map(Vec::len).max().unwrap_or_default();
            for index in 0..length {
                compare(&within(&index.to_string()), hidden, &before[index], &now[index], found);
            }
        }
        _ => found.push(FieldChange { field: path.to_owned(), from: kept(hidden, before), to: kept(hidden, now) }),
    }
}

fn is_list_of_things(before: &Value, now: &Value) -> bool {
    let both = [before, now];
    both.iter().all(|it| it.is_array() || it.is_null())
        && both.iter().filter_map(|it| it.as_array()).flatten().any(|it| it.is_object() || it.is_array())
}

fn is_hidden(path: &str, name: &str) -> bool {
    // Coupon codes are not secret: customers type them at checkout.
    let is_coupon = name == "code" && path.starts_with("coupons");
    // Names of goals and landing pages are not personal data.
    let is_label = name == "name" && ["goals", "landing_pages"].iter().any(|list| path.starts_with(list));
    (redaction::is_secret(name) && !is_coupon)
        || (masking::is_personal(name) && !is_label)
        || (path.is_empty() && ADDRESSES.contains(&name))
}

fn kept(hidden: bool, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if hidden => redaction::HIDDEN.into(),
        Value::Array(_) | Value::Object(_) => {
            let shown = redaction::shown(value);
            let text = shown.to_string();
            if text.chars().count() <= LIST_MAX_CHARS { shown } else { redaction::shortened(&text).into() }
        }
        // Wrapped in a list, because a bare string is not searched as JSON.
        value => redaction::shown(&Value::Array(vec![value.clone()]))[0].take(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn between(before: Value, now: Value) -> Vec<(String, Value, Value)> {
        let fields = Changed::new(before, now).fields();
        fields.into_iter().map(|it| (it.field, it.from, it.to)).collect()
    }

    fn change(field: &str, from: Value, to: Value) -> (String, Value, Value) {
        (field.to_owned(), from, to)
    }

    #[test]
    fn only_changed_fields_are_listed_by_path() {
        let before =
            json!({"payout": {"fixed": "10.00"}, "hold_days": 0, "updated_at": 1, "hosts": ["a"], "status": "x"});
        let now =
            json!({"payout": {"percent": "30"}, "hold_days": 0, "updated_at": 2, "hosts": ["a", "b"], "status": "y"});
        let wanted = [
            change("hosts", json!(["a"]), json!(["a", "b"])),
            change("payout.fixed", json!("10.00"), Value::Null),
            change("payout.percent", Value::Null, json!("30")),
            change("status", json!("x"), json!("y")),
        ];
        assert_eq!(between(before.clone(), now), wanted);
        assert_eq!(between(before.clone(), before), []);
    }

    #[test]
    fn items_of_a_list_are_compared_one_by_one() {
        let before = json!({"limits": [{"max": 1}, {"max": 2}]});
        let now = json!({"limits": [{"max": 1}, {"max": 3}, {"max": 4}]});
        let wanted = [change("limits.1.max", json!(2), json!(3)), change("limits.2.max", Value::Null, json!(4))];
        assert_eq!(between(before, now), wanted);
        let wanted = [change("goals.0.name", json!("trial"), json!("sale"))];
        assert_eq!(between(json!({"goals": [{"name": "trial"}]}), json!({"goals": [{"name": "sale"}]})), wanted);
    }

    #[test]
    fn values_of_secrets_and_personal_data_are_hidden() {
        let before =
            json!({"email": "a@b.example", "config": {"url": "https://a"}, "note": "x", "details": {"iban": "DE1"}});
        let now = json!({"email": "c@d.example", "config": {"url": "https://b"}, "note": "ask a@b.example", "details": {"iban": "DE2"}});
        let hidden = || json!(redaction::HIDDEN);
        let wanted = [
            change("config.url", hidden(), hidden()),
            change("details.iban", hidden(), hidden()),
            change("email", hidden(), hidden()),
            change("note", json!("x"), json!("***")),
        ];
        assert_eq!(between(before, now), wanted);
        let unseen = of_secrets("config", &json!({"token": "1"}), &json!({"token": "2"}));
        let fields = Changed::new(json!({"config": "***"}), json!({"config": "***"})).with_unseen(unseen).fields();
        assert_eq!(fields, [FieldChange { field: "config.token".into(), from: hidden(), to: hidden() }]);
    }

    #[test]
    fn an_entry_is_bounded() {
        let many = |n: usize| (0..200).map(|it| (format!("f{it}"), json!(n))).collect::<serde_json::Map<_, _>>();
        let fields = between(many(1).into(), many(2).into());
        assert_eq!(fields.len(), FIELDS_MAX);
        assert_eq!(fields.last(), Some(&change("…", Value::Null, json!("151 more"))));
        let long = between(json!({"a": "x".repeat(900)}), json!({"a": vec!["y"; 900]}));
        let length = |it: &Value| it.as_str().map(|text| text.chars().count());
        assert_eq!((length(&long[0].1), length(&long[0].2)), (Some(201), Some(201)));
    }
}
