//! The helpers for templates: functions that a template can call.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonRender, JsonValue, Output, RenderContext, RenderError,
    RenderErrorReason, ScopedJson,
};
use postrider_sdk::prelude::{Money, Secret, money, time};
use sha2::{Digest, Sha256};

use crate::moment;
use crate::template::Encoding;

/// `{{token}}` is the token of the configuration, which the host inserts unchanged.
pub const TOKEN: &str = "token";
/// The helpers for blocks.
pub const BLOCKS: [&str; 4] = ["if", "unless", "each", "with"];
/// The helpers that return a value.
pub const INLINE: [&str; 17] = [
    "json", "number", "unix", "date", "default", "minor", "sha256", "eq", "ne", "gt", "gte", "lt", "lte", "and", "or",
    "not", "len",
];

/// Computes a value from the parameters. The error is a reason that follows the helper's name; it quotes no values, because a
/// value may be a buyer's data.
type Function = fn(&[&JsonValue]) -> Result<JsonValue, String>;

/// Adds the helpers to a template engine, and removes those that templates must not use.
pub fn register(engine: &mut Handlebars<'static>, encoding: Encoding, token: Option<&Secret>) {
    let functions: [(&str, Function); 6] = [
        ("number", number),
        ("unix", unix),
        ("date", date),
        ("default", default),
        ("minor", minor),
        ("sha256", sha256),
    ];
    for (name, function) in functions {
        engine.register_helper(name, Box::new(Pure(function)));
    }
    match encoding {
        Encoding::Json => engine.register_helper("json", Box::new(Json)),
        Encoding::Url | Encoding::Header => engine.register_helper("json", Box::new(Pure(json))),
    }
    let token = token.map(|token| token.placeholder().to_owned()).unwrap_or_default();
    engine.register_helper(TOKEN, Box::new(Unchanged(token)));
    for unused in ["log", "raw", "lookup"] {
        engine.unregister_helper(unused);
    }
}

/// A helper that computes a value from values. The result is encoded for its position, like any other value.
struct Pure(Function);

impl HelperDef for Pure {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let parameters: Vec<&JsonValue> = helper.params().iter().map(|parameter| parameter.value()).collect();
        let reason = |reason| RenderErrorReason::Other(format!("{} {reason}", helper.name()));
        Ok(ScopedJson::Derived((self.0)(&parameters).map_err(reason)?))
    }
}

/// `{{json x}}` in a JSON body. Its output is not part of a string, so it is not encoded.
struct Json;

impl HelperDef for Json {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let value = helper.param(0).map_or(&JsonValue::Null, |parameter| parameter.value());
        Ok(out.write(&value.to_string())?)
    }
}

/// A text that is written without encoding.
struct Unchanged(String);

impl HelperDef for Unchanged {
    fn call<'reg: 'rc, 'rc>(
        &self,
        _: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        Ok(out.write(&self.0)?)
    }
}

fn json(parameters: &[&JsonValue]) -> Result<JsonValue, String> {
    Ok(first(parameters).to_string().into())
}

/// The number with unchanged digits, or `null` for an empty value, so that the body is still JSON.
fn number(parameters: &[&JsonValue]) -> Result<JsonValue, String> {
    let text = scalar(first(parameters))?.render();
    let is_number = |text: &str| serde_json::from_str::<serde_json::Number>(text).is_ok();
    match text.trim() {
        "" => Ok("null".into()),
        digits if is_number(digits) => Ok(digits.into()),
        _ => Err("got a text that is not a number".into()),
    }
}

/// A time in Unix seconds or milliseconds: `{{unix event_date}}`, `{{unix event_date "ms"}}`.
fn unix(parameters: &[&JsonValue]) -> Result<JsonValue, String> {
    let Some(ms) = moment(first(parameters))? else { return Ok("".into()) };
    match option(parameters) {
        "" | "s" => Ok(time::unix_seconds(ms).into()),
        "ms" => Ok(ms.into()),
        _ => Err("got an unknown unit; use \"s\" or \"ms\"".into()),
    }
}

/// A time in UTC: `{{date event_date}}` is the day; the formats "time", "datetime" and "rfc3339" include the time.
fn date(parameters: &[&JsonValue]) -> Result<JsonValue, String> {
    let Some(ms) = moment(first(parameters))? else { return Ok("".into()) };
    let text = time::rfc3339(ms);
    let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
    let clock = clock.trim_end_matches('Z');
    match option(parameters) {
        "" | "date" => Ok(day.into()),
        "time" => Ok(clock.into()),
        "datetime" => Ok(format!("{day} {clock}").into()),
        "rfc3339" => Ok(text.into()),
        _ => Err("got an unknown format; use \"date\", \"time\", \"datetime\" or \"rfc3339\"".into()),
    }
}

/// The first text or number that is not empty: `{{default customer_name "somebody"}}`.
fn default(parameters: &[&JsonValue]) -> Result<JsonValue, String> {
    let is_present = |value: &&&JsonValue| !value.is_null() && value.as_str() != Some("");
    let Some(value) = parameters.iter().find(is_present) else { return Ok("".into()) };
    scalar(value).map(|value| (*value).clone())
}

/// An amount in its currency's minor unit: `{{minor conversion.payout}}` or `{{minor payout currency}}`.
fn minor(parameters: &[&JsonValue]) -> Result<JsonValue, String> {
    let (amount, currency) = match first(parameters) {
        JsonValue::Object(money) => (text(money.get("amount")), text(money.get("currency"))),
        amount => (scalar(amount)?.render(), text(parameters.get(1).copied())),
    };
    if amount.is_empty() {
        return Ok("".into());
    }
    let micros = money::parse_decimal(&amount).ok_or("got a text that is not an amount")?;
    Ok(money::minor_units(&Money { micros, currency }).into())
}

/// The SHA-256 of the trimmed text in lower case, in hexadecimal digits, as ad platforms use it to match people.
fn sha256(parameters: &[&JsonValue]) -> Result<JsonValue, String> {
    let text = scalar(first(parameters))?.render();
    let text = text.trim().to_lowercase();
    Ok(if text.is_empty() { "".into() } else { format!("{:x}", Sha256::digest(text)).into() })
}

fn first<'a>(parameters: &[&'a JsonValue]) -> &'a JsonValue {
    parameters.first().copied().unwrap_or(&JsonValue::Null)
}

/// Refuses groups and lists, because rendering them is expensive and no helper needs it.
fn scalar(value: &JsonValue) -> Result<&JsonValue, String> {
    if value.is_object() || value.is_array() {
        Err("accepts only texts and numbers; name one field of the group".into())
    } else {
        Ok(value)
    }
}

fn option<'a>(parameters: &[&'a JsonValue]) -> &'a str {
    parameters.get(1).and_then(|option| option.as_str()).unwrap_or_default()
}

fn text(value: Option<&JsonValue>) -> String {
    value.map(JsonRender::render).unwrap_or_default()
}

/// Unix milliseconds from a number of milliseconds or an RFC 3339 text. `None` for an empty value.
fn moment(value: &JsonValue) -> Result<Option<u64>, String> {
    match value {
        JsonValue::Null => Ok(None),
        JsonValue::String(text) if text.is_empty() => Ok(None),
        JsonValue::String(text) => moment::parse(text).map(Some).ok_or_else(not_a_time),
        number => number.as_u64().map(Some).ok_or_else(not_a_time),
    }
}

fn not_a_time() -> String {
    "got a value that is not a time; use it with a time such as event_date or click.at".into()
}
