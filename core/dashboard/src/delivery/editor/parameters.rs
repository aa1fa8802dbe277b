//! The parameters of a postback URL: the macros of the adapter, each with a tick and the name that the tracker expects.

use std::collections::BTreeSet;

use host::Adapter;
use serde::Serialize;
use serde_json::{Value, json};

use super::pairs::{Errors, Pairs};
use crate::parts::field::Field;
use crate::shell::texts::{Text, plain, text};

/// The number of colours that tie a parameter of the URL to its row.
const MARKS: usize = 6;

/// A parameter as a person enters it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    pub is_sent: bool,
    pub name: String,
    /// Without braces; empty for a token that is not known.
    pub r#macro: String,
    pub is_required: bool,
    /// The token of a pasted URL that is not known, and the macro that was probably meant.
    pub token: String,
    pub suggestion: String,
}

/// The list as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Parameters {
    rows: Vec<Row>,
    /// Macros that are not sent.
    others: Vec<Row>,
    sent: usize,
    known: usize,
    error: Option<Text>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    /// The beginning of the names of its fields.
    place: String,
    /// The colour of its value in the URL.
    mark: String,
    is_sent: bool,
    name: String,
    r#macro: String,
    is_required: bool,
    /// What the macro stands for.
    meaning: Text,
    example: String,
    error: Option<Text>,
    token: String,
    suggestion: String,
    /// The macros, for a token that is not known.
    choice: Option<Field>,
}

/// The parameters of a configuration, in order.
pub fn of_config(list: &Value) -> Vec<Parameter> {
    let word = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let one = |it: &Value| Parameter {
        is_sent: true,
        name: word(it, "name"),
        r#macro: word(it, "macro"),
        is_required: it["required"] == true,
        ..Parameter::default()
    };
    list.as_array().into_iter().flatten().map(one).collect()
}

/// The parameters that a person entered, those without a tick included.
pub fn of_pairs(pairs: &Pairs) -> Vec<Parameter> {
    let one = |index: usize| {
        let get = |key: &str| pairs.get(&format!("parameter/{index}/{key}")).to_owned();
        Parameter {
            is_sent: get("on") == "yes",
            name: get("name"),
            r#macro: get("macro"),
            is_required: get("required") == "yes",
            token: get("token"),
            suggestion: get("suggestion"),
        }
    };
    (0..pairs.rows("parameter")).map(one).filter(|it| it.is_sent || !it.token.is_empty()).collect()
}

/// The list for the configuration.
pub fn to_config(parameters: &[Parameter]) -> Value {
    let one = |it: &Parameter| {
        let mut parameter = json!({"name": it.name, "macro": it.r#macro});
        if it.is_required {
            parameter["required"] = true.into();
        }
        parameter
    };
    parameters.iter().filter(|it| it.is_sent).map(one).collect()
}

/// The colour of a parameter, by its place among those that are sent.
pub fn mark(place: usize) -> String {
    (place % MARKS + 1).to_string()
}

impl Parameters {
    pub fn new(adapter: &Adapter, key: &str, parameters: &[Parameter], errors: &mut Errors) -> Self {
        let known: Vec<_> =
            adapter.descriptor().macros.iter().map(|it| (it.token.trim_matches(['{', '}']), it)).collect();
        let about = |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, it)| *it);
        let mut sent = 0;
        let mut rows = Vec::new();
        for (index, it) in parameters.iter().enumerate() {
            let path = format!("config/{key}/{sent}");
            let error = if it.is_sent { errors.take_within(&path) } else { None };
            let secret = it.r#macro.strip_prefix("secret.");
            let meaning = match (about(&it.r#macro), secret) {
                (Some(it), _) => plain(&it.description),
                (None, Some(name)) => text("editor.secret_named").with("name", name),
                (None, None) => plain(&it.r#macro),
            };
            let choice = (!it.token.is_empty()).then(|| {
                let none = (String::new(), text("editor.choose_macro"));
                let macros =
                    known.iter().map(|(name, it)| ((*name).to_owned(), plain(format!("{name}: {}", it.description))));
                let name = format!("parameter/{index}/macro");
                Field::named("select", name, text("editor.value"))
                    .choice(&it.r#macro, std::iter::once(none).chain(macros))
            });
            let is_unknown = it.r#macro.is_empty();
            rows.push(Row {
                place: format!("parameter/{index}"),
                mark: if is_unknown {
                    "x".into()
                } else if secret.is_some() {
                    "c".into()
                } else {
                    mark(sent)
                },
                is_sent: it.is_sent,
                name: it.name.clone(),
                r#macro: it.r#macro.clone(),
                is_required: it.is_required,
                meaning,
                example: about(&it.r#macro).map(|it| it.example.clone()).unwrap_or_default(),
                error: error.or_else(|| (is_unknown && it.is_sent).then(|| text("editor.choose_or_untick"))),
                token: it.token.clone(),
                suggestion: it.suggestion.clone(),
                choice,
            });
            sent += usize::from(it.is_sent);
        }
        let used: BTreeSet<_> = parameters.iter().map(|it| it.r#macro.as_str()).collect();
        let others = known.iter().filter(|(name, _)| !used.contains(name)).enumerate().map(|(at, (name, it))| Row {
            place: format!("parameter/{}", parameters.len() + at),
            mark: "c".into(),
            is_sent: false,
            name: (*name).to_owned(),
            r#macro: (*name).to_owned(),
            is_required: false,
            meaning: plain(&it.description),
            example: it.example.clone(),
            error: None,
            token: String::new(),
            suggestion: String::new(),
            choice: None,
        });
        let others = others.collect();
        Self { rows, others, sent, known: known.len(), error: errors.take(&format!("config/{key}")) }
    }

    /// A list for samples of the page.
    #[cfg(test)]
    pub fn sample() -> Self {
        let row = |place: &str, token: &str| Row {
            place: format!("parameter/{place}"),
            mark: if token.is_empty() { "1".into() } else { "x".into() },
            is_sent: true,
            name: "cid".into(),
            r#macro: "external_click_id".into(),
            is_required: token.is_empty(),
            meaning: plain("The tracker's <b> click id"),
            example: "w8KQ2".into(),
            error: (!token.is_empty()).then(|| text("editor.choose_or_untick")),
            token: token.into(),
            suggestion: if token.is_empty() { String::new() } else { "sub1".into() },
            choice: (!token.is_empty()).then(|| {
                let choices = [(String::new(), text("editor.choose_macro"))];
                Field::named("select", format!("parameter/{place}/macro"), text("editor.value")).choice("", choices)
            }),
        };
        let other = Row { is_sent: false, ..row("2", "") };
        let error = Some(plain("Too many."));
        Self { rows: vec![row("0", ""), row("1", "{subid_1}")], others: vec![other], sent: 2, known: 46, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_choose_the_parameters_and_their_order() {
        let typed = [
            ("parameter/0/on", "yes"),
            ("parameter/0/name", "cid"),
            ("parameter/0/macro", "external_click_id"),
            ("parameter/0/required", "yes"),
            ("parameter/1/name", "payout"),
            ("parameter/1/macro", "payout"),
            ("parameter/2/on", "yes"),
            ("parameter/2/name", "amount"),
            ("parameter/2/macro", "payout"),
        ];
        let pairs = Pairs(typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        let parameters = of_pairs(&pairs);
        let config = to_config(&parameters);
        let wanted = json!([{"name": "cid", "macro": "external_click_id", "required": true}, {"name": "amount", "macro": "payout"}]);
        assert_eq!(config, wanted);
        assert_eq!(of_config(&config), parameters);
    }
}
