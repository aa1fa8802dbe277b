//! Differences between two JSON values, as lines of text.

use serde_json::Value;

/// The differences: the JSON pointer of each, the expected value and the found value.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", Some(expected), Some(found), &mut lines);
    lines
}

fn compare(at: &str, expected: Option<&Value>, found: Option<&Value>, lines: &mut Vec<String>) {
    let child = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match (expected, found) {
        (one, two) if one == two => {}
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            for (name, value) in one {
                compare(&child(name), Some(value), two.get(name), lines);
            }
            for (name, value) in two.iter().filter(|(name, _)| !one.contains_key(*name)) {
                compare(&child(name), None, Some(value), lines);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => {
            for index in 0..one.len().max(two.len()) {
                compare(&child(&index.to_string()), one.get(index), two.get(index), lines);
            }
        }
        (one, two) => {
            let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
            lines.push(format!("at {at}\n  expected {}\n  found    {}", text(one), text(two)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_is_reported_with_its_place() {
        let expected =
            json!({"ok": {"url": "https://t.example/a", "headers": [{"name": "A/B", "value": "1"}], "body": 1}});
        let found = json!({"ok": {"url": "https://t.example/b", "headers": [], "more": 2, "body": 1}});
        assert_eq!(differences(&expected, &expected), [""; 0]);
        assert_eq!(
            differences(&expected, &found),
            [
                "at /ok/headers/0\n  expected {\"name\":\"A/B\",\"value\":\"1\"}\n  found    nothing",
                "at /ok/url\n  expected \"https://t.example/a\"\n  found    \"https://t.example/b\"",
                "at /ok/more\n  expected nothing\n  found    2",
            ]
        );
    }
}
