//! Case files: parses them, with the place of each error, and replaces the expectation without changing the rest of
//! the text.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::delivery::{samples, wire as wire_types};
use domain::program::buyer_visibility::BuyerVisibility;
use host::wire;

use super::types::{self, Convert};
use super::{Call, Case};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CaseFile {
    name: String,
    call: CallName,
    config: Value,
    event: Option<Value>,
    click: Option<Value>,
    request: Option<Value>,
    response: Option<Value>,
    context: Option<Value>,
    expect: Option<Expectation>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CallName {
    Decide,
    Render,
    Classify,
    DecorateClick,
    ParseInbound,
    Validate,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expectation {
    Ok(Value),
    Err(Value),
}

/// Parses a case.
///
/// # Errors
///
/// What is wrong, with the JSON pointer of the place.
pub fn parse(text: &str) -> Result<Case, String> {
    let file: CaseFile = at_path("", &mut serde_json::Deserializer::from_str(text))?;
    let mut parts = Parts { event: file.event, click: file.click, request: file.request, response: file.response };
    let call = parts.call(file.call)?;
    parts.nothing_left(&call)?;
    let context: wire::Context = match file.context {
        Some(context) => read::<types::Context>("/context", context)?.convert(),
        None => default_context(),
    };
    let expect = file.expect.map(|expectation| normalized_expectation(file.call, expectation)).transpose()?;
    Ok(Case { path: PathBuf::new(), name: file.name, call, config: file.config, context, expect })
}

fn default_context() -> wire::Context {
    wire_types::context(samples::NAMED_AT, 1, false, "dlv_case".to_owned())
}

/// The parts of a case that depend on the call. The call takes those that it needs.
struct Parts {
    event: Option<Value>,
    click: Option<Value>,
    request: Option<Value>,
    response: Option<Value>,
}

impl Parts {
    fn call(&mut self, name: CallName) -> Result<Call, String> {
        Ok(match name {
            CallName::Decide => Call::Decide(self.event("decide")?),
            CallName::Render => Call::Render(self.event("render")?),
            CallName::Classify => {
                let request = match self.request.take() {
                    Some(request) => read::<types::Request>("/request", request)?.convert(),
                    None => default_request(),
                };
                let response = self.response.take().ok_or_else(|| missing("classify", "response"))?;
                Call::Classify(request, read::<types::Response>("/response", response)?.convert())
            }
            CallName::DecorateClick => Call::DecorateClick(self.click()?),
            CallName::ParseInbound => {
                let request = self.request.take().ok_or_else(|| missing("parse-inbound", "request"))?;
                Call::ParseInbound(read::<types::InboundRequest>("/request", request)?.convert())
            }
            CallName::Validate => Call::Validate,
        })
    }

    fn event(&mut self, call: &str) -> Result<wire::Event, String> {
        let event = self.event.take().ok_or_else(|| missing(call, "event"))?;
        match sample("/event", &event)? {
            Some(sample) => Ok(sample),
            None => Ok(read::<types::Event>("/event", event)?.convert()),
        }
    }

    fn click(&mut self) -> Result<wire::Click, String> {
        let click = self.click.take().ok_or_else(|| missing("decorate-click", "click"))?;
        match sample("/click", &click)? {
            Some(sample) => sample.click.ok_or_else(|| "at /click: this sample has no click".to_owned()),
            None => Ok(read::<types::Click>("/click", click)?.convert()),
        }
    }

    /// Refuses parts that the call does not have.
    fn nothing_left(&self, call: &Call) -> Result<(), String> {
        let left =
            [("event", &self.event), ("click", &self.click), ("request", &self.request), ("response", &self.response)];
        match left.into_iter().find(|(_, part)| part.is_some()) {
            None => Ok(()),
            Some((name, _)) => Err(format!("at /{name}: the call {} has no {name}; remove it", call.name())),
        }
    }
}

fn missing(call: &str, part: &str) -> String {
    let also =
        if matches!(part, "event" | "click") { ", for example {\"sample\": \"conversion-approved\"}" } else { "" };
    format!("at /{part}: the call {call} needs \"{part}\"{also}")
}

/// The request of a case that has only the answer.
fn default_request() -> wire::Request {
    let url = "https://tracker.example/".to_owned();
    wire::Request { method: wire::HttpMethod::Get, url, headers: Vec::new(), body: None, sign_with: Vec::new() }
}

/// The sample event of `{"sample": "click"}`. `None` if the value is not a sample.
fn sample(path: &str, value: &Value) -> Result<Option<wire::Event>, String> {
    let Some(name) = value.get("sample") else { return Ok(None) };
    let named = name.as_str().filter(|_| value.as_object().is_some_and(|it| it.len() == 1)).and_then(samples::named);
    let event = named.ok_or_else(|| {
        format!("at {path}: expected {{\"sample\": …}} with one of {}, found {value}", samples::NAMES.join(", "))
    })?;
    Ok(Some(wire_types::event(BuyerVisibility::All.show(event))))
}

/// The expectation in the form in which answers are written, so that both can be compared.
fn normalized_expectation(call: CallName, expectation: Expectation) -> Result<Value, String> {
    let value = match expectation {
        Expectation::Err(error) => {
            let error: types::AdapterError = read("/expect/err", error)?;
            return Ok(serde_json::json!({ "err": types::normalized(&error) }));
        }
        Expectation::Ok(value) => value,
    };
    let at = "/expect/ok";
    let normal = match call {
        CallName::Decide => types::normalized(&read::<types::Decision>(at, value)?),
        CallName::Render => types::normalized(&read::<types::Request>(at, value)?),
        CallName::Classify => types::normalized(&read::<types::Outcome>(at, value)?),
        CallName::DecorateClick => types::normalized(&read::<Vec<types::Field>>(at, value)?),
        CallName::ParseInbound => types::normalized(&read::<types::InboundReport>(at, value)?),
        CallName::Validate => types::normalized(&read::<Vec<types::ConfigIssue>>(at, value)?),
    };
    Ok(serde_json::json!({ "ok": normal }))
}

fn read<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, String> {
    at_path(path, value)
}

fn at_path<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(path: &str, from: D) -> Result<T, String> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        let steps = error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{key}")),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        let place: String = std::iter::once(path.to_owned()).chain(steps).collect();
        let reason = error.inner().to_string();
        if place.is_empty() { reason } else { format!("at {place}: {reason}") }
    })
}

/// Replaces `expect` in the text of a case, or adds it. The rest of the text is unchanged.
pub(crate) fn with_expectation(text: &str, answer: &Value) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Place<'a> {
        #[serde(borrow)]
        expect: Option<&'a RawValue>,
    }
    let place: Place = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let written = written(answer);
    if let Some(expect) = place.expect {
        let start = expect.get().as_ptr().addr() - text.as_ptr().addr();
        return Ok([&text[..start], &written, &text[start + expect.get().len()..]].concat());
    }
    let end = text.rfind('}').ok_or("it is not a JSON object")?;
    let before = text[..end].trim_end();
    let comma = if before.ends_with('{') { "" } else { "," };
    Ok(format!("{before}{comma}\n  \"expect\": {written}\n}}\n"))
}

/// The answer on one line if it fits, otherwise indented as a member of the file.
fn written(answer: &Value) -> String {
    const LINE: usize = 100;
    let line = answer.to_string();
    if line.len() <= LINE {
        return line;
    }
    let pretty = serde_json::to_string_pretty(answer).expect("a value is JSON");
    pretty.replace('\n', "\n  ")
}
