//! Schemas that many operations share: pages of lists, and the codes of errors.

use serde_json::{Map, Value, json};

use domain::money::withdrawal::Status;
use domain::reports::calendar::Unit;

use super::error_codes;
use super::errors::reference;
use crate::api::tracking::conversions::BATCH_MAX;
use crate::api::tracking::events::{ATTRIBUTE_MAX_CHARS, ATTRIBUTES_MAX};

/// Fields of responses that are one of these words.
const WORDS: &[(&str, &str, &[&str])] = &[
    ("CallerOut", "signed_in_by", &["bootstrap", "key", "session"]),
    ("PaymentResultLineOut", "result", &["paid", "failed", "returned", "unchanged", "error"]),
    ("SeriesOut", "interval", Unit::WORDS),
    ("WithdrawalApprovalOut", "result", &["approved", "error"]),
    ("WithdrawalOut", "status", &Status::WORDS),
    ("WithdrawalStepOut", "status", &Status::WORDS),
];

/// Completes the schemas of the document. Schemas of pages are renamed, so references to them change everywhere.
pub fn complete(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut().expect("there are schemas");
    let names: Vec<String> =
        schemas.keys().filter_map(|name| name.strip_prefix("PageOut_")).map(str::to_owned).collect();
    for name in names {
        let mut page = schemas.remove(&format!("PageOut_{name}")).expect("the name is from the map");
        // A generated client needs one type for an object, in lists and alone.
        page["properties"]["items"]["items"] = reference("schemas", &name);
        schemas.insert(page_name(&name), page);
    }
    schemas.insert("ErrorCode".to_owned(), codes());
    schemas["Problem"]["properties"]["code"] = open(schemas["Problem"]["properties"]["code"]["description"].clone());
    schemas["FieldIssue"]["properties"]["code"] =
        open(schemas["FieldIssue"]["properties"]["code"]["description"].clone());
    for (name, field, words) in WORDS {
        schemas[*name]["properties"][*field]["enum"] = json!(words);
    }
    bound_contents(schemas);
    // utoipa has no attribute for the bounds of a variant.
    for option in
        schemas["ConversionsIn"]["oneOf"].as_array_mut().into_iter().flatten().filter(|it| it["type"] == "array")
    {
        option["minItems"] = 1.into();
        option["maxItems"] = BATCH_MAX.into();
    }
    let status = &mut schemas["ConversionStatusWithReason"];
    *status = merged(status);
    schemas.values_mut().for_each(open_objects);
    rename_pages(document);
}

/// The bounds of the names and values in maps and of the items in lists, for which utoipa has no attributes.
fn bound_contents(schemas: &mut Map<String, Value>) {
    let name = json!({"type": "string", "minLength": 1, "maxLength": 100});
    let attributes = &mut schemas["EventIn"]["properties"]["attributes"];
    attributes["maxProperties"] = ATTRIBUTES_MAX.into();
    attributes["propertyNames"] = name.clone();
    attributes["additionalProperties"]["maxLength"] = ATTRIBUTE_MAX_CHARS.into();
    let statuses = &mut schemas["SourceSettings"]["properties"]["statuses"];
    statuses["maxProperties"] = 200.into();
    statuses["propertyNames"] = name.clone();
    let ignored = &mut schemas["SourceSettings"]["properties"]["ignore_if"];
    ignored["maxProperties"] = 20.into();
    ignored["propertyNames"] = name;
    ignored["additionalProperties"]["maxItems"] = 50.into();
    ignored["additionalProperties"]["items"]["maxLength"] = 200.into();
    for rule in ["PostbackIn", "RuleIn"] {
        let reason = &mut schemas[rule]["properties"]["rejection_reasons"]["items"];
        reason["minLength"] = 1.into();
        reason["maxLength"] = 100.into();
    }
    schemas.values_mut().for_each(bound_unsigned);
}

/// utoipa describes `u32` as `int32` that is not negative, which has a smaller maximum.
fn bound_unsigned(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_u32 = fields.get("format").is_some_and(|it| it == "int32")
                && fields.get("minimum").is_some_and(Value::is_u64)
                && !fields.contains_key("maximum");
            if is_u32 {
                fields.insert("maximum".to_owned(), u32::MAX.into());
                fields.insert("format".to_owned(), "int64".into());
            }
            fields.values_mut().for_each(bound_unsigned);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_unsigned),
        _ => {}
    }
}

/// Objects without known fields have any fields; without this a generator takes them for empty ones.
fn open_objects(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_object = fields.get("type").is_some_and(|it| {
                it == "object" || it.as_array().is_some_and(|kinds| kinds.contains(&"object".into()))
            });
            if is_object && !fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), true.into());
            }
            let parts = fields.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "example" | "examples"));
            parts.for_each(|(_, part)| open_objects(part));
        }
        Value::Array(items) => items.iter_mut().for_each(open_objects),
        _ => {}
    }
}

/// The alternatives of an object as one object, because generated clients cannot combine alternatives with `allOf`.
fn merged(schema: &Value) -> Value {
    let mut merged = json!({"type": "object", "description": schema["description"], "properties": {}});
    let mut required: Option<Vec<Value>> = None;
    for option in schema["oneOf"].as_array().into_iter().flatten() {
        for (name, property) in option["properties"].as_object().into_iter().flatten() {
            match merged["properties"][name]["enum"].as_array_mut() {
                Some(words) => words.extend(property["enum"].as_array().into_iter().flatten().cloned()),
                None => merged["properties"][name] = property.clone(),
            }
        }
        let here = option["required"].as_array().cloned().unwrap_or_default();
        required = Some(required.map_or(here.clone(), |all| all.into_iter().filter(|it| here.contains(it)).collect()));
    }
    merged["required"] = required.unwrap_or_default().into();
    merged
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
