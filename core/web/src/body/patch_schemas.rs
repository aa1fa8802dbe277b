//! The schemas of merge patches. A PATCH operation names the schema of a new object as its body; here it gets the schema
//! of a patch: the same fields, none of them required, and null clears each that can be cleared.

use serde_json::{Map, Value, json};

const SCHEMAS: &str = "#/components/schemas/";

/// What the description of a field says that always has a value.
const NOT_CLEARABLE: &str = "It cannot be null: send a value, or leave the field out to keep the present one.";

/// Objects that a new postback or source may lack, with or without a template, but that a patch cannot clear.
const ALWAYS_SET: [&str; 2] = ["config", "fields"];

/// The content type of a merge patch.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Gives each PATCH operation of a description the schema of a patch as its body, and so each other operation that takes
/// a merge patch.
pub(crate) fn complete(document: &mut Value) {
    let mut patches =
        Patches { schemas: document["components"]["schemas"].clone(), made: Map::new(), replaced: Vec::new() };
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for (verb, operation) in paths.filter_map(Value::as_object_mut).flatten() {
        let Some(content) = operation.pointer_mut("/requestBody/content") else { continue };
        if verb != "patch" && content.get(MERGE_PATCH).is_none() {
            continue;
        }
        patches.patch(&mut content["application/json"]["schema"]);
        content[MERGE_PATCH] = content["application/json"].clone();
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(patches.made);
    }
    drop_unused(document, patches.replaced);
}

/// Removes the schemas that are only the body of a PATCH operation: their patches have taken their places.
fn drop_unused(document: &mut Value, names: Vec<String>) {
    let text = document.to_string();
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    for name in names.iter().filter(|name| !text.contains(&format!("\"{SCHEMAS}{name}\""))) {
        schemas.remove(name);
    }
}

struct Patches {
    schemas: Value,
    made: Map<String, Value>,
    /// The schemas of which a patch was made.
    replaced: Vec<String>,
}

impl Patches {
    /// Turns a schema into that of its patch: no field is required, and lists, objects and entries of maps can be null. A
    /// list is replaced as a whole, so its items stay.
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
        if let Some(entry) = schema.get_mut("additionalProperties").filter(|it| it.is_object()) {
            self.patch(entry);
            nullable(entry);
        }
        let required = schema.as_object_mut().and_then(|it| it.remove("required")).unwrap_or_default();
        let required = required.as_array().map_or(&[][..], Vec::as_slice);
        let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
        for (name, field) in fields {
            let is_group = self.is_group(field);
            self.patch(field);
            if ALWAYS_SET.contains(&name.as_str()) {
                field["type"] = "object".into();
            } else if is_group && !required.iter().any(|it| it == name) {
                nullable(field);
            }
            if !accepts_null(field) {
                let text = field["description"].as_str().unwrap_or_default();
                field["description"] = format!("{text} {NOT_CLEARABLE}").trim().into();
            }
            if let Some(field) = field.as_object_mut() {
                field.remove("default");
            }
        }
    }

    /// Whether the values are lists or objects, which can become empty. Other fields say themselves whether they can be
    /// null.
    fn is_group(&self, schema: &Value) -> bool {
        let named = schema["$ref"].as_str().and_then(|it| it.strip_prefix(SCHEMAS));
        let schema = named.map_or(schema, |name| &self.schemas[name]);
        matches!(schema["type"].as_str(), Some("array" | "object"))
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
            self.replaced.push(name.to_owned());
        }
        patch_name
    }
}

fn accepts_null(schema: &Value) -> bool {
    let is_null = |kind: &Value| kind == "null";
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(is_null),
        Value::String(_) => false,
        _ if schema.get("$ref").is_some() => false,
        _ => schema["oneOf"].as_array().is_none_or(|it| it.iter().any(|option| is_null(&option["type"]))),
    }
}

fn nullable(schema: &mut Value) {
    match schema["type"].as_str().map(str::to_owned) {
        Some(kind) => schema["type"] = json!([kind, "null"]),
        None if schema.get("$ref").is_some() => *schema = json!({"oneOf": [{"type": "null"}, schema.take()]}),
        None => {}
    }
}
