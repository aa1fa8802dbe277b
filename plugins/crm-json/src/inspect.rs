//! Inspects a template before it is rendered: which values it reads, and whether it is allowed.
//!
//! It refuses unescaped expressions and partials, which could send a value as syntax, and templates with an unbounded cost,
//! such as nested lists. If an adapter exceeds its budget, the host disables it for all owners, so a template must not be
//! able to exceed the budget.

use std::collections::BTreeSet;

use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, PathSeg, Template};
use postrider_sdk::prelude::*;

use crate::context;
use crate::helpers;

/// The maximum number of nested blocks, of `{{else if}}` in one template, and of brackets in one expression. The parser and
/// the renderer recurse into each of them.
const MAX_DEPTH: usize = 8;
/// The group of the configuration's secrets: `{{secret.api_key}}`.
pub const SECRET: &str = "secret";
/// The maximum number of lists in one template.
const MAX_LISTS: usize = 2;
/// The maximum number of expressions in one list. They are rendered for each of its entries.
const MAX_LIST_EXPRESSIONS: usize = 10;

/// The remaining cost of all templates of one configuration. The parser needs about 1,000 steps per character, and for each
/// expression it reads all text before the expression again.
pub struct Budget {
    characters: usize,
    /// Characters times expressions, summed over the templates.
    rereads: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { characters: 10_000, rereads: 300_000 }
    }
}

impl Budget {
    /// Subtracts the cost of a template, before it is parsed. Returns the problem if the remaining budget is too small.
    fn take(&mut self, source: &str) -> Option<String> {
        let rereads = source.len() * source.matches("{{").count();
        match (self.characters.checked_sub(source.len()), self.rereads.checked_sub(rereads)) {
            (Some(characters), Some(rereads)) => {
                *self = Self { characters, rereads };
                None
            }
            _ => Some(
                "The templates are too long; all together they can have 10000 characters with 30 expressions, or 3000 with 100."
                    .into(),
            ),
        }
    }
}

/// The values that templates read: names at the top level of the context, and names of secrets.
#[derive(Default, Debug)]
pub struct Reads {
    /// Each once, in the order of the templates.
    names: Vec<String>,
    secrets: BTreeSet<String>,
    /// The whole context, as in `{{json this}}`.
    everything: bool,
}

impl Reads {
    /// Whether a template names this value.
    pub fn names(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether a template reads this value, by its name or as a part of the whole context.
    pub fn contains(&self, name: &str) -> bool {
        self.everything || self.names(name)
    }

    /// Whether a template reads the whole context, as in `{{json this}}`.
    pub fn everything(&self) -> bool {
        self.everything
    }

    /// The values that the templates name, each once, in their order.
    pub fn in_order(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    fn add(&mut self, name: &str) {
        if !self.names(name) {
            self.names.push(name.to_owned());
        }
    }

    /// The names of the secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    /// The values that this or the other template reads.
    pub fn and(mut self, other: &Self) -> Self {
        other.names.iter().for_each(|name| self.add(name));
        self.secrets.extend(other.secrets.iter().cloned());
        self.everything |= other.everything;
        self
    }
}

/// The result of an inspection.
#[derive(Default)]
pub struct Found {
    /// Reasons why the template is refused, as sentences.
    pub problems: Vec<String>,
    pub reads: Reads,
    expressions: usize,
    lists: usize,
}

/// The reason why a template must not be parsed: parsing would take too long, or recurse too deeply.
pub fn exceeds_limits(source: &str, budget: &mut Budget) -> Option<String> {
    budget.take(source).or_else(|| too_deep(source))
}

fn too_deep(source: &str) -> Option<String> {
    let mut blocks: usize = 0;
    let mut alternatives = 0;
    for expression in source.split("{{").skip(1) {
        let inner = expression.split("}}").next().unwrap_or_default();
        let start = inner.trim_start_matches(|c: char| matches!(c, '{' | '~') || c.is_whitespace());
        match start.chars().next() {
            Some('#') => blocks += 1,
            Some('/') => blocks = blocks.saturating_sub(1),
            Some('^') => alternatives += 1,
            _ if start.starts_with("else") => alternatives += usize::from(start.trim_end_matches('~').trim() != "else"),
            _ => {}
        }
        if blocks > MAX_DEPTH {
            return Some(format!("Blocks can be nested up to {MAX_DEPTH} deep; use fewer levels."));
        }
        if alternatives > MAX_DEPTH {
            return Some(format!("A template can have up to {MAX_DEPTH} {{{{else if}}}}; use fewer."));
        }
        if inner.matches(['(', '[', '{']).count() > MAX_DEPTH {
            return Some(format!("An expression can have up to {MAX_DEPTH} brackets; use fewer."));
        }
    }
    None
}

/// The parts of a template outside its expressions.
pub fn texts(source: &str) -> impl Iterator<Item = &str> {
    source.split("{{").enumerate().map(|(index, part)| match part.rsplit_once("}}") {
        Some((_, text)) => text,
        None if index == 0 => part,
        None => "",
    })
}

/// The values that a parsed template reads, and the reasons why it is refused.
pub fn inspect(template: &Template) -> Found {
    let mut found = Found::default();
    found.template(template, Scope::Top);
    if found.lists > MAX_LISTS {
        found.problems.push(format!("A template can have up to {MAX_LISTS} lists ({{{{#each}}}}); use fewer."));
    }
    found
}

/// The position in the template, which determines the base of relative names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Top,
    /// In `{{#with}}`.
    Inner,
    /// In `{{#each}}`.
    List,
}

impl Found {
    fn problem(&mut self, problem: impl Into<String>) {
        let problem = problem.into();
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn template(&mut self, template: &Template, scope: Scope) {
        for element in &template.elements {
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::Expression(expression) => self.expression(expression, scope),
                TemplateElement::HelperBlock(block) => self.block(block, scope),
                TemplateElement::HtmlExpression(_) => self.problem(
                    "Expressions with three braces or & are not encoded, so a value could become syntax; use two braces, or {{json …}} for JSON.",
                ),
_ => self.problem("Partials and decorators are not supported; remove them."),
            }
        }
    }

    fn expression(&mut self, expression: &HelperTemplate, scope: Scope) {
        self.expressions += 1;
        if !expression.params.is_empty() || !expression.hash.is_empty() {
            return self.call(expression, scope);
        }
        match &expression.name {
            Parameter::Name(name) if name == helpers::TOKEN => {
                self.reads.add(name);
            }
            Parameter::Path(Path::Relative((_, raw))) if raw == helpers::TOKEN => {
                self.reads.add(raw);
            }
            Parameter::Path(Path::Relative((segments, _))) if scope == Scope::Top && secret(segments).is_some() => {
                self.reads.secrets.extend(secret(segments).map(str::to_owned));
            }
            name => self.parameter(name, scope),
        }
    }

    /// A helper with its arguments.
    fn call(&mut self, call: &HelperTemplate, scope: Scope) {
        match call.name.as_name() {
            Some(name) if helpers::INLINE.contains(&name) => {}
            name => {
                let unknown = tokens::unknown("helper", name.unwrap_or_default(), helpers::INLINE);
                self.problem(unknown);
            }
        }
        self.parameters(call, scope);
    }

    fn parameters(&mut self, call: &HelperTemplate, scope: Scope) {
        for parameter in call.params.iter().chain(call.hash.values()) {
            self.parameter(parameter, scope);
        }
    }

    fn block(&mut self, block: &HelperTemplate, scope: Scope) {
        self.expressions += 1;
        let name = block.name.as_name().unwrap_or_default();
        if !helpers::BLOCKS.contains(&name) {
            self.problem(tokens::unknown("block", name, helpers::BLOCKS));
        }
        self.parameters(block, scope);
        let inner = match (name, scope) {
            ("each", Scope::List) => {
                self.problem(
                    "A list cannot contain another list ({{#each}} in {{#each}}); put it after the first one.",
                );
                Scope::List
            }
            ("each", _) => {
                self.lists += 1;
                if !block.params.iter().all(is_list) {
                    self.problem(
                        "{{#each}} needs a list; only attributes and sub_ids are lists, such as click.sub_ids.",
                    );
                }
                Scope::List
            }
            ("with", Scope::Top) => Scope::Inner,
            _ => scope,
        };
        let before = self.expressions;
        if let Some(template) = &block.template {
            self.template(template, inner);
        }
        if name == "each" && self.expressions - before > MAX_LIST_EXPRESSIONS {
            self.problem(format!(
                "A list can have up to {MAX_LIST_EXPRESSIONS} expressions between {{{{#each}}}} and {{{{/each}}}}; use fewer."
            ));
        }
        if let Some(inverse) = &block.inverse {
            self.template(inverse, scope);
        }
    }

    fn parameter(&mut self, parameter: &Parameter, scope: Scope) {
        match parameter {
            Parameter::Literal(_) => {}
            Parameter::Name(name) => self.name(name, None, scope),
            Parameter::Path(Path::Local(_)) => {}
            Parameter::Path(Path::Relative((segments, _))) => match segments.as_slice() {
                [PathSeg::Named(first)] => self.name(first, None, scope),
                [PathSeg::Named(first), PathSeg::Named(second), ..] => self.name(first, Some(second), scope),
                // `this`, `@root` or `..`
                _ => self.reads.everything |= scope == Scope::Top || !segments.is_empty(),
            },
            Parameter::Subexpression(inner) => match inner.as_element() {
                TemplateElement::Expression(call) if inner.is_helper() => {
                    if call.name.as_name() == Some("json") {
                        self.problem("{{json …}} cannot be an argument of another helper; use it alone.");
                    }
                    self.call(call, scope);
                }
                TemplateElement::Expression(path) => self.parameter(&path.name, scope),
                _ => {}
            },
            _ => {}
        }
    }

    fn name(&mut self, name: &str, field: Option<&str>, scope: Scope) {
        if name == helpers::TOKEN {
            return self
                .problem("A secret cannot be changed or compared; write {{token}} alone, not in a helper or block.");
        }
        if name == SECRET {
            return self.problem(
                "A secret cannot be changed or compared; write {{secret.name}} alone, not in a helper, {{#with}} or {{#each}}.",
            );
        }
        self.reads.add(name);
        if scope == Scope::Top
            && let Some(problem) = context::unknown(name, field)
        {
            self.problem(problem);
        }
    }
}

/// The name of a secret: `api_key` for `secret.api_key`.
fn secret(segments: &[PathSeg]) -> Option<&str> {
    match segments {
        [PathSeg::Named(group), PathSeg::Named(name)] if group == SECRET => Some(name),
        _ => None,
    }
}

/// Whether `{{#each}}` can repeat for this value: `sub_ids` or `attributes`, because the host limits their length.
fn is_list(parameter: &Parameter) -> bool {
    let Parameter::Path(Path::Relative((segments, _))) = parameter else { return false };
    matches!(segments.last(), Some(PathSeg::Named(last)) if last == "attributes" || last == "sub_ids")
}
