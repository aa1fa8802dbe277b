//! Examples of all bodies. Those of requests are written by hand, because their fields depend on each other; those of
//! responses are made from the examples of their fields. `tests/openapi/check` compares all of them with their schemas,
//! and sends those of requests to a server.

use serde_json::{Map, Value};

/// The bodies of requests by `operationId`.
const REQUESTS: &str = include_str!("../../assets/examples/requests.json");

/// The values of fields in responses, by `Schema.field` or `field`, if the handler's type has no example.
const FIELDS: &str = include_str!("../../assets/examples/fields.json");

/// Schemas nest at most this deep.
const DEPTH_MAX: usize = 40;

/// Adds an example to each body that has none.
pub fn add(document: &mut Value) {
    let requests: Map<String, Value> = serde_json::from_str(REQUESTS).expect("the file is a JSON object");
    let fields: Map<String, Value> = serde_json::from_str(FIELDS).expect("the file is a JSON object");
    let schemas = document["components"]["schemas"].clone();
    let sampler = Sampler { schemas: &schemas, fields: &fields };
    let paths = document["paths"].as_object_mut().expect("there are paths");
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(|it| it.values_mut()) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        if let Some(body) = operation.get_mut("requestBody") {
            add_to(&mut body["content"], |_, _| requests.get(&id).cloned());
        }
        for response in operation["responses"].as_object_mut().into_iter().flat_map(|it| it.values_mut()) {
            if let Some(content) = response.get_mut("content") {
                add_to(content, |kind, schema| file(kind).or_else(|| sampler.sample(schema, Place::default())));
            }
        }
    }
}

fn add_to(content: &mut Value, example: impl Fn(&str, &Value) -> Option<Value>) {
    for (kind, media) in content.as_object_mut().into_iter().flatten() {
        if media.get("example").is_none()
            && media.get("examples").is_none()
            && let Some(example) = example(kind, &media["schema"])
        {
            media["example"] = example;
        }
    }
}

/// The beginning of a file.
fn file(content_type: &str) -> Option<Value> {
    let text = match content_type {
        "text/csv" => "id,created_at\n06a5xk2m7q8r9stvwxyz012345,2026-11-20T14:05:00.000Z\n",
        "application/jsonl" => "{\"id\":\"06a5xk2m7q8r9stvwxyz012345\",\"created_at\":\"2026-11-20T14:05:00.000Z\"}\n",
        "application/xml" => "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document/>\n",
        _ => return None,
    };
    Some(text.into())
}

/// The place of a value: the schema and the field in it.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    schema: &'a str,
    field: &'a str,
    depth: usize,
}

impl Place<'_> {
    fn below(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

/// Makes values for schemas.
struct Sampler<'a> {
    schemas: &'a Value,
    fields: &'a Map<String, Value>,
}

impl Sampler<'_> {
    /// A value; `None` if there is no example, so that the field is left out.
    fn sample(&self, schema: &Value, place: Place) -> Option<Value> {
        if place.depth > DEPTH_MAX {
            return None;
        }
        if let Some(value) = self.fields.get(&format!("{}.{}", place.schema, place.field)) {
            return Some(value.clone());
        }
        if let Some(example) = schema.get("example").or_else(|| schema["examples"].get(0)).or(schema.get("const")) {
            return Some(example.clone());
        }
        if let Some(pointer) = schema["$ref"].as_str() {
            let name = pointer.rsplit('/').next().unwrap_or_default();
            return self.sample(&self.schemas[name], Place { schema: name, field: "", depth: place.depth + 1 });
        }
        if let Some(word) = schema["enum"].get(0) {
            return Some(word.clone());
        }
        for choice in ["oneOf", "anyOf"] {
            let mut options = schema[choice].as_array().into_iter().flatten().filter(|it| it["type"] != "null");
            if let Some(value) = options.find_map(|it| self.sample(it, place.below())) {
                return Some(value);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let parts = parts.iter().filter_map(|it| self.sample(it, place.below()));
            return Some(Value::Object(parts.filter_map(|it| it.as_object().cloned()).flatten().collect()));
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            kind => kind.as_str().into_iter().collect(),
        };
        match kinds.iter().find(|kind| **kind != "null").copied() {
            Some("object") => Some(self.object(schema, place)),
            Some("array") => Some(self.sample(&schema["items"], place.below()).into_iter().collect()),
            _ if schema["format"] == "date-time" => Some("2026-11-20T14:05:00.000Z".into()),
            Some(kind) => self.plain(schema, kind, kinds.contains(&"null"), place),
            None => None,
        }
    }

    fn object(&self, schema: &Value, place: Place) -> Value {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.filter_map(|(name, property)| {
            let value = self.sample(property, Place { field: name, ..place.below() })?;
            Some((name.clone(), value))
        });
        Value::Object(fields.collect())
    }

    /// A text, number or flag.
    fn plain(&self, schema: &Value, kind: &str, is_nullable: bool, place: Place) -> Option<Value> {
        let fits = |value: &&Value| match value {
            Value::Null => is_nullable,
            Value::String(_) => kind == "string",
            Value::Bool(_) => kind == "boolean",
            Value::Number(_) => matches!(kind, "integer" | "number"),
            _ => false,
        };
        if let Some(value) = self.fields.get(place.field).filter(fits) {
            return Some(value.clone());
        }
        match kind {
            "boolean" => Some(false.into()),
            _ if is_nullable => Some(Value::Null),
            "integer" | "number" => Some(schema["minimum"].as_i64().unwrap_or(1).max(1).into()),
            _ => None,
        }
    }
}
