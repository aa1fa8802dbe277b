//! The JSON Schema of a configuration, derived from its Rust type, and the type of a secret in it.

use std::fmt;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use crate::types::Json;

/// The schema of a configuration, for [`Descriptor::config_schema`](crate::Descriptor). The form is generated from it.
///
/// A field's doc comment becomes its help text. Its title is `#[schemars(title = "…")]`, or else its name in words. Limit
/// lengths with `#[schemars(length(max = 100))]`, and refuse unknown fields with `#[serde(deny_unknown_fields)]`.
///
/// ```
/// use postrider_sdk::prelude::*;
///
/// #[derive(serde::Deserialize, JsonSchema)]
/// #[schemars(crate = "postrider_sdk::schemars")]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     /// The number behind "account" in your tracking link.
///     account_id: String,
///     /// Created in the network's settings, under "API".
///     token: Secret,
/// }
///
/// assert!(schema::<Config>().contains(r#""title":"Account id""#));
/// ```
pub fn schema<C: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<C>();
    RecursiveTransform(title_fields).transform(&mut schema);
    schema.to_value().to_string()
}

/// Sets the title of each field without one to its name in words: `account_id` is "Account id".
fn title_fields(schema: &mut Schema) {
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, field) in fields.into_iter().flatten() {
        if let Some(field) = field.as_object_mut() {
            field.entry("title").or_insert_with(|| title(name).into());
        }
    }
}

fn title(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A secret in a configuration. The host stores it sealed and masks it in every answer. An adapter sees only a
/// placeholder: the host inserts the secret into the finished request, and only for the adapter's own hosts.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The placeholder for the secret. Put it unchanged into a header, a URL or a body.
    pub fn placeholder(&self) -> &str {
        &self.0
    }

    /// Whether the user entered an empty secret.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The host treats a property with `"writeOnly": true` and `"format": "password"` as a secret.
impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "password", "writeOnly": true})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The connection to Acme.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Config {
        /// The number behind "account".
        #[schemars(length(min = 1, max = 20))]
        account_id: String,
        /// Created in Acme's settings.
        #[schemars(title = "API token")]
        token: Secret,
        /// Additional values.
        #[serde(default)]
        pairs: Vec<Pair>,
    }

    /// One pair.
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Pair {
        /// The parameter's name at Acme.
        name: String,
    }

    #[test]
    fn a_type_has_the_schema_of_its_form() {
        let schema: Value = serde_json::from_str(&schema::<Config>()).expect("it is JSON");
        assert_eq!(
            schema,
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "Config",
                "description": "The connection to Acme.",
                "type": "object",
                "required": ["account_id", "token"],
                "additionalProperties": false,
                "properties": {
                    "account_id": {
                        "title": "Account id",
                        "description": "The number behind \"account\".",
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 20,
                    },
                    "token": {
                        "title": "API token",
                        "description": "Created in Acme's settings.",
                        "type": "string",
                        "format": "password",
                        "writeOnly": true,
                    },
                    "pairs": {
                        "title": "Pairs",
                        "description": "Additional values.",
                        "type": "array",
                        "items": {
                            "type": "object",
                            "description": "One pair.",
                            "required": ["name"],
                            "properties": {
                                "name": {"title": "Name", "description": "The parameter's name at Acme.", "type": "string"},
                            },
                        },
                    },
                },
            })
        );
    }

    #[test]
    fn a_secret_is_not_shown_in_debug_output() {
        let secret: Secret = serde_json::from_str("\"s3cret\"").expect("it is a text");
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(secret.placeholder(), "s3cret");
    }
}
