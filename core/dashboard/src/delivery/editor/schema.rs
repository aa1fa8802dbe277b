//! The form of an adapter's configuration, drawn from its JSON Schema, and the configuration that a person entered.
//!
//! A field has the JSON pointer of its value as its name, without the first slash: `config/base_url`. So the errors of
//! the adapter find their fields. Settings whose description begins with "For a source" are not part of a postback and
//! are not shown.

use serde::Serialize;
use serde_json::{Map, Value};

use super::pairs::{Errors, Pairs};
use crate::parts::field::Field;
use crate::shell::texts::{Text, plain, text};

/// Empty rows at the end of a list.
pub const SPARE: usize = 1;
/// The format of a parameter's macro; a list of such parameters is drawn as macros with ticks.
const MACRO_FORMAT: &str = "postrider-macro";

/// A part of the form.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Block {
    field: Option<Field>,
    group: Option<Group>,
    rows: Option<Rows>,
}

impl Block {
    /// Whether a field of the part shows an error.
    pub fn has_error(&self) -> bool {
        let in_group = self.group.iter().flat_map(|it| &it.fields);
        let in_rows = self.rows.iter().flat_map(|it| it.rows.iter().flatten());
        let is_listed = self.rows.as_ref().is_some_and(|it| it.error.is_some());
        is_listed || self.field.iter().chain(in_group).chain(in_rows).any(Field::has_error)
    }
}

/// Fields of one object.
#[derive(Clone, Debug, Serialize)]
struct Group {
    title: Text,
    help: Option<Text>,
    fields: Vec<Field>,
}

/// A list of values, or of names with values.
#[derive(Clone, Debug, Serialize)]
struct Rows {
    title: Text,
    help: Option<Text>,
    error: Option<Text>,
    rows: Vec<Vec<Field>>,
}

/// What a schema describes, as far as a form can show it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Choice,
    Secret,
    Long,
    Line,
    Flag,
    Number,
    Group,
    /// Names of a person's choice with a value.
    Map,
    /// A list of objects.
    Objects,
    /// A list of texts.
    Texts,
}

fn shape(node: &Value) -> Option<Shape> {
    let is =
        |word: &str| node["type"] == word || node["type"].as_array().is_some_and(|it| it.iter().any(|it| it == word));
    let is_long = || node["maxLength"].as_u64().is_some_and(|most| most > 2_000) || node["format"].is_string();
    Some(match () {
        () if node["enum"].is_array() => Shape::Choice,
        () if is("string") && node["writeOnly"] == true => Shape::Secret,
        () if is("string") && is_long() => Shape::Long,
        () if is("string") => Shape::Line,
        () if is("boolean") => Shape::Flag,
        () if is("integer") || is("number") => Shape::Number,
        () if is("object") && node["properties"].is_object() => Shape::Group,
        () if is("object") && node["additionalProperties"].is_object() => Shape::Map,
        () if is("array") && node["items"]["properties"].is_object() => Shape::Objects,
        () if is("array") && node["items"]["type"] == "string" => Shape::Texts,
        () => return None,
    })
}

/// The schema of a configuration.
pub struct ConfigSchema<'a> {
    document: &'a Value,
    /// The text of the schema, which has the order of its author.
    text: &'a str,
}

/// The configuration that a form shows.
pub struct Shown<'a> {
    pub config: &'a Value,
    /// The saved configuration, with masked secrets.
    pub saved: Option<&'a Value>,
    /// Empty rows at the end of a list.
    pub spare: usize,
}

impl<'a> ConfigSchema<'a> {
    pub fn new(document: &'a Value, text: &'a str) -> Self {
        Self { document, text }
    }

    /// The properties in the order of their author.
    fn properties(&self, node: &'a Value) -> Vec<(&'a String, &'a Value)> {
        let mut all: Vec<_> = node["properties"].as_object().into_iter().flatten().collect();
        all.sort_by_key(|(key, _)| self.text.find(&format!("\"{key}\": {{")).unwrap_or(usize::MAX));
        all
    }

    /// The list that is drawn as macros with ticks.
    pub fn macro_list(&self) -> Option<&'a str> {
        let of_macros = |node: &Value| node["items"]["properties"]["macro"]["format"] == MACRO_FORMAT;
        self.document["properties"].as_object()?.iter().find(|(_, node)| of_macros(node)).map(|(key, _)| key.as_str())
    }

    /// The settings of a postback.
    fn settings(&self) -> Vec<(&'a String, &'a Value, Shape)> {
        let is_for_source =
            |node: &Value| node["description"].as_str().is_some_and(|it| it.starts_with("For a source"));
        let is_drawn = |key: &str| self.macro_list() != Some(key);
        let all = self.properties(self.document).into_iter();
        let all = all.filter(|(key, node)| is_drawn(key) && !is_for_source(node));
        all.filter_map(|(key, node)| Some((key, node, shape(node)?))).collect()
    }

    fn is_required(&self, key: &str) -> bool {
        let named = |list: &Value| list.as_array().is_some_and(|it| it.iter().any(|it| it == key));
        named(&self.document["required"]) || named(&self.document["then"]["required"])
    }

    /// The form: what most people need, and the rest.
    pub fn draw(&self, shown: &Shown<'_>, errors: &mut Errors) -> (Vec<Block>, Vec<Block>) {
        let settings = self.settings();
        let is_short = settings.len() < 5;
        let (mut main, mut more) = (Vec::new(), Vec::new());
        for (key, node, shape) in settings {
            let block = self.block(key, node, shape, shown, errors);
            let is_plain = !matches!(shape, Shape::Group | Shape::Map | Shape::Objects | Shape::Texts);
            let is_list_of_macros = self.macro_list().is_some() && key == "custom";
            let is_main =
                self.is_required(key) || is_list_of_macros || (is_plain && (is_short || node.get("default").is_none()));
            if is_main { main.push(block) } else { more.push(block) }
        }
        (main, more)
    }

    fn block(&self, key: &str, node: &'a Value, shape: Shape, shown: &Shown<'_>, errors: &mut Errors) -> Block {
        let name = format!("config/{key}");
        let value = shown.config.get(key);
        let saved = shown.saved.and_then(|it| it.get(key));
        let (title, help) = (title_of(key, node), help_of(node));
        match shape {
            Shape::Group => {
                let fields = self.properties(node).into_iter().filter_map(|(inner, node)| {
                    let place = format!("{name}/{inner}");
                    let value = value.and_then(|it| it.get(inner));
                    field(place, inner, node, value, saved.and_then(|it| it.get(inner)), errors)
                });
                Block { group: Some(Group { title, help, fields: fields.collect() }), ..Block::default() }
            }
            Shape::Map | Shape::Objects | Shape::Texts => {
                let rows = self.rows(&name, node, shape, value, saved, shown.spare, errors);
                let error = errors.take(&name);
                Block { rows: Some(Rows { title, help, error, rows }), ..Block::default() }
            }
            _ => Block { field: field(name, key, node, value, saved, errors), ..Block::default() },
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the place, the schema and the values of one list")]
    fn rows(
        &self,
        name: &str,
        node: &'a Value,
        shape: Shape,
        value: Option<&Value>,
        saved: Option<&Value>,
        spare: usize,
        errors: &mut Errors,
    ) -> Vec<Vec<Field>> {
        if shape == Shape::Map {
            let entries = value.and_then(Value::as_object).into_iter().flatten();
            let entries = entries.map(|(key, value)| (key.clone(), Some(value.clone())));
            let spare = std::iter::repeat_n((String::new(), None), spare);
            let row = |(index, (key, value)): (usize, (String, Option<Value>))| {
                let named = Field::named("text", format!("{name}/{index}/name"), text("editor.row_name")).value(&key);
                let place = format!("{name}/{index}/value");
                let saved = saved.and_then(|it| it.get(&key)).filter(|_| !key.is_empty());
                let field = field(place, "value", &node["additionalProperties"], value.as_ref(), saved, errors);
                let error = errors.take(&format!("{name}/{key}")).filter(|_| !key.is_empty());
                [Some(named), field.map(|it| if error.is_some() { it.error(error) } else { it })]
                    .into_iter()
                    .flatten()
                    .collect()
            };
            return entries.chain(spare).enumerate().map(row).collect();
        }
        let items: Vec<Option<&Value>> = value.and_then(Value::as_array).into_iter().flatten().map(Some).collect();
        let count = items.len();
        let most = node["maxItems"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let all = items.into_iter().chain(std::iter::repeat_n(None, spare.min(most.saturating_sub(count))));
        all.enumerate()
            .map(|(index, item)| {
                let place = format!("{name}/{index}");
                if shape == Shape::Texts {
                    let saved = saved.and_then(|it| it.get(index));
                    return field(place, "value", &node["items"], item, saved, errors).into_iter().collect();
                }
                let saved = item.and_then(|item| same_named(saved?, item));
                let of_row = self.properties(&node["items"]).into_iter().filter_map(|(inner, node)| {
                    let value = item.and_then(|it| it.get(inner));
                    let saved = saved.and_then(|it| it.get(inner));
                    let drawn = field(format!("{place}/{inner}"), inner, node, value, saved, errors);
                    // The first row explains the columns.
                    drawn.map(|it| if index > 0 { it.helped(None) } else { it })
                });
                of_row.collect()
            })
            .collect()
    }

    /// The configuration that a person entered. What the form does not show stays as it was saved.
    pub fn read(&self, pairs: &Pairs, saved: Option<&Value>) -> Value {
        let mut config = saved.and_then(Value::as_object).cloned().unwrap_or_default();
        for (key, node, shape) in self.settings() {
            let name = format!("config/{key}");
            let before = saved.and_then(|it| it.get(key));
            let value = match shape {
                Shape::Group => {
                    let inner = self.properties(node).into_iter();
                    let read = |(inner, node): (&String, &Value)| {
                        let before = before.and_then(|it| it.get(inner));
                        Some((inner.clone(), read(pairs, &format!("{name}/{inner}"), node, before)?))
                    };
                    Some(inner.filter_map(read).collect::<Map<_, _>>()).filter(|it| !it.is_empty()).map(Value::Object)
                }
                Shape::Map => {
                    Some(read_map(pairs, &name, &node["additionalProperties"], before)).filter(|it| !is_empty(it))
                }
                Shape::Objects => Some(self.read_objects(pairs, &name, node, before)).filter(|it| !is_empty(it)),
                Shape::Texts => {
                    let rows = 0..pairs.rows(&name);
                    let one = |index: usize| {
                        let before = before.and_then(|it| it.get(index));
                        read(pairs, &format!("{name}/{index}"), &node["items"], before)
                    };
                    Some(Value::Array(rows.filter_map(one).collect())).filter(|it| !is_empty(it))
                }
                _ => read(pairs, &name, node, before),
            };
            match value {
                Some(value) => config.insert(key.clone(), value),
                None => config.remove(key),
            };
        }
        Value::Object(config)
    }

    fn read_objects(&self, pairs: &Pairs, name: &str, node: &Value, before: Option<&Value>) -> Value {
        let item = &node["items"];
        let required = |key: &str| item["required"].as_array().is_some_and(|it| it.iter().any(|it| it == key));
        let properties = item["properties"].as_object();
        let rows = (0..pairs.rows(name)).filter_map(|index| {
            let typed = pairs.find(&format!("{name}/{index}/name")).map(|name| serde_json::json!({ "name": name }));
            let before = typed.and_then(|typed| same_named(before?, &typed));
            let mut row = Map::new();
            for (key, node) in properties.into_iter().flatten() {
                let before = before.and_then(|it| it.get(key));
                row.extend(read(pairs, &format!("{name}/{index}/{key}"), node, before).map(|it| (key.clone(), it)));
            }
            let is_blank = row.values().all(|it| it == &Value::Bool(false));
            for key in properties.into_iter().flatten().map(|(key, _)| key).filter(|key| required(key)) {
                row.entry(key.clone()).or_insert_with(|| Value::from(""));
            }
            (!is_blank).then_some(Value::Object(row))
        });
        Value::Array(rows.collect())
    }
}

fn read_map(pairs: &Pairs, name: &str, node: &Value, before: Option<&Value>) -> Value {
    let rows = (0..pairs.rows(name)).filter_map(|index| {
        let key = pairs.get(&format!("{name}/{index}/name"));
        let saved = before.and_then(|it| it.get(key));
        let value = read(pairs, &format!("{name}/{index}/value"), node, saved);
        match (key, value) {
            ("", None) => None,
            (key, value) => Some((key.to_owned(), value.unwrap_or_else(|| Value::from("")))),
        }
    });
    Value::Object(rows.collect())
}

/// The value of one field; `None` if it is empty. A secret that is left empty keeps its saved value.
fn read(pairs: &Pairs, name: &str, node: &Value, saved: Option<&Value>) -> Option<Value> {
    let shape = shape(node)?;
    let typed = pairs.get(name).replace("\r\n", "\n");
    match shape {
        Shape::Flag => Some(Value::Bool(typed == "yes")),
        _ if typed.is_empty() => saved.filter(|_| shape == Shape::Secret).cloned(),
        Shape::Number => Some(typed.parse::<serde_json::Number>().map_or_else(|_| Value::from(typed), Value::Number)),
        _ => Some(Value::from(typed)),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

/// The item of a list that has the same name.
fn same_named<'v>(items: &'v Value, item: &Value) -> Option<&'v Value> {
    let name = item.get("name").filter(|it| *it != "")?;
    items.as_array()?.iter().find(|it| it.get("name") == Some(name))
}

fn title_of(key: &str, node: &Value) -> Text {
    plain(node["title"].as_str().unwrap_or(key))
}

fn help_of(node: &Value) -> Option<Text> {
    node["description"].as_str().map(|it| plain(it.trim_start_matches("For a postback: ")))
}

/// One field; `None` for a schema that a form cannot show.
fn field(
    name: String,
    key: &str,
    node: &Value,
    value: Option<&Value>,
    saved: Option<&Value>,
    errors: &mut Errors,
) -> Option<Field> {
    let value = value.or_else(|| node.get("default"));
    let written = match value {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    let error = errors.take(&name);
    let title = title_of(key, node);
    let most = node["maxLength"].as_u64().and_then(|most| u32::try_from(most).ok());
    let limited = |field: Field| if let Some(most) = most { field.length(None, most) } else { field };
    let drawn = match shape(node)? {
        Shape::Flag => return Some(Field::named("checkbox", name, title).ticked(value == Some(&Value::Bool(true)))),
        Shape::Choice => {
            let words = node["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
            Field::named("select", name, title).choice(&written, words.map(|it| (it.to_owned(), plain(it))))
        }
        Shape::Secret => {
            let is_kept = saved.is_some() && saved == value;
            let shown = if is_kept { "" } else { written.as_str() };
            let help = if saved.is_some() { text("editor.secret_kept") } else { text("editor.secret_help") };
            let field = Field::named("password", name, title).autocomplete("new-password").value(shown);
            return Some(limited(field).helped(Some(help)).error(error));
        }
        Shape::Long => limited(Field::named("textarea", name, title).value(written)),
        Shape::Line | Shape::Number => limited(Field::named("text", name, title).value(written)),
        Shape::Group | Shape::Map | Shape::Objects | Shape::Texts => return None,
    };
    Some(drawn.helped(help_of(node)).error(error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = r#"{"required": ["url"], "properties": {
        "url": {"type": "string"}, "secrets": {"type": "object", "additionalProperties": {"type": "string", "writeOnly": true}},
        "custom": {"type": "array", "items": {"required": ["name", "value"], "properties": {"name": {"type": "string"}, "value": {"type": "string"}}}},
        "limit": {"type": "integer"}, "exact": {"type": "boolean"},
        "success": {"type": ["object", "null"], "properties": {"text": {"type": "string"}}},
        "names": {"type": "object", "description": "For a source: names.", "properties": {"id": {"type": "string"}}}}}"#;

    fn read(fields: &[(&str, &str)], saved: Option<&Value>) -> Value {
        let document = serde_json::from_str(SCHEMA).expect("a schema");
        let pairs = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ConfigSchema::new(&document, SCHEMA).read(&Pairs(pairs), saved)
    }

    #[test]
    fn a_configuration_is_read_from_the_fields_of_its_schema() {
        let typed = [
            ("config/url", " https://t.example "),
            ("config/custom/0/name", "a"),
            ("config/custom/0/value", ""),
            ("config/custom/1/name", ""),
            ("config/custom/1/value", ""),
            ("config/secrets/0/name", "key"),
            ("config/secrets/0/value", "s3cret"),
            ("config/limit", "7"),
            ("config/exact", "yes"),
            ("config/success/text", ""),
        ];
        let wanted = json!({
            "url": "https://t.example", "custom": [{"name": "a", "value": ""}], "secrets": {"key": "s3cret"}, "limit": 7,
            "exact": true
        });
        assert_eq!(read(&typed, None), wanted);
    }

    #[test]
    fn an_empty_secret_keeps_its_saved_value_and_hidden_settings_stay() {
        let saved =
            json!({"url": "https://t.example", "secrets": {"key": "••••", "old": "••••"}, "names": {"id": "x"}});
        let typed = [
            ("config/url", "https://u.example"),
            ("config/secrets/0/name", "key"),
            ("config/secrets/0/value", ""),
            ("config/secrets/1/name", ""),
            ("config/secrets/1/value", ""),
        ];
        let wanted =
            json!({"url": "https://u.example", "secrets": {"key": "••••"}, "names": {"id": "x"}, "exact": false});
        assert_eq!(read(&typed, Some(&saved)), wanted);
    }
}
