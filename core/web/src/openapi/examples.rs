//! Examples of all bodies. Those of requests are written by hand, because their fields depend on each other; those of
//! responses are made from the examples of their fields. Tests check them against their schemas.

use serde_json::{Map, Value, json};

/// The bodies of requests by `operationId`.
const REQUESTS: &str = include_str!("../../assets/request_examples.json");

/// Schemas nest at most this deep.
const DEPTH_MAX: usize = 12;

/// Adds an example to each body that has none.
pub fn add(document: &mut Value) {
    let requests: Map<String, Value> = serde_json::from_str(REQUESTS).expect("the file is JSON, as a test checks");
    let schemas = document["components"]["schemas"].clone();
    let paths = document["paths"].as_object_mut().expect("there are paths");
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(|it| it.values_mut()) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        if let Some(body) = operation.get_mut("requestBody") {
            add_to(&mut body["content"], |_| requests.get(&id).cloned());
        }
        for response in operation["responses"].as_object_mut().into_iter().flat_map(|it| it.values_mut()) {
            if let Some(content) = response.get_mut("content") {
                add_to(content, |schema| sample(schema, "", &schemas, 0));
            }
        }
    }
}

fn add_to(content: &mut Value, example: impl Fn(&Value) -> Option<Value>) {
    for media in content.as_object_mut().into_iter().flat_map(|it| it.values_mut()) {
        if media.get("example").is_none()
            && media.get("examples").is_none()
            && let Some(example) = example(&media["schema"])
        {
            media["example"] = example;
        }
    }
}

/// A value for a schema; `None` if nothing fits, so that the property is left out.
fn sample(schema: &Value, name: &str, schemas: &Value, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    if let Some(example) = schema.get("example").or_else(|| schema["examples"].get(0)).or(schema.get("const")) {
        return Some(example.clone());
    }
    if let Some(pointer) = schema["$ref"].as_str() {
        let target = pointer.rsplit('/').next().unwrap_or_default();
        return sample(&schemas[target], name, schemas, depth + 1);
    }
    if let Some(word) = schema["enum"].get(0) {
        return Some(word.clone());
    }
    for choice in ["oneOf", "anyOf"] {
        let options = schema[choice].as_array().into_iter().flatten();
        if let Some(value) = options.filter(|it| it["type"] != "null").find_map(|it| sample(it, name, schemas, depth + 1)) {
            return Some(value);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().filter_map(|it| sample(it, name, schemas, depth + 1));
        return Some(Value::Object(parts.filter_map(|it| it.as_object().cloned()).flatten().collect()));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    match kinds.first().copied() {
        Some("object") => Some(object(schema, schemas, depth)),
        Some("array") => Some(sample(&schema["items"], name, schemas, depth + 1).into_iter().collect()),
        Some("string") => Some(text(schema, name, kinds.contains(&"null"))),
        Some("integer" | "number") => Some(number(schema, name)),
        Some("boolean") => Some(true.into()),
        Some("null") => Some(Value::Null),
        _ => Some(json!({})),
    }
}

fn object(schema: &Value, schemas: &Value, depth: usize) -> Value {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut fields: Map<_, _> = properties
        .filter_map(|(name, it)| Some((name.clone(), sample(it, name, schemas, depth + 1)?)))
        .collect();
    if fields.is_empty()
        && let Some(values) = schema.get("additionalProperties").filter(|it| it.is_object())
        && let Some(value) = sample(values, "", schemas, depth + 1)
    {
        let name = schema["propertyNames"]["example"].as_str().unwrap_or("name");
        fields.insert(name.to_owned(), value);
    }
    Value::Object(fields)
}

/// Texts by the name of the property.
const TEXTS: &[(&str, &str)] = &[
    ("actor", "usr_06a5xk2m7q8r9stvwxyz012345"),
    ("adapter", "macro-url"),
    ("base_url", "https://tracker.example/postback"),
    ("body", "OK"),
    ("browser", "Firefox"),
    ("country", "DE"),
    ("coupon", "SAVE10"),
    ("destination", "https://tracker.example"),
    ("device", "mobile"),
    ("digest", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("email", "ada@example.com"),
    ("external_id", "user-4711"),
    ("goal", "sale"),
    ("id", "macro-url"),
    ("ip", "203.0.113.7"),
    ("method", "GET"),
    ("name", "Ada Lovelace"),
    ("operation", "change_offer"),
    ("os", "Android"),
    ("path", "/name"),
    ("reason", "fraud"),
    ("request_id", "06a5xk2m7q8r9stvwxyz012345"),
    ("transaction_id", "T-1001"),
    ("url", "https://tracker.example/postback?cid=w8f3k2&payout=12.50"),
    ("user_agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"),
    ("version", "1.1.0"),
];

/// Texts without an own example are null if they can be, and otherwise found by their names.
fn text(schema: &Value, name: &str, is_nullable: bool) -> Value {
    if schema["format"] == "date-time" {
        return "2026-11-20T14:05:00.000Z".into();
    }
    match TEXTS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => (*text).into(),
        None if is_nullable => Value::Null,
        None => name.replace('_', " ").into(),
    }
}

fn number(schema: &Value, name: &str) -> Value {
    let usual = match name {
        "status" => 200,
        _ => 1,
    };
    let (minimum, maximum) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
    usual.clamp(minimum.unwrap_or(i64::MIN), maximum.unwrap_or(i64::MAX)).into()
}
