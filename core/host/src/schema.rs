//! The schema of a configuration: which values it accepts, and which of them are secret.
//!
//! A value is secret if its schema has `"writeOnly": true`; everything below it is then secret as well.

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

use domain::delivery::adapter::schema_budget::{self, Cost};

use super::error::AdapterError;
use super::{limits, output, wire};

/// The schema of an adapter's configuration.
pub struct Schema {
    validator: Validator,
    document: Value,
    cost: Cost,
}

/// References and nested schemas are followed to this depth; a schema may refer to itself.
const DEPTH: usize = 32;

impl Schema {
    /// Compiles a schema. It is untrusted data: it can't fetch anything, because no retriever is compiled in.
    pub(super) fn parse(text: &str) -> Result<Self, AdapterError> {
        let invalid = |reason: String| {
            let reason = format!("its configuration schema is not a valid JSON Schema: {reason}");
            AdapterError::InvalidDescriptor { reason: output::clean(&reason, limits::SENTENCE_CHARS) }
        };
        let document: Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let cost = schema_budget::check(&document).map_err(|reason| AdapterError::InvalidDescriptor {
            reason: format!("its configuration schema is refused: {reason}"),
        })?;
        let options = jsonschema::draft202012::options().with_pattern_options(schema_budget::patterns());
        let validator = options.build(&document).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { validator, document, cost })
    }

    /// The schema as JSON.
    pub fn document(&self) -> &Value {
        &self.document
    }

    pub(super) fn issues(&self, config: &Value) -> Result<Vec<wire::ConfigIssue>, AdapterError> {
        self.cost.admits(config).map_err(|max| AdapterError::ConfigTooManyValues { max })?;
        if self.validator.is_valid(config) {
            return Ok(Vec::new());
        }
        Ok(self.validator.iter_errors(config).take(limits::CONFIG_ISSUES).map(issue).collect())
    }

    /// Calls `visit` with the JSON pointer and the value of each secret in `config`. A secret is a value in a secret
    /// position for which `is_secret` returns true: a text, or a secret that was transformed before.
    pub fn visit_secrets(
        &self,
        config: &mut Value,
        is_secret: impl Fn(&Value) -> bool,
        mut visit: impl FnMut(&str, &mut Value),
    ) {
        let mut pointers = Vec::new();
        self.find(&self.document, config, &is_secret, String::new(), DEPTH, &mut pointers);
        pointers.sort_unstable();
        pointers.dedup();
        for pointer in pointers {
            if let Some(value) = config.pointer_mut(&pointer) {
                visit(&pointer, value);
            }
        }
    }

    /// The configuration with each secret replaced by a harmless text.
    pub(super) fn hidden(&self, config: &Value) -> Value {
        let mut hidden = config.clone();
        let mut number = 0;
        self.visit_secrets(&mut hidden, Value::is_string, |_, secret| {
            number += 1;
            *secret = Value::String(format!("secret{number:032}"));
        });
        hidden
    }

    fn find(
        &self,
        schema: &Value,
        value: &Value,
        is_secret: &impl Fn(&Value) -> bool,
        pointer: String,
        depth: usize,
        found: &mut Vec<String>,
    ) {
        let (Some(schema), Some(depth)) = (schema.as_object(), depth.checked_sub(1)) else { return };
        if schema.get("writeOnly") == Some(&Value::Bool(true)) {
            return leaves(value, is_secret, pointer, found);
        }
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix('#'));
        let target = target.and_then(|pointer| self.document.pointer(pointer));
        let list = |name: &str| schema.get(name).and_then(Value::as_array).into_iter().flatten();
        let one = |name: &str| schema.get(name);
        let alternatives = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(list);
        let conditions = ["then", "else"].into_iter().filter_map(one);
        for same in target.into_iter().chain(alternatives).chain(conditions) {
            self.find(same, value, is_secret, pointer.clone(), depth, found);
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                    for below in member_schemas(schema, name) {
                        self.find(below, member, is_secret, pointer.clone(), depth, found);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let below = list("prefixItems").nth(index).or_else(|| one("items"));
                    if let Some(below) = below {
                        self.find(below, item, is_secret, format!("{pointer}/{index}"), depth, found);
                    }
                }
            }
            _ => {}
        }
    }
}

fn member_schemas<'a>(schema: &'a Map<String, Value>, name: &str) -> Vec<&'a Value> {
    let own = schema.get("properties").and_then(|it| it.get(name));
    let patterns = schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
    // The patterns are not matched, so too many values can count as secret; that is the safer mistake.
    let mut schemas: Vec<_> = own.into_iter().chain(patterns.map(|(_, schema)| schema)).collect();
    if schemas.is_empty() {
        schemas.extend(schema.get("additionalProperties"));
    }
    schemas
}

/// Adds the JSON pointer of every secret at and below a position that is secret as a whole.
fn leaves(value: &Value, is_secret: &impl Fn(&Value) -> bool, pointer: String, found: &mut Vec<String>) {
    if is_secret(value) {
        return found.push(pointer);
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(member, is_secret, format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, is_secret, format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// A missing field is reported with the path of that field, so that a form can show the issue there.
fn issue(error: jsonschema::ValidationError<'_>) -> wire::ConfigIssue {
    let mut path = error.instance_path().to_string();
    if let ValidationErrorKind::Required { property } = error.kind() {
        let name = property.as_str().unwrap_or_default();
        path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        return wire::ConfigIssue { path, message: "This is required.".into() };
    }
    let message = format!("{}.", error.masked_with("This"));
    wire::ConfigIssue { path, message: output::clean(&message, limits::SENTENCE_CHARS) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_anywhere_in_a_schema() {
        let schema = json!({
            "type": "object",
            "$defs": {"key": {"type": "string", "writeOnly": true}},
            "properties": {
                "token": {"$ref": "#/$defs/key"},
                "signing": {"type": "array", "items": {"type": "string", "writeOnly": true}},
                "headers": {"type": "array", "items": {"type": "object", "properties": {
                    "name": {"type": "string"}, "value": {"type": "string", "writeOnly": true}}}},
                "account": {"type": "object", "writeOnly": true},
                "plain": {"type": "string"},
                "self": {"$ref": "#"},
            },
            "anyOf": [{"properties": {"other": {"writeOnly": true}}}, {}],
        });
        let schema = Schema::parse(&schema.to_string()).expect("it is one");
        let mut config = json!({
            "token": "a", "signing": ["b", "c"], "headers": [{"name": "n", "value": "d"}],
            "account": {"user": {"na/me": "e"}, "age": 3}, "plain": "p", "self": {"token": "f"}, "other": "g",
        });
        let mut found = Vec::new();
        schema.visit_secrets(&mut config, Value::is_string, |pointer, value| {
            found.push((pointer.to_owned(), value.take()))
        });
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        let wanted =
            ["/account/user/na~1me", "/headers/0/value", "/other", "/self/token", "/signing/0", "/signing/1", "/token"];
        assert_eq!(pointers, wanted);
        assert_eq!(config["plain"], "p");
    }
}
