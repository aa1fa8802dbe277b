//! Schemas that many operations share: pages of lists, and the codes of errors.

use serde_json::{Value, json};

use super::error_codes;
use super::errors::reference;
use crate::api::tracking::conversions::BATCH_MAX;

/// Completes the schemas of the document. Schemas of pages are renamed, so references to them change everywhere.
pub fn complete(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut().expect("there are schemas");
    let names: Vec<String> = schemas.keys().filter_map(|name| name.strip_prefix("PageOut_")).map(str::to_owned).collect();
    for name in names {
        let mut page = schemas.remove(&format!("PageOut_{name}")).expect("the name is from the map");
        // A generated client needs one type for an object, in lists and alone.
        page["properties"]["items"]["items"] = reference("schemas", &name);
        schemas.insert(page_name(&name), page);
    }
    schemas.insert("ErrorCode".to_owned(), codes());
    schemas["Problem"]["properties"]["code"] = open(schemas["Problem"]["properties"]["code"]["description"].clone());
    schemas["FieldIssue"]["properties"]["code"] = open(schemas["FieldIssue"]["properties"]["code"]["description"].clone());
    for (name, field) in [("WithdrawalOut", "status"), ("WithdrawalStepOut", "status")] {
        schemas[name]["properties"][field]["enum"] = json!(domain::money::withdrawal::Status::WORDS);
    }
    // utoipa has no attribute for the bounds of a variant.
    for option in schemas["ConversionsIn"]["oneOf"].as_array_mut().into_iter().flatten().filter(|it| it["type"] == "array") {
        option["minItems"] = 1.into();
        option["maxItems"] = BATCH_MAX.into();
    }
    rename_pages(document);
}

fn page_name(item: &str) -> String {
    format!("{}Page", item.trim_end_matches("Out"))
}

fn rename_pages(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(pointer) if name == "$ref" => {
                        if let Some(item) = pointer.strip_prefix("#/components/schemas/PageOut_") {
                            *pointer = format!("#/components/schemas/{}", page_name(item));
                        }
                    }
                    field => rename_pages(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rename_pages),
        _ => {}
    }
}

/// The known codes, each with its meaning.
fn codes() -> Value {
    let codes: Vec<_> = error_codes::all().map(|it| it.code).collect();
    let meanings: serde_json::Map<_, _> =
        error_codes::all().map(|it| (it.code.to_owned(), Value::from(it.meaning))).collect();
    json!({
        "type": "string",
        "description": "The codes of errors. Codes can be added in later versions.",
        "enum": codes,
        "x-enumDescriptions": meanings,
    })
}

/// A known code or a later one, so that a generated client accepts codes that are added.
fn open(description: Value) -> Value {
    json!({
        "description": description,
        "example": "invalid_field",
        "anyOf": [reference("schemas", "ErrorCode"), {"type": "string", "pattern": "^[a-z0-9_]+$"}],
    })
}
