//! The schemas of merge patches. A PATCH operation names the schema of a new object as its body; here it gets the schema
//! of a patch: the same fields, none of them required, and null clears each that can be cleared.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

const SCHEMAS: &str = "#/components/schemas/";

/// Replaces the schema of each PATCH operation's body.
///
/// # Panics
/// The result is not a description. That is a programming error, found when the server starts.
pub(crate) fn describe(description: OpenApi) -> OpenApi {
    let mut document = serde_json::to_value(description).expect("a description is JSON");
    let mut patches = Patches { schemas: document["components"]["schemas"].clone(), made: Map::new() };
    for operations in document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut()) {
        let Some(content) = operations.pointer_mut("/patch/requestBody/content/application~1json") else { continue };
        patches.patch(&mut content["schema"]);
        let content = content.clone();
        operations["patch"]["requestBody"]["content"]["application/merge-patch+json"] = content;
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(patches.made);
    }
    serde_json::from_value(document).expect("it is still a description")
}

struct Patches {
    schemas: Value,
    made: Map<String, Value>,
}

impl Patches {
    /// Turns a schema into that of its patch. A list is replaced as a whole, so its items stay.
    fn patch(&mut self, schema: &mut Value) {
        if let Some(name) = schema["$ref"].as_str().and_then(|it| it.strip_prefix(SCHEMAS)).map(str::to_owned) {
            if self.schemas[&name].get("properties").is_some() {
                schema["$ref"] = format!("{SCHEMAS}{}", self.named(&name)).into();
            }
            return;
        }
        for alternatives in ["oneOf", "anyOf", "allOf"] {
            for schema in schema.get_mut(alternatives).and_then(Value::as_array_mut).into_iter().flatten() {
                self.patch(schema);
            }
        }
        let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
        for field in fields.values_mut() {
            self.patch(field);
            if let Some(field) = field.as_object_mut() {
                field.remove("default");
                if is_clearable(field) {
                    nullable(field);
                }
            }
        }
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("required");
        }
    }

    /// The name of the patch of a named schema.
    fn named(&mut self, name: &str) -> String {
        let patch_name = format!("{}Patch", name.strip_suffix("In").unwrap_or(name));
        if !self.made.contains_key(&patch_name) {
            // It stands here already while it is made, because a schema may contain itself.
            self.made.insert(patch_name.clone(), Value::Null);
            let mut schema = self.schemas[name].clone();
            self.patch(&mut schema);
            let text = schema["description"].as_str().unwrap_or_default();
            schema["description"] =
                format!("{text}\n\nA merge patch (RFC 7396): absent fields are unchanged, null clears a field.")
                    .trim()
                    .into();
            self.made.insert(patch_name.clone(), schema);
        }
        patch_name
    }
}

/// Lists and objects can become empty. Other fields say themselves whether they can be null.
fn is_clearable(field: &Map<String, Value>) -> bool {
    matches!(field.get("type").and_then(Value::as_str), Some("array" | "object"))
}

fn nullable(field: &mut Map<String, Value>) {
    let kind = field["type"].clone();
    field.insert("type".to_owned(), json!([kind, "null"]));
}
