//! A handlebars template. It is compiled once; values are encoded when it is rendered, so that a value never becomes syntax.

use std::borrow::Cow;

use handlebars::template::{Parameter, TemplateElement};
use handlebars::{
    Handlebars, JsonRender, JsonValue, Output, Path, PathSeg, RenderContext, RenderError, RenderErrorReason,
    Renderable, TemplateError, TemplateErrorReason,
};
use postrider_sdk::prelude::*;

use crate::helpers;
use crate::inspect::{self, Budget, Reads};

/// The maximum output in bytes: more than a service accepts, and less than the host permits.
const MAX_OUTPUT_BYTES: usize = 64_000;

/// The position of the values, which determines their encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Url,
    Header,
    /// The inside of a JSON string.
    Json,
}

/// A template with the problems that were found in it.
pub struct Template {
    source: String,
    /// `None` for a text without expressions, and for one with problems.
    compiled: Option<Compiled>,
    problems: Vec<String>,
    reads: Reads,
}

impl Template {
    /// Compiles a template. Errors become problems; see [`issues`](Self::issues).
    pub fn compile(source: String, encoding: Encoding, token: Option<&Secret>, budget: &mut Budget) -> Self {
        let mut template = Self { source, compiled: None, problems: Vec::new(), reads: Reads::default() };
        if !template.source.contains("{{") {
            return template;
        }
        match inspect::exceeds_limits(&template.source, budget) {
            Some(problem) => template.problems.push(problem),
            None => template.parse(encoding, token),
        }
        template
    }

    fn parse(&mut self, encoding: Encoding, token: Option<&Secret>) {
        let parsed = match handlebars::Template::compile(&self.source) {
            Ok(parsed) => parsed,
            Err(error) => return self.problems.push(unreadable(&error)),
        };
        let found = inspect::inspect(&parsed);
        self.problems = found.problems;
        self.reads = found.reads;
        if self.problems.is_empty() {
            let mut engine = Handlebars::new();
            engine.register_escape_fn(move |value| encode(value, encoding).into_owned());
            helpers::register(&mut engine, encoding, token);
            let pieces = parsed.elements.into_iter().map(Piece::of).collect();
            self.compiled = Some(Compiled { engine: Box::new(engine), encoding, pieces });
        }
    }

    /// The values that the template reads.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The text as the user wrote it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The problems of the template. `path` is its JSON pointer in the configuration.
    pub fn issues(&self, path: &str) -> Vec<ConfigIssue> {
        self.problems.iter().map(|problem| ConfigIssue::new(path, problem)).collect()
    }

    /// The problems of the template as a URL. Expressions are allowed only in the path and the query: a visitor determines
    /// their values, and must not determine the host.
    pub fn url_issues(&self, path: &str) -> Vec<ConfigIssue> {
        let mut issues = self.issues(path);
        let mut issue = |problem: &str| issues.push(ConfigIssue::new(path, problem));
        match url::authority(&self.source) {
            None => issue("The URL must start with http:// or https:// and a host name."),
            Some(host) if host.contains(['{', '}']) => {
                issue("Use expressions only in the path and the query, not in the host name.");
            }
            Some(host) if host.contains('@') => issue("The URL must not contain a user name or password."),
            Some(_) => {}
        }
        if inspect::texts(&self.source).any(|text| text.contains(|c: char| c.is_whitespace() || c == '\\')) {
            issue("The URL must not contain spaces, line breaks or backslashes.");
        }
        issues
    }

    /// The text for one event. `path` is the JSON pointer of this template in the configuration.
    pub fn render(&self, path: &str, context: &handlebars::Context) -> Result<String, AdapterError> {
        if let Some(problem) = self.problems.first() {
            return Err(AdapterError::invalid_config(path, problem));
        }
        let Some(compiled) = &self.compiled else { return Ok(self.source.clone()) };
        let mut out = Bounded(String::with_capacity(self.source.len() + 256));
        compiled.render(context, &mut out).map_err(|error| event_error(path, failed(&error)))?;
        Ok(out.0)
    }
}

struct Compiled {
    engine: Box<Handlebars<'static>>,
    encoding: Encoding,
    pieces: Vec<Piece>,
}

impl Compiled {
    fn render(&self, context: &handlebars::Context, out: &mut Bounded) -> Result<(), RenderError> {
        let mut state = RenderContext::new(None);
        for piece in &self.pieces {
            match piece.value(context.data()) {
                Some(JsonValue::String(text)) => out.write(&encode(text, self.encoding))?,
                Some(other) => out.write(&encode(&other.render(), self.encoding))?,
                None => piece.element.render(&self.engine, context, &mut state, out)?,
            }
        }
        Ok(())
    }
}

/// A top-level part of a template: a text, an expression or a block.
struct Piece {
    element: TemplateElement,
    /// The parts of the name, if the expression is only a name; otherwise empty. A lookup by the engine takes ten times as long.
    names: Vec<String>,
}

impl Piece {
    fn of(element: TemplateElement) -> Self {
        let names = match &element {
            TemplateElement::Expression(it) if it.params.is_empty() && it.hash.is_empty() => {
                names(&it.name).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        Self { element, names }
    }

    /// The value of the name; `None` if the engine must render this part.
    fn value<'a>(&self, data: &'a JsonValue) -> Option<&'a JsonValue> {
        let (first, rest) = self.names.split_first()?;
        rest.iter().try_fold(data.get(first)?, |value, name| value.get(name))
    }
}

/// The parts of an absolute path; `None` for another expression or a call of a helper.
fn names(name: &Parameter) -> Option<Vec<String>> {
    let Parameter::Path(Path::Relative((segments, _))) = name else { return None };
    let names = segments.iter().map(|segment| match segment {
        PathSeg::Named(name) => Some(name.clone()),
        _ => None,
    });
    let names: Vec<String> = names.collect::<Option<_>>()?;
    let calls = names.iter().any(|name| name == helpers::TOKEN || helpers::INLINE.contains(&name.as_str()));
    (!calls).then_some(names)
}

/// The error for an event with which a template cannot be rendered. `path` is the template's JSON pointer.
pub fn event_error(path: &str, message: impl Into<String>) -> AdapterError {
    AdapterError { path: Some(path.into()), ..AdapterError::invalid_event(message) }
}

/// Output that fails when it becomes too long, before it reaches the host's limit.
struct Bounded(String);

impl Output for Bounded {
    fn write(&mut self, text: &str) -> std::io::Result<()> {
        if self.0.len() + text.len() > MAX_OUTPUT_BYTES {
            return Err(std::io::Error::other(format!("the output has more than {MAX_OUTPUT_BYTES} bytes")));
        }
        self.0.push_str(text);
        Ok(())
    }
}

fn encode(value: &str, encoding: Encoding) -> Cow<'_, str> {
    match encoding {
        Encoding::Url => url::encode(value).into(),
        Encoding::Header => headers::encode(value.into()),
        Encoding::Json if !value.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') => value.into(),
        Encoding::Json => {
            let quoted = JsonValue::from(value).to_string();
            quoted[1..quoted.len() - 1].to_owned().into()
        }
    }
}

fn unreadable(error: &TemplateError) -> String {
    let place = error.pos().map(|(line, column)| format!(" at line {line}, column {column}")).unwrap_or_default();
    let reason = match error.reason() {
        TemplateErrorReason::MismatchingClosedHelper(open, close) => {
            format!("{{{{#{open}}}}} is closed by {{{{/{close}}}}}")
        }
        TemplateErrorReason::InvalidSyntax(_) => "an expression or block is not closed or has a syntax error".into(),
        other => other.to_string(),
    };
    format!("The template cannot be read: {reason}{place}.")
}

fn failed(error: &RenderError) -> String {
    let reason = match error.reason() {
        RenderErrorReason::Other(reason) => reason.clone(),
        RenderErrorReason::IOError(error) => error.to_string(),
        other => other.to_string(),
    };
    format!("The template cannot be rendered: {reason}.")
}
