//! The fields of the editor as a browser sends them. Their names depend on the schema of the adapter.

use std::collections::BTreeMap;

use domain::delivery::template::Template;
use engine::FieldIssue;
use web::errors::Problem;

use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain};

/// Names and values, in the order of the page.
#[derive(Clone, Debug, Default)]
pub struct Pairs(pub Vec<(String, String)>);

impl Pairs {
    /// The value of a field, trimmed; empty if it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    /// The value of a field, trimmed; `None` if the page does not have it.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// Every value of a field that can be there more than once.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The number of rows of a list: its fields are named `PREFIX/INDEX/…`.
    pub fn rows(&self, prefix: &str) -> usize {
        let index = |name: &str| name.strip_prefix(prefix)?.strip_prefix('/')?.split('/').next()?.parse::<usize>().ok();
        self.0.iter().filter_map(|(name, _)| index(name)).map(|index| index + 1).max().unwrap_or(0).min(ROWS_MAX)
    }

    /// The values of a template's fields that are not empty.
    pub fn fields_of(&self, template: &Template) -> BTreeMap<String, String> {
        let given = |name: &String| Some((name.clone(), self.find(&format!("fields/{name}"))?.to_owned()));
        template.fields.iter().filter_map(|it| given(&it.name)).filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// The most rows that a list of the editor has.
const ROWS_MAX: usize = 200;

/// Errors by the JSON pointer of their field. Those that no field shows belong to the page.
#[derive(Clone, Debug, Default)]
pub struct Errors(BTreeMap<String, String>);

impl Errors {
    pub fn of(problem: &Problem) -> Self {
        Self::of_issues(problem.errors())
    }

    pub fn of_issues(issues: &[FieldIssue]) -> Self {
        Self(issues.iter().map(|it| (it.path.clone(), as_sentence(&it.message))).collect())
    }

    /// The error of the field with this name, which is then shown.
    pub fn take(&mut self, name: &str) -> Option<Text> {
        self.0.remove(&format!("/{name}")).map(plain)
    }

    /// The error of a field or of anything in it.
    pub fn take_within(&mut self, name: &str) -> Option<Text> {
        let within = format!("/{name}/");
        let found = self.0.keys().find(|path| path.starts_with(&within)).cloned();
        self.take(name).or_else(|| found.and_then(|path| self.0.remove(&path)).map(plain))
    }

    /// The errors that no field has shown.
    pub fn rest(self) -> Vec<Text> {
        self.0.into_values().map(plain).collect()
    }
}
