//! Forms: their fields, with errors where they belong.

use std::borrow::Cow;

use serde::Serialize;
use web::errors::Problem;

use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain, text};

/// The fields of a form, as `parts/form` shows them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Form {
    fields: Vec<Field>,
    /// Fields have errors, and a summary on top leads to them. A form of one field needs none.
    failed: bool,
}

impl Form {
    pub fn new(fields: impl IntoIterator<Item = Field>) -> Self {
        Self { fields: fields.into_iter().collect(), failed: false }
    }

    /// Shows the errors of a problem at their fields. Returns whether all of them have a field here; the others belong to
    /// the page as a whole.
    pub fn refuse(&mut self, problem: &Problem) -> bool {
        let mut shown = !problem.errors().is_empty();
        for issue in problem.errors() {
            match self.fields.iter_mut().find(|field| issue.path == format!("/{}", field.name)) {
                Some(field) => field.error = Some(plain(as_sentence(&issue.message))),
                None => shown = false,
            }
        }
        self.lead_to_errors();
        shown
    }

    /// Shows an error at a field that the problem does not name.
    pub fn refuse_at(&mut self, name: &str, error: Text) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.name == name) {
            field.error = Some(error);
        }
        self.lead_to_errors();
    }

    /// The first field with an error gets the focus, so that it is read out with its error.
    fn lead_to_errors(&mut self) {
        let Some(first) = self.fields.iter().position(|field| field.error.is_some()) else { return };
        for (at, field) in self.fields.iter_mut().enumerate() {
            field.autofocus = at == first;
        }
        self.failed = self.fields.iter().filter(|field| field.kind != "hidden").count() > 1;
    }
}

/// A field of a form. Its texts are keys of the language files.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    name: Cow<'static, str>,
    label: Text,
    /// An input type, or `select`, `code` or `textarea`.
    kind: &'static str,
    value: String,
    help: Option<Text>,
    error: Option<Text>,
    autocomplete: &'static str,
    min_length: Option<u32>,
    max_length: Option<u32>,
    required: bool,
    autofocus: bool,
    readonly: bool,
    checked: bool,
    choices: Vec<Choice>,
    /// Values that the browser offers while the person types.
    suggestions: Vec<String>,
    link: Option<FieldLink>,
    /// The heading of the section that begins with it.
    heading: Option<Text>,
}

/// A choice of a select.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    value: String,
    name: Text,
    selected: bool,
}

/// A link beside the label, such as "Forgot it?".
#[derive(Clone, Debug, Serialize)]
struct FieldLink {
    to: &'static str,
    name: Text,
}

impl Field {
    fn new(kind: &'static str, name: &'static str, label: &str) -> Self {
        Self::named(kind, name, text(label))
    }

    /// A field of any kind whose name and label are made from data, such as a schema.
    pub fn named(kind: &'static str, name: impl Into<Cow<'static, str>>, label: Text) -> Self {
        Self {
            name: name.into(),
            label,
            kind,
            value: String::new(),
            help: None,
            error: None,
            autocomplete: "off",
            min_length: None,
            max_length: None,
            required: false,
            autofocus: false,
            readonly: false,
            checked: false,
            choices: Vec::new(),
            suggestions: Vec::new(),
            link: None,
            heading: None,
        }
    }

    pub fn hidden(name: &'static str, value: &str) -> Self {
        Self { value: value.to_owned(), ..Self::new("hidden", name, "") }
    }

    pub fn text(name: &'static str, label: &str) -> Self {
        Self::new("text", name, label)
    }

    pub fn email(name: &'static str, label: &str) -> Self {
        Self { autocomplete: "username", max_length: Some(254), ..Self::new("email", name, label) }
    }

    pub fn password(name: &'static str, label: &str, autocomplete: &'static str) -> Self {
        Self { autocomplete, max_length: Some(200), ..Self::new("password", name, label) }
    }

    /// A day, as `2026-11-20`.
    pub fn date(name: &'static str, label: &str) -> Self {
        Self::new("date", name, label)
    }

    /// A code of a second factor.
    pub fn code(name: &'static str, label: &str) -> Self {
        Self { autocomplete: "one-time-code", max_length: Some(40), ..Self::new("code", name, label) }
    }

    pub fn checkbox(name: &'static str, label: &str, checked: bool) -> Self {
        Self { value: "yes".into(), checked, ..Self::new("checkbox", name, label) }
    }

    /// A choice among values with their names.
    pub fn select(
        name: &'static str,
        label: &str,
        chosen: &str,
        choices: impl IntoIterator<Item = (String, Text)>,
    ) -> Self {
        let choice = |(value, name): (String, Text)| Choice { selected: value == chosen, value, name };
        Self { choices: choices.into_iter().map(choice).collect(), ..Self::new("select", name, label) }
    }

    /// A choice like [`Self::select`], with a name and a label that are made from data.
    pub fn choice(self, chosen: &str, choices: impl IntoIterator<Item = (String, Text)>) -> Self {
        let choice = |(value, name): (String, Text)| Choice { selected: value == chosen, value, name };
        Self { kind: "select", choices: choices.into_iter().map(choice).collect(), ..self }
    }

    pub fn ticked(self, checked: bool) -> Self {
        Self { value: "yes".into(), checked, ..self }
    }

    pub fn helped(self, help: Option<Text>) -> Self {
        Self { help, ..self }
    }

    pub fn error(self, error: Option<Text>) -> Self {
        Self { error, ..self }
    }

    pub fn has_error(&self) -> bool {
        self.error.is_some()
    }

    pub fn value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }

    pub fn help(self, key: &str) -> Self {
        Self { help: Some(text(key)), ..self }
    }

    /// A label and a help that are no texts of the language files, such as those of a template.
    pub fn described(self, label: Text, help: Text) -> Self {
        Self { label, help: Some(help), ..self }
    }

    pub fn autocomplete(self, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..self }
    }

    pub fn length(self, min: Option<u32>, max: u32) -> Self {
        Self { min_length: min, max_length: Some(max), ..self }
    }

    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub fn focused(self) -> Self {
        Self { autofocus: true, ..self }
    }

    pub fn readonly(self) -> Self {
        Self { readonly: true, ..self }
    }

    pub fn suggestions(self, values: impl IntoIterator<Item = String>) -> Self {
        Self { suggestions: values.into_iter().collect(), ..self }
    }

    /// Begins a section of the form.
    pub fn below(self, heading: &str) -> Self {
        Self { heading: Some(text(heading)), ..self }
    }

    pub fn link(self, to: &'static str, key: &str) -> Self {
        Self { link: Some(FieldLink { to, name: text(key) }), ..self }
    }
}
