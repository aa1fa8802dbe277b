//! One handlebars text: compiled once, and rendered so that a value never becomes syntax.

use handlebars::{Handlebars, RenderError, RenderErrorReason, TemplateError, TemplateErrorReason};
use postrider_sdk::prelude::*;

use crate::helpers;
use crate::inspect::{self, Budget, Reads};

/// More than a service takes, and less than the host lets through.
const LONGEST: usize = 64_000;
const NAME: &str = "template";

/// The place where values stand, which says how they are encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Url,
    Header,
    /// The inside of a JSON string.
    Json,
}

pub struct Template {
    source: String,
    /// None for a text without expressions, and for one with problems.
    engine: Option<Box<Handlebars<'static>>>,
    problems: Vec<String>,
    reads: Reads,
}

impl Template {
    pub fn compile(source: String, encoding: Encoding, token: Option<&Secret>, budget: &mut Budget) -> Self {
        let mut template = Self { source, engine: None, problems: Vec::new(), reads: Reads::default() };
        if !template.source.contains("{{") {
            return template;
        }
        match inspect::too_much(&template.source, budget) {
            Some(problem) => template.problems.push(problem),
            None => template.parse(encoding, token),
        }
        template
    }

    fn parse(&mut self, encoding: Encoding, token: Option<&Secret>) {
        let compiled = match handlebars::Template::compile(&self.source) {
            Ok(compiled) => compiled,
            Err(error) => return self.problems.push(unreadable(&error)),
        };
        let found = inspect::inspect(&compiled);
        self.problems = found.problems;
        self.reads = found.reads;
        if self.problems.is_empty() {
            let mut engine = Handlebars::new();
            engine.register_escape_fn(move |value| encode(value, encoding));
            helpers::register(&mut engine, encoding, token);
            engine.register_template(NAME, compiled);
            self.engine = Some(Box::new(engine));
        }
    }

    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn issues(&self, path: &str) -> Vec<ConfigIssue> {
        self.problems.iter().map(|problem| ConfigIssue::new(path, problem)).collect()
    }

    /// Expressions may stand in the path and the query only: a visitor chooses their values, and must not
    /// choose the host.
    pub fn url_issues(&self, path: &str) -> Vec<ConfigIssue> {
        let mut issues = self.issues(path);
        let mut issue = |problem: &str| issues.push(ConfigIssue::new(path, problem));
        match url::authority(&self.source) {
            None => issue("The URL must start with http:// or https:// and a host name."),
            Some(host) if host.contains(['{', '}']) => {
                issue("Expressions may stand in the path and the query only, not in the host name.");
            }
            Some(host) if host.contains('@') => issue("The URL must not carry a user name or password."),
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
        let Some(engine) = &self.engine else { return Ok(self.source.clone()) };
        let mut out = Bounded(Vec::with_capacity(self.source.len() + 256));
        engine.render_with_context_to_write(NAME, context, &mut out).map_err(|error| unfit(path, failed(&error)))?;
        String::from_utf8(out.0).map_err(|_| unfit(path, "The template gives no UTF-8."))
    }
}

/// The template and the event do not fit. `path` is the template's.
pub fn unfit(path: &str, message: impl Into<String>) -> AdapterError {
    AdapterError { path: Some(path.into()), ..AdapterError::invalid_event(message) }
}

/// A template that repeats itself ends here and not at the limits of the host.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(std::io::Error::other(format!("it gives more than {LONGEST} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn encode(value: &str, encoding: Encoding) -> String {
    match encoding {
        Encoding::Url => url::encode(value),
        Encoding::Header => headers::encode(value.into()).into_owned(),
        Encoding::Json => {
            let quoted = serde_json::Value::from(value).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
    }
}

fn unreadable(error: &TemplateError) -> String {
    let place = error.pos().map(|(line, column)| format!(" at line {line}, column {column}")).unwrap_or_default();
    let reason = match error.reason() {
        TemplateErrorReason::MismatchingClosedHelper(open, close) => {
            format!("{{{{#{open}}}}} is closed by {{{{/{close}}}}}")
        }
        TemplateErrorReason::InvalidSyntax(_) => "an expression or block is not closed, or not well formed".into(),
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
