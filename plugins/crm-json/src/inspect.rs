//! Inspects a template before it is rendered: which values it reads, and whether it is allowed.
//!
//! It refuses templates that could send a value as syntax, or with unbounded cost: unescaped expressions, partials, nested
//! lists. An adapter that exceeds its budget is taken out of service for all owners, so a template must not be able to exceed it.

use std::collections::BTreeSet;

use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, PathSeg, Template};
use postrider_sdk::prelude::*;

use crate::context;
use crate::helpers;

/// Nested blocks, `{{else if}}` in one template, and brackets in one expression: parser and renderer recurse into each.
const DEEPEST: usize = 8;
/// The group of the configuration's secrets: `{{secret.api_key}}`.
pub const SECRET: &str = "secret";
/// Lists in one template, and expressions in one list, because they are rendered for each of its entries.
const LISTS: usize = 2;
const REPEATED_EXPRESSIONS: usize = 10;

/// The maximum cost of all templates of one configuration: the parser needs about 1,000 steps per character, and for each
/// expression it reads all text before it again.
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
    /// Called before a template is parsed.
    fn take(&mut self, source: &str) -> Option<String> {
        let rereads = source.len() * source.matches("{{").count();
        match (self.characters.checked_sub(source.len()), self.rereads.checked_sub(rereads)) {
            (Some(characters), Some(rereads)) => {
                *self = Self { characters, rereads };
                None
            }
            _ => Some(
                "The templates are too long: together they may have 10000 characters with 30 expressions, or 3000 with 100."
                    .into(),
            ),
        }
    }
}

/// The names at the top level of the context that templates read.
#[derive(Default, Debug)]
pub struct Reads {
    names: BTreeSet<String>,
    secrets: BTreeSet<String>,
    /// The whole context, as in `{{json this}}`.
    everything: bool,
}

impl Reads {
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub fn wants(&self, name: &str) -> bool {
        self.everything || self.has(name)
    }

    pub fn everything(&self) -> bool {
        self.everything
    }

    /// The names of the secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(String::as_str)
    }

    pub fn and(mut self, other: &Self) -> Self {
        self.names.extend(other.names.iter().cloned());
        self.secrets.extend(other.secrets.iter().cloned());
        self.everything |= other.everything;
        self
    }
}

#[derive(Default)]
pub struct Found {
    pub problems: Vec<String>,
    pub reads: Reads,
    expressions: usize,
    lists: usize,
}

/// The reason why this must not be parsed: it would take too long, or recurse too deep.
pub fn too_much(source: &str, budget: &mut Budget) -> Option<String> {
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
        if blocks > DEEPEST {
            return Some(format!("Blocks may stand in blocks up to {DEEPEST} deep."));
        }
        if alternatives > DEEPEST {
            return Some(format!("A template may have up to {DEEPEST} {{{{else if}}}}."));
        }
        if inner.matches(['(', '[', '{']).count() > DEEPEST {
            return Some(format!("An expression may have up to {DEEPEST} brackets."));
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

pub fn inspect(template: &Template) -> Found {
    let mut found = Found::default();
    found.template(template, Scope::Top);
    if found.lists > LISTS {
        found.problems.push(format!("A template may have up to {LISTS} lists ({{{{#each}}}})."));
    }
    found
}

/// The base of relative names.
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
                    "Expressions with three braces or & are not escaped, so a value could break out of its place; use two braces, or {{json …}} for JSON.",
                ),
_ => self.problem("Partials and decorators are not available here."),
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
                self.reads.names.insert(name.clone());
            }
            Parameter::Path(Path::Relative((_, raw))) if raw == helpers::TOKEN => {
                self.reads.names.insert(raw.clone());
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
                self.problem("A list may not stand in another list ({{#each}} in {{#each}}).");
                Scope::List
            }
            ("each", _) => {
                self.lists += 1;
                if !block.params.iter().all(is_list) {
                    self.problem("Only the attributes and sub_ids of the event are lists for {{#each}}.");
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
        if name == "each" && self.expressions - before > REPEATED_EXPRESSIONS {
            self.problem(format!(
                "A list may have up to {REPEATED_EXPRESSIONS} expressions between {{{{#each}}}} and {{{{/each}}}}."
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
                        self.problem("{{json …}} stands alone: its text is not for other helpers.");
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
            return self.problem("{{token}} stands alone: a secret cannot be changed or compared.");
        }
        if name == SECRET {
            return self.problem(
                "{{secret.name}} stands alone and outside of {{#with}} and {{#each}}: a secret cannot be changed or compared.",
            );
        }
        self.reads.names.insert(name.to_owned());
        if scope == Scope::Top
            && let Some(problem) = context::unknown(name, field)
        {
            self.problem(problem);
        }
    }
}

/// `api_key` of `secret.api_key`.
fn secret(segments: &[PathSeg]) -> Option<&str> {
    match segments {
        [PathSeg::Named(group), PathSeg::Named(name)] if group == SECRET => Some(name),
        _ => None,
    }
}

/// `click.sub_ids` and the attributes: the host limits their number.
fn is_list(parameter: &Parameter) -> bool {
    let Parameter::Path(Path::Relative((segments, _))) = parameter else { return false };
    matches!(segments.last(), Some(PathSeg::Named(last)) if last == "attributes" || last == "sub_ids")
}
