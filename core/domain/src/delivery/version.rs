//! Versions of a postback: what differs between two of them, field by field.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::postback::Postback;
use crate::people::changes::FieldChange;

/// The fields that differ, named as in the API. Both postbacks have masks in place of secrets.
pub fn differences(before: &Postback, now: &Postback) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare("", &data(before), &data(now), &mut found);
    found
}

/// The data of a postback that can change.
fn data(postback: &Postback) -> Value {
    let rule = &postback.rule;
    json!({
        "name": postback.name,
        "adapter_version": postback.adapter_version,
        "config": postback.config,
        "action": rule.action,
        "scope": rule.scope,
        "firing_status": rule.firing_status,
        "rejection_reasons": rule.rejection_reasons,
        "delay": rule.delay,
        "ordering": postback.ordering,
        "enabled": postback.enabled,
        "approval": postback.approval,
    })
}

/// Objects and lists of objects are compared by member. Other values are shown as a whole.
fn compare(path: &str, before: &Value, now: &Value, found: &mut Vec<FieldChange>) {
    if before == now {
        return;
    }
    let within = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let both = [before, now];
    let any = |is: fn(&Value) -> bool| both.iter().any(|it| is(it)) && both.iter().all(|it| is(it) || it.is_null());
    if any(Value::is_object) {
        let names: BTreeSet<_> = both.into_iter().filter_map(Value::as_object).flat_map(|it| it.keys()).collect();
        names.into_iter().for_each(|name| compare(&within(name), &before[name], &now[name], found));
    } else if any(|it| it.as_array().is_some_and(|items| items.iter().all(Value::is_object) && !items.is_empty())) {
        let length = both.into_iter().filter_map(Value::as_array).map(Vec::len).max().unwrap_or_default();
        (0..length).for_each(|at| compare(&within(&at.to_string()), &before[at], &now[at], found));
    } else {
        found.push(FieldChange { field: path.to_owned(), from: before.clone(), to: now.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_changed_member_is_named_by_its_path() {
        let before = json!({"config": {"url": "a", "parameters": [{"name": "x"}]}, "delay": null, "reasons": ["a"]});
        let now = json!({"config": {"url": "b", "parameters": [{"name": "x"}, {"name": "y"}]}, "delay": {"value": 2},
            "reasons": []});
        let mut found = Vec::new();
        compare("", &before, &now, &mut found);
        let fields: Vec<_> = found.iter().map(|it| format!("{}: {} -> {}", it.field, it.from, it.to)).collect();
        assert_eq!(
            fields,
            [
                r#"config.parameters.1.name: null -> "y""#,
                r#"config.url: "a" -> "b""#,
                "delay.value: null -> 2",
                r#"reasons: ["a"] -> []"#,
            ]
        );
    }
}
