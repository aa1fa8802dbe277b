//! The bounds in the description are those of the program: a value just beyond a bound is refused, and no value is
//! refused because of a bound that is not described.

use std::collections::BTreeSet;

use postrider_tests::app::TestApp;
use postrider_tests::client::Answer;
use postrider_tests::database::Database;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Longer than all bounds, and a number larger than all.
const LONG: usize = 20_000;
const MANY: usize = 1_500;

/// Fields whose bounds are not reached, because the token of a link is checked before.
const NOT_REACHED: [&str; 2] = ["/api/v1/auth/set-password /password", "/api/v1/auth/set-password /token"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_beyond_a_bound_of_a_body_is_refused() {
    let t = TestApp::start(Database::sqlite()).await;
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    let (mut checked, mut not_reached) = (0, BTreeSet::new());
    for body in bodies(&description) {
        for (pointer, broken) in Breaches::of_bounds(&description).of(body.schema, &body.example, 0) {
            let answer = t.admin.send(t.admin.request(body.method.clone(), body.path).json(&broken)).await;
            assert!((400..500).contains(&answer.status), "{} {pointer}: {}", body.path, answer.text);
            if names(&answer, &pointer) {
                checked += 1;
            } else {
                not_reached.insert(format!("{} {pointer}", body.path));
            }
        }
    }
    not_reached.retain(|it| !NOT_REACHED.contains(&it.as_str()));
    assert_eq!(not_reached, BTreeSet::new());
    assert!(checked > 100, "{checked} bounds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_field_of_a_body_has_a_bound_that_is_not_described() {
    let t = TestApp::start(Database::sqlite()).await;
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    let mut undescribed = Vec::new();
    for body in bodies(&description) {
        for (pointer, broken) in Breaches::where_unbounded(&description).of(body.schema, &body.example, 0) {
            let answer = t.admin.send(t.admin.request(body.method.clone(), body.path).json(&broken)).await;
            let problem = answer.json();
            let issues = problem["errors"].as_array().into_iter().flatten().filter(|it| it["path"] == pointer.as_str());
            for message in issues.filter_map(|it| it["message"].as_str()) {
                let counts = [" characters", "at most", " bytes", "from 0 to"];
                if counts.iter().any(|it| message.contains(it)) {
                    undescribed.push(format!("{} {pointer}: {message}", body.path));
                }
            }
        }
    }
    assert_eq!(undescribed, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_beyond_a_bound_of_a_query_is_refused() {
    let t = TestApp::start(Database::sqlite()).await;
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    let mut checked = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        let parameters = operations["get"]["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<_> = parameters.filter(|it| it["in"] == "query").collect();
        if path.contains('{') || is_for_people(&operations["get"]) {
            continue;
        }
        let required = parameters.iter().filter(|it| it["required"] == true);
        let required: Vec<_> = required.map(|it| format!("{}=USD", it["name"].as_str().unwrap())).collect();
        for parameter in &parameters {
            let name = parameter["name"].as_str().unwrap();
            for (_, broken) in Breaches::of_bounds(&description).of(&parameter["schema"], &json!("x"), 0) {
                let text = broken.as_str().map_or_else(|| broken.to_string(), str::to_owned);
                let query = [&required[..], &[format!("{name}={text}")]].concat().join("&");
                let answer = t.admin.get(&format!("{path}?{query}")).await;
                let problem = answer.json();
                let detail = problem["detail"].as_str().unwrap_or_default();
                let is_named = detail.contains(name) && problem["code"] == "invalid_parameter";
                assert!(answer.status == 400, "{path}?{query}: {}", answer.text);
                assert!(is_named || problem["code"] == "invalid_cursor", "{path}?{query}: {}", answer.text);
                checked += 1;
            }
        }
    }
    assert!(checked > 60, "{checked} bounds");
}

struct Body<'d> {
    method: Method,
    path: &'d str,
    schema: &'d Value,
    example: Value,
}

/// The JSON bodies of operations without an id in their path, which a key may call.
fn bodies(description: &Value) -> Vec<Body<'_>> {
    let mut bodies = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let content = &operation["requestBody"]["content"]["application/json"];
            if path.contains('{') || content.is_null() || is_for_people(operation) {
                continue;
            }
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            bodies.push(Body { method, path, schema: &content["schema"], example: content["example"].clone() });
        }
    }
    bodies
}

fn is_for_people(operation: &Value) -> bool {
    operation["security"] == json!([{"session": []}])
}

/// Whether an issue of the answer is about the field, or about a field in it.
fn names(answer: &Answer, pointer: &str) -> bool {
    let problem = answer.json();
    let issues = problem["errors"].as_array().into_iter().flatten();
    issues.filter_map(|it| it["path"].as_str()).any(|path| path.starts_with(pointer) || pointer.starts_with(path))
}

/// Makes values that fit a schema, and values that do not.
pub(super) struct Breaches<'d> {
    schemas: &'d Value,
    breaking: fn(&Self, &Value) -> Vec<Value>,
}

impl<'d> Breaches<'d> {
    /// Values just beyond the bounds.
    pub(super) fn of_bounds(description: &'d Value) -> Self {
        Self { schemas: &description["components"]["schemas"], breaking: Self::beyond_the_bounds }
    }

    /// Very large values where the schema has no bound.
    fn where_unbounded(description: &'d Value) -> Self {
        Self { schemas: &description["components"]["schemas"], breaking: Self::very_large }
    }

    /// Each breach in `value`, which fits the schema otherwise, with the JSON pointer to the field that breaks it.
    fn of(&self, schema: &Value, value: &Value, depth: usize) -> Vec<(String, Value)> {
        let schema = self.resolved(schema);
        let mut found: Vec<_> = (self.breaking)(self, schema).into_iter().map(|it| (String::new(), it)).collect();
        if depth > 8 {
            return found;
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let present = value.get(name).filter(|it| !it.is_null()).cloned().unwrap_or_else(|| self.sample(field));
            for (pointer, broken) in self.of(field, &present, depth + 1) {
                let mut whole = if value.is_object() { value.clone() } else { json!({}) };
                whole[name] = broken;
                found.push((format!("/{name}{pointer}"), whole));
            }
        }
        if let Some(items) = schema.get("items") {
            let item = value.get(0).cloned().unwrap_or_else(|| self.sample(items));
            let inner = self.of(items, &item, depth + 1).into_iter();
            found.extend(inner.map(|(pointer, broken)| (format!("/0{pointer}"), json!([broken]))));
        }
        if let Some(entries) = schema.get("additionalProperties").filter(|it| it.is_object()) {
            let inner = self.of(entries, &self.sample(entries), depth + 1).into_iter();
            found.extend(inner.map(|(pointer, broken)| (format!("/name{pointer}"), json!({"name": broken}))));
        }
        found
    }

    fn beyond_the_bounds(&self, schema: &Value) -> Vec<Value> {
        let bound = |name: &str| schema[name].as_i64();
        let text = |length: i64| json!("x".repeat(usize::try_from(length).unwrap()));
        let mut broken = Vec::new();
        broken.extend(bound("maxLength").map(|max| text(max + 1)));
        broken.extend(bound("minLength").filter(|min| *min > 0).map(|min| text(min - 1)));
        broken.extend(bound("maximum").map(|max| json!(max + 1)));
        broken.extend(bound("minimum").map(|min| json!(min - 1)));
        broken.extend(bound("maxItems").map(|max| self.items(schema, max + 1)));
        broken.extend(bound("minItems").filter(|min| *min > 0).map(|min| self.items(schema, min - 1)));
        broken.extend(bound("maxProperties").map(|max| self.entries(schema, max + 1)));
        broken
    }

    fn very_large(&self, schema: &Value) -> Vec<Value> {
        let lacks = |names: &[&str]| names.iter().all(|it| schema.get(*it).is_none());
        match kind(schema) {
            "string" if lacks(&["maxLength", "enum", "pattern", "const"]) => vec![json!("x".repeat(LONG))],
            "integer" if lacks(&["maximum"]) => vec![json!(i64::MAX)],
            "array" if lacks(&["maxItems"]) => vec![self.items(schema, MANY as i64)],
            "object" if lacks(&["maxProperties", "properties"]) => vec![self.entries(schema, MANY as i64)],
            _ => vec![],
        }
    }

    fn items(&self, schema: &Value, count: i64) -> Value {
        (0..count).map(|_| self.sample(&schema["items"])).collect()
    }

    fn entries(&self, schema: &Value, count: i64) -> Value {
        let value = self.sample(&schema["additionalProperties"]);
        Value::Object((0..count).map(|index| (format!("name{index}"), value.clone())).collect())
    }

    /// The schema behind references. Of several alternatives, the first that is not null.
    fn resolved<'s>(&self, schema: &'s Value) -> &'s Value
    where
        'd: 's,
    {
        if let Some(name) = schema["$ref"].as_str().and_then(|it| it.strip_prefix("#/components/schemas/")) {
            return self.resolved(&self.schemas[name]);
        }
        let alternatives = ["oneOf", "anyOf"].into_iter().find_map(|it| schema[it].as_array());
        match alternatives.into_iter().flatten().find(|it| it["type"] != "null") {
            Some(first) => self.resolved(first),
            None => schema,
        }
    }

    /// A value that fits the schema.
    pub(super) fn sample(&self, schema: &Value) -> Value {
        let example = |schema: &Value| schema.get("example").or_else(|| schema["examples"].get(0)).cloned();
        let resolved = self.resolved(schema);
        if let Some(example) =
            example(schema).or_else(|| example(resolved)).or_else(|| resolved["enum"].get(0).cloned())
        {
            return example;
        }
        match kind(resolved) {
            "string" => json!("x".repeat(resolved["minLength"].as_u64().unwrap_or(1) as usize)),
            "integer" => resolved.get("minimum").cloned().unwrap_or_else(|| json!(1)),
            "boolean" => json!(true),
            "array" => json!([]),
            _ => {
                let required = resolved["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let fields = required.map(|name| (name.to_owned(), self.sample(&resolved["properties"][name])));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

/// The type of a schema that is not null.
fn kind(schema: &Value) -> &str {
    let kinds = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    schema["type"].as_str().or_else(|| kinds.into_iter().find(|it| *it != "null")).unwrap_or_default()
}
