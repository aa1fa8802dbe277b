//! Test cases of adapters: a call, its input and the expected answer, as a JSON file next to the adapter's sources.
//!
//! Cases run in the real host with the real limits. Each runs twice, in new instances: an adapter must give the same
//! answer to the same input. docs/adapters.md has the format.

mod difference;
mod file;
mod types;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use host::{Adapter, AdapterError, Cost, LogLine, RefusedKind, Session, wire};

pub use difference::differences;
pub use types::Convert;

/// A parsed case.
pub struct Case {
    pub path: PathBuf,
    pub name: String,
    call: Call,
    config: Value,
    context: wire::Context,
    /// The expected answer, in the form in which answers are written.
    pub expect: Option<Value>,
}

/// A call of an adapter, with its input.
enum Call {
    Decide(wire::Event),
    Render(wire::Event),
    Classify(wire::Request, wire::Response),
    DecorateClick(wire::Click),
    ParseInbound(wire::InboundRequest),
    Validate,
}

impl Call {
    fn name(&self) -> &'static str {
        match self {
            Self::Decide(_) => "decide",
            Self::Render(_) => "render",
            Self::Classify(..) => "classify",
            Self::DecorateClick(_) => "decorate-click",
            Self::ParseInbound(_) => "parse-inbound",
            Self::Validate => "validate",
        }
    }
}

/// Why a case cannot be read, run or written.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    #[error("{} can't be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{} can't be written: {error}", path.display())]
    Unwritable { path: PathBuf, error: std::io::Error },
    #[error("{} is not a valid case: {problem}", path.display())]
    Invalid { path: PathBuf, problem: String },
    /// The adapter was stopped, or its answer is not valid.
    #[error("{0}")]
    Stopped(AdapterError),
    #[error("the adapter refuses this configuration, so the call would never be made: {0}")]
    ConfigRefused(String),
    #[error("the same call gave a different answer in a new instance; an adapter must be a pure function:\n{0}")]
    NotPure(String),
}

/// The result of running a case.
pub struct Run {
    /// `{"ok": …}` or `{"err": …}`.
    pub answer: Result<Value, CaseError>,
    pub log: Vec<LogLine>,
    pub cost: Cost,
}

impl Case {
    /// Reads and parses a case file.
    pub fn load(path: &Path) -> Result<Self, CaseError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| CaseError::Unreadable { path: path.to_owned(), error })?;
        file::parse(&text)
            .map_err(|problem| CaseError::Invalid { path: path.to_owned(), problem })
            .map(|case| Self { path: path.to_owned(), ..case })
    }

    /// Reads all cases of a folder (`*.json`), sorted by file name.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, CaseError> {
        let unreadable = |error| CaseError::Unreadable { path: folder.to_owned(), error };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
        paths.sort();
        paths.iter().map(|path| Self::load(path)).collect()
    }

    /// The name of the call in the contract.
    pub fn call(&self) -> &'static str {
        self.call.name()
    }

    /// The configuration with which the case runs.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Runs the case twice, in new instances.
    pub fn run(&self, adapter: &Arc<Adapter>) -> Run {
        let (first, second) = (self.run_once(adapter), self.run_once(adapter));
        let answer = first.answer.and_then(|one| {
            let two = second.answer?;
            let mut lines = differences(&one, &two);
            lines.extend(differences(&logged(&first.log), &logged(&second.log)));
            if lines.is_empty() { Ok(one) } else { Err(CaseError::NotPure(lines.join("\n"))) }
        });
        Run { answer, log: first.log, cost: first.cost }
    }

    /// The differences between the expected and the given answer, one line each. Empty if they are equal.
    pub fn compare(&self, answer: &Value) -> Vec<String> {
        match &self.expect {
            Some(expected) => differences(expected, answer),
            None => vec!["the case has no expected answer yet; run with --update to write this one".to_owned()],
        }
    }

    /// Writes `answer` into the file as the expected answer. The rest of the file is unchanged.
    pub fn update(&self, answer: &Value) -> Result<(), CaseError> {
        let path = &self.path;
        let text =
            std::fs::read_to_string(path).map_err(|error| CaseError::Unreadable { path: path.clone(), error })?;
        let updated = file::with_expectation(&text, answer)
            .map_err(|problem| CaseError::Invalid { path: path.clone(), problem })?;
        std::fs::write(path, updated).map_err(|error| CaseError::Unwritable { path: path.clone(), error })
    }

    fn run_once(&self, adapter: &Arc<Adapter>) -> Run {
        let mut session = adapter.session();
        let answer = self.checked_config(adapter).and_then(|()| self.ask(adapter, &mut session));
        Run { answer, log: session.log().to_vec(), cost: session.cost() }
    }

    /// Checks the configuration with the adapter, because the host makes no calls with a refused configuration. Only a
    /// case that expects `invalid-config` may have one.
    fn checked_config(&self, adapter: &Arc<Adapter>) -> Result<(), CaseError> {
        let expects_refusal = self.expect.as_ref().is_some_and(|it| it["err"]["kind"] == "invalid-config");
        if matches!(self.call, Call::Validate) || expects_refusal {
            return Ok(());
        }
        let issues = adapter.check_config(&self.config).map_err(CaseError::Stopped)?;
        match issues.first() {
            None => Ok(()),
            Some(issue) => Err(CaseError::ConfigRefused(format!("{} {}", issue.path, issue.message).trim().to_owned())),
        }
    }

    fn ask(&self, adapter: &Arc<Adapter>, session: &mut Session) -> Result<Value, CaseError> {
        let context = &self.context;
        let binding = &wire::Binding { id: "pbk_case".to_owned(), config: self.config.to_string() };
        match &self.call {
            Call::Decide(event) => answer::<types::Decision, _>(session.decide(context, binding, event)),
            Call::Render(event) => answer::<types::Request, _>(session.render(context, binding, event)),
            Call::Classify(request, response) => {
                answer::<types::Outcome, _>(session.classify(context, binding, request, response))
            }
            Call::DecorateClick(click) => {
                answer::<Vec<types::Field>, _>(session.decorate_click(context, binding, click))
            }
            Call::ParseInbound(request) => {
                answer::<types::InboundReport, _>(session.parse_inbound(context, binding, request))
            }
            Call::Validate => answer::<Vec<types::ConfigIssue>, _>(adapter.check_config_in(session, &self.config)),
        }
    }
}

/// An answer as it is written in a case. An error that the adapter returned is an answer, too.
fn answer<W: serde::Serialize, T: Convert<W>>(result: Result<T, AdapterError>) -> Result<Value, CaseError> {
    match result {
        Ok(value) => Ok(json!({ "ok": types::normalized(&value.convert()) })),
        Err(AdapterError::Refused { kind, message, path }) => {
            let kind = match kind {
                RefusedKind::InvalidConfig => types::ErrorKind::InvalidConfig,
                RefusedKind::InvalidEvent => types::ErrorKind::InvalidEvent,
                RefusedKind::Unauthenticated => types::ErrorKind::Unauthenticated,
                RefusedKind::Unsupported => types::ErrorKind::Unsupported,
                RefusedKind::Internal => types::ErrorKind::Internal,
            };
            Ok(json!({ "err": types::normalized(&types::AdapterError { kind, message, path }) }))
        }
        Err(stopped) => Err(CaseError::Stopped(stopped)),
    }
}

fn logged(log: &[LogLine]) -> Value {
    log.iter().map(|line| format!("{:?}: {}", line.level, line.message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        file::parse(text).err().expect("it is wrong")
    }

    #[test]
    fn an_invalid_case_is_reported_with_its_place() {
        let with = |rest: &str| problem(&format!("{{\"name\": \"a\", \"config\": {{}}, {rest}}}"));
        assert!(problem("{").starts_with("EOF"));
        assert!(problem("{}").starts_with("missing field `name`"));
        for (rest, message) in [
            (r#""call": "rendr""#, "at /call: unknown variant `rendr`, expected one of `decide`, `render`"),
            (
                r#""call": "render""#,
                "at /event: the call render needs \"event\", for example {\"sample\": \"conversion",
            ),
            (
                r#""call": "render", "event": {"sample": "x"}"#,
                "at /event: expected {\"sample\": …} with one of conversion",
            ),
            (
                r#""call": "validate", "event": {"sample": "click"}"#,
                "at /event: the call validate has no event; remove it",
            ),
            (
                r#""call": "decorate-click", "click": {"id": "c", "at": 1, "target-url": "", "sub-ids": [{"nam": ""}]}"#,
                "at /click/sub-ids/0/nam: unknown field `nam`, expected `name` or `value`",
            ),
            (
                r#""call": "render", "event": {"sample": "click"}, "expect": {"ok": {"method": "get"}}"#,
                "at /expect/ok: missing field `url`",
            ),
            (
                r#""call": "classify", "response": {"status": 200, "body": 5}"#,
                "at /response/body: expected a text, or {\"hex\": \"ff00\"} for bytes that are not UTF-8",
            ),
            (
                r#""call": "classify", "response": {"status": 200}, "expect": {"ok": "acepted"}"#,
                "at /expect/ok: unknown variant `acepted`, expected one of `accepted`, `retry`, `refused`",
            ),
        ] {
            assert!(with(rest).starts_with(message), "{rest}: {}", with(rest));
        }
    }

    #[test]
    fn absent_and_empty_values_are_equal() {
        let expected = |outcome: &str| {
            let text = format!(
                "{{\"name\": \"a\", \"call\": \"classify\", \"config\": {{}}, \"response\": {{\"status\": 200}}, \
                 \"expect\": {{\"ok\": {outcome}}}}}"
            );
            file::parse(&text).expect("it is a case").expect
        };
        assert_eq!(expected("\"accepted\""), expected("{\"accepted\": null}"));
        assert_eq!(expected("\"retry\""), Some(json!({"ok": "retry"})));
        assert_eq!(expected("{\"retry\": 5}"), Some(json!({"ok": {"retry": 5}})));
    }

    #[test]
    fn an_expectation_is_written_in_place() {
        let laid_out =
            "{\n  \"name\": \"a\",   \"expect\": {\"ok\": []},\n  \"call\": \"validate\", \"config\": {}\n}\n";
        let answer = json!({"err": {"kind": "internal", "message": "no"}});
        let written = file::with_expectation(laid_out, &answer).expect("it is JSON");
        assert_eq!(written, laid_out.replace("{\"ok\": []}", &answer.to_string()));
        let without = "{\"name\": \"a\", \"call\": \"validate\", \"config\": {}}";
        let written = file::with_expectation(without, &answer).expect("it is JSON");
        let case = file::parse(&written).expect("it is a case");
        assert_eq!(case.expect, Some(answer));
    }
}
