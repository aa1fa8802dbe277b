//! Changes: what a thing was, what it is now, and in which fields that differs. Compared is what the API shows; what
//! the audit log keeps of it holds no secret and nobody's personal data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{masking, redaction};

/// Fields that one record has at most.
const FIELDS_MAX: usize = 50;
/// A list is kept as it is up to this length.
const LIST_MAX_CHARS: usize = 200;
/// They change with every change, or say what other fields say.
const UNTOLD: [&str; 2] = ["updated_at", "history"];
/// Whoever knows the address of a source can report to it.
const ADDRESSES: [&str; 3] = ["url", "paste_url", "also_paste"];

/// One field that is not what it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldChange {
    /// Its place in what the API shows; parts of lists are counted from 0.
    #[schema(example = "payout.fixed")]
    pub field: String,
    /// Null when there was nothing.
    #[schema(example = "10.00")]
    pub from: Value,
    /// Null when there is nothing any more.
    #[schema(example = "12.50")]
    pub to: Value,
}

/// A thing after a change, with what it was before.
#[derive(Clone, Debug)]
pub struct Changed<T> {
    /// Nothing if it was made.
    pub before: Option<T>,
    pub now: T,
    /// What differs although it is shown alike: secrets behind their masks.
    unseen: Vec<FieldChange>,
}

impl<T> Changed<T> {
    pub fn new(before: T, now: T) -> Self {
        Self { before: Some(before), now, unseen: Vec::new() }
    }

    pub fn made(now: T) -> Self {
        Self { before: None, now, unseen: Vec::new() }
    }

    #[must_use]
    pub fn with_unseen(mut self, unseen: Vec<FieldChange>) -> Self {
        self.unseen.extend(unseen);
        self
    }

    /// The same as somebody sees it.
    pub fn map<U>(self, mut shown: impl FnMut(T) -> U) -> Changed<U> {
        Changed { before: self.before.map(&mut shown), now: shown(self.now), unseen: self.unseen }
    }
}

impl<T: Serialize> Changed<T> {
    /// What the audit log keeps of it.
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

/// What there was of a thing that is gone.
pub fn deleted(it: &impl Serialize) -> Vec<FieldChange> {
    let mut fields = Vec::new();
    compare("", false, &json(it), &Value::Null, &mut fields);
    bounded(fields)
}

/// Which parts of something secret differ, and nothing of what they are.
pub fn of_secrets(field: &str, before: &impl Serialize, now: &impl Serialize) -> Vec<FieldChange> {
    let mut fields = Vec::new();
    compare(field, true, &json(before), &json(now), &mut fields);
    fields
}

/// A word that is not what it was; nothing if it is.
pub fn of_word(field: impl Into<String>, from: &str, to: &str) -> Option<FieldChange> {
    (from != to).then(|| FieldChange { field: field.into(), from: from.into(), to: to.into() })
}

/// What goes beyond is counted.
pub fn bounded(mut fields: Vec<FieldChange>) -> Vec<FieldChange> {
    if fields.len() > FIELDS_MAX {
        let rest = fields.split_off(FIELDS_MAX - 1).len();
        fields.push(FieldChange { field: "…".into(), from: Value::Null, to: format!("{rest} more").into() });
    }
    fields
}

fn json(it: &impl Serialize) -> Value {
    serde_json::to_value(it).expect("what the API shows is JSON")
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
    // What customers type at checkout is no secret.
    let is_coupon = name == "code" && path.starts_with("coupons");
    // Goals and landing pages are called what the program calls them.
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
        // By itself a text is no JSON that could be looked through.
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
    fn only_what_differs_is_told_by_its_place() {
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
    fn the_things_of_a_list_are_compared_one_by_one() {
        let before = json!({"limits": [{"max": 1}, {"max": 2}]});
        let now = json!({"limits": [{"max": 1}, {"max": 3}, {"max": 4}]});
        let wanted = [change("limits.1.max", json!(2), json!(3)), change("limits.2.max", Value::Null, json!(4))];
        assert_eq!(between(before, now), wanted);
        let wanted = [change("goals.0.name", json!("trial"), json!("sale"))];
        assert_eq!(between(json!({"goals": [{"name": "trial"}]}), json!({"goals": [{"name": "sale"}]})), wanted);
    }

    #[test]
    fn of_secrets_and_people_only_that_they_changed_is_told() {
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
    fn a_record_stays_small() {
        let many = |n: usize| (0..200).map(|it| (format!("f{it}"), json!(n))).collect::<serde_json::Map<_, _>>();
        let fields = between(many(1).into(), many(2).into());
        assert_eq!(fields.len(), FIELDS_MAX);
        assert_eq!(fields.last(), Some(&change("…", Value::Null, json!("151 more"))));
        let long = between(json!({"a": "x".repeat(900)}), json!({"a": vec!["y"; 900]}));
        let length = |it: &Value| it.as_str().map(|text| text.chars().count());
        assert_eq!((length(&long[0].1), length(&long[0].2)), (Some(201), Some(201)));
    }
}
