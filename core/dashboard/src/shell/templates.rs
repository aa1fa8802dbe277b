//! The templates, and the helpers that they use. Helpers show values in the manner of the page's language and zone.
//!
//! ```text
//! {{t "home.link_to" offer=page.offer}}  a text; as (t "…") for a parameter of a partial
//! {{rich "confirm_email.text" email=x}}  a text in which **…** is bold
//! {{say page.title}}                   a text that the context carries
//! {{say_rich page.sentence}}           the same, in which **…** is bold
//! {{icon "copy"}} {{asset "style.css"}} {{qr page.url (t "…")}}
//! {{time page.at "ago"}}               ago, moment, second, date or weekday
//! {{money page.payout}} {{number page.clicks}} {{decimal "12.5"}}
//! {{#if (has_page "/links")}}          whether the page table has a path
//! ```

use std::sync::LazyLock;

use domain::amounts::{Currency, SignedAmount};
use domain::people::preferences::Language;
use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;
use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError, RenderErrorReason,
    ScopedJson, html_escape,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::format::Formats;
use super::texts::{Text, text};
use super::{assets, nav};
use crate::parts::qr;

/// Templates by name. The name of a page is its area and its noun.
pub static TEMPLATES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

static REGISTRY: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
    let mut registry = with_helpers();
    for (name, text) in TEMPLATES {
        registry.register_template_string(name, text).unwrap_or_else(|error| panic!("template {name}: {error}"));
    }
    registry
});

/// Renders a page.
///
/// # Panics
/// The context lacks a value of the template. A test renders every template from its samples.
pub fn render(template: &str, context: &impl Serialize) -> String {
    #[cfg(debug_assertions)]
    if let Some(folder) = super::source::folder() {
        return of_folder(&folder).render(template, context).unwrap_or_else(|error| error.to_string());
    }
    REGISTRY.render(template, context).unwrap_or_else(|error| panic!("template {template}: {error}"))
}

#[cfg(debug_assertions)]
fn of_folder(folder: &std::path::Path) -> Handlebars<'static> {
    let mut registry = with_helpers();
    for (name, _) in TEMPLATES {
        let file = folder.join("templates").join(format!("{name}.hbs"));
        registry.register_template_file(name, file).unwrap_or_else(|error| panic!("template {name}: {error}"));
    }
    registry
}

fn with_helpers() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    // A name that is not in the context is an error; the test that renders all samples finds it.
    registry.set_strict_mode(true);
    let value = |registry: &mut Handlebars, name: &str, of: fn(&Call) -> Result<Json, String>| {
        registry.register_helper(name, Box::new(Value(of)));
    };
    value(&mut registry, "t", |call| Ok(call.text(0)?.say(&call.formats()?).into()));
    value(&mut registry, "say", |call| Ok(call.read::<Text>(0)?.say(&call.formats()?).into()));
    value(&mut registry, "asset", |call| Ok(assets::path(call.word(0)?).into()));
    value(&mut registry, "has_page", |call| Ok(nav::has_page(call.word(0)?).into()));
    value(&mut registry, "eq", |call| Ok((call.json(0)? == call.json(1)?).into()));
    value(&mut registry, "number", |call| {
        let number = call.json(0)?.as_u64().ok_or("not a whole number")?;
        Ok(call.formats()?.number(number).into())
    });
    value(&mut registry, "decimal", |call| Ok(call.formats()?.decimal(call.word(0)?).into()));
    value(&mut registry, "money", |call| {
        let sum = call.read::<Sum>(0)?;
        Ok(format!("{}\u{a0}{}", call.formats()?.decimal(&sum.amount), sum.currency).into())
    });
    value(&mut registry, "amount", |call| Ok(call.formats()?.decimal(&call.read::<Sum>(0)?.amount).into()));
    let markup = |registry: &mut Handlebars, name: &str, of: fn(&Call) -> Result<String, String>| {
        registry.register_helper(name, Box::new(Markup(of)));
    };
    markup(&mut registry, "icon", |call| Ok(icon(call.word(0)?)));
    markup(&mut registry, "qr", |call| qr::svg(call.word(0)?, call.word(1)?));
    markup(&mut registry, "rich", |call| Ok(bold(&html_escape(&call.text(0)?.say(&call.formats()?)))));
    markup(&mut registry, "say_rich", |call| Ok(bold(&html_escape(&call.read::<Text>(0)?.say(&call.formats()?)))));
    markup(&mut registry, "time", |call| {
        let at = call.read::<Timestamp>(0)?;
        time(at, call.word(1)?, &call.formats()?)
    });
    registry
}

/// A sum of money as contexts carry it; unlike an amount of the API it may be negative.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sum {
    pub amount: String,
    pub currency: String,
}

impl Sum {
    pub fn new(micros: i128, currency: Currency) -> Self {
        Self { amount: SignedAmount(micros).to_string(), currency: currency.to_string() }
    }
}

fn icon(name: &str) -> String {
    format!("<svg class=\"icon\" aria-hidden=\"true\"><use href=\"{}#{name}\"/></svg>", assets::path("icons.svg"))
}

/// A time that shows its zone and UTC to those who point at it.
fn time(at: Timestamp, style: &str, formats: &Formats) -> Result<String, String> {
    let shown = match style {
        "ago" => formats.ago(at),
        "moment" => formats.moment(at),
        "second" => formats.second(at),
        "date" => formats.date(at),
        "weekday" => formats.weekday(at),
        other => return Err(format!("{other} is no style of a time")),
    };
    let utc = Formats { zone: Zone::default(), ..*formats }.second(at);
    let title = format!("{} {} · {utc} UTC", formats.second(at), formats.zone_name());
    Ok(format!("<time datetime=\"{at}\" title=\"{}\">{}</time>", html_escape(&title), html_escape(&shown)))
}

/// `**bold**` of an escaped text.
fn bold(text: &str) -> String {
    let mut shown = String::new();
    for (at, part) in text.split("**").enumerate() {
        if at % 2 == 1 {
            shown = shown + "<strong>" + part + "</strong>";
        } else {
            shown += part;
        }
    }
    shown
}

/// A call of a helper.
struct Call<'a> {
    helper: &'a Helper<'a>,
    context: &'a Context,
}

/// The part of a page's context that all helpers need.
#[derive(Deserialize)]
struct View {
    language: Language,
    zone: Zone,
    now: Timestamp,
}

impl Call<'_> {
    fn json(&self, at: usize) -> Result<&Json, String> {
        self.helper.param(at).map(handlebars::PathAndJson::value).ok_or_else(|| format!("parameter {at} is missing"))
    }

    fn word(&self, at: usize) -> Result<&str, String> {
        self.json(at)?.as_str().ok_or_else(|| format!("parameter {at} is not a text"))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, at: usize) -> Result<T, String> {
        serde_json::from_value(self.json(at)?.clone()).map_err(|error| format!("parameter {at}: {error}"))
    }

    /// The text of a key, with the named parameters as its values.
    fn text(&self, at: usize) -> Result<Text, String> {
        let mut text = text(self.word(at)?);
        for (name, value) in self.helper.hash() {
            text = match value.value() {
                Json::String(word) => text.with(name, word.as_str()),
                Json::Number(number) => text.count(name, number.as_u64().ok_or("not a whole number")?),
                other => {
                    let inner: Text =
                        serde_json::from_value(other.clone()).map_err(|error| format!("{name}: {error}"))?;
                    text.inner(name, inner)
                }
            };
        }
        Ok(text)
    }

    fn formats(&self) -> Result<Formats, String> {
        let View { language, zone, now } =
            View::deserialize(&self.context.data()["viewer"]).map_err(|error| format!("viewer: {error}"))?;
        Ok(Formats { language, zone, now })
    }
}

fn failed(helper: &Helper<'_>, error: &str) -> RenderError {
    RenderErrorReason::Other(format!("{}: {error}", helper.name())).into()
}

/// A helper that returns a value; text is escaped.
struct Value(fn(&Call) -> Result<Json, String>);

impl HelperDef for Value {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        (self.0)(&Call { helper, context }).map(ScopedJson::Derived).map_err(|error| failed(helper, &error))
    }
}

/// A helper that returns markup.
struct Markup(fn(&Call) -> Result<String, String>);

impl HelperDef for Markup {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        context: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let markup = (self.0)(&Call { helper, context }).map_err(|error| failed(helper, &error))?;
        Ok(out.write(&markup)?)
    }
}
