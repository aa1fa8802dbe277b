//! Templates: how a real network, tracker or CRM is connected, and which values a person must supply.
//!
//! A template is a configuration with `{{field}}` in place of the person's own values. Filling it in is pure; the
//! adapter validates the result.

mod keys;
mod refill;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::pasted;

/// The kind of system that a template connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateKind)]
pub enum Kind {
    /// An affiliate network.
    Network,
    /// A tracker.
    Tracker,
    /// An advertising platform.
    AdPlatform,
    /// A CRM.
    Crm,
}

/// The direction of the requests. `outbound`: Postrider sends them to the system. `inbound`: the system sends them to
/// Postrider.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateDirection)]
pub enum Direction {
    /// Postrider sends requests to the system.
    Outbound,
    /// The system sends requests to Postrider.
    Inbound,
}

/// A value that a person must supply.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The placeholder's name: `{{name}}`.
    pub name: String,
    /// A short title for people.
    pub title: String,
    /// Where to find the value, as a sentence.
    pub help: String,
    /// An example of the value.
    pub example: String,
    /// A regular expression that the value must match.
    pub pattern: String,
    /// Whether the value must not be shown on a screen.
    #[serde(default)]
    pub secret: bool,
    /// The value if the person gives none.
    #[serde(default)]
    pub default: Option<String>,
    /// Whether it may have no value. The object of the template with its placeholder is then left out.
    #[serde(default)]
    pub optional: bool,
}

/// One more URL to paste, for networks with a field per status or event.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paste {
    /// Where in the network it is pasted.
    pub r#where: String,
    /// The URL, with `{source_url}` for the address of the source.
    pub url: String,
}

/// One entry of the catalogue; its format is `schemas/template.schema.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Id of the template: `voluum`.
    pub id: String,
    /// The name that people see.
    pub name: String,
    /// Other names under which people look for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What it connects.
    pub kind: Kind,
    /// Which side sends requests.
    pub direction: Direction,
    /// Whether it follows the network's own documentation.
    pub verified: bool,
    /// Id of the adapter.
    pub adapter: String,
    /// The adapter's configuration, with placeholders.
    pub config: Value,
    /// The values that a person must supply.
    pub fields: Vec<Field>,
    /// For inbound templates: how the source interprets the network's words, amounts and times.
    pub source_settings: Option<Value>,
    /// The parameter of the network's link in which Postrider passes its click id.
    pub click_parameter: Option<String>,
    /// The URL that a person pastes into the network: `{source_url}` is the address of the source, every other token is
    /// the network's.
    pub paste: Option<String>,
    /// More URLs to paste.
    #[serde(default)]
    pub also_paste: Vec<Paste>,
    /// The steps to set it up, as sentences.
    pub instructions: Vec<String>,
    /// Remarks, as sentences.
    pub notes: Vec<String>,
    /// URL of the network's documentation.
    pub source: String,
    /// An example that the tests run.
    pub case: Value,
}

/// A template with a person's values filled in.
#[derive(Clone, PartialEq, Debug)]
pub struct Filled {
    /// The adapter's configuration.
    pub config: Value,
    /// The settings of the source, for inbound templates.
    pub source_settings: Option<Value>,
}

/// What is wrong with the value of one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldProblem {
    /// The field.
    pub name: String,
    /// A sentence for people.
    pub message: String,
}

/// How well a template matches a search; smaller is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Match {
    /// The text is the name or the id.
    Whole,
    /// The name or the id begins with the text.
    Start,
    /// The name or the id contains every word, or the letters of the text.
    Words,
}

impl Template {
    /// The configuration with the values of `given`, or every field that is missing, unknown or invalid.
    pub fn fill(&self, given: &BTreeMap<String, String>) -> Result<Filled, Vec<FieldProblem>> {
        let mut problems: Vec<_> =
            given.keys().filter(|name| self.field(name).is_none()).map(|name| self.unknown(name)).collect();
        let mut values = BTreeMap::new();
        for field in &self.fields {
            match field.value(self.meant(field, given.get(&field.name)).as_ref()) {
                Ok(value) => values.extend(value.map(|value| (field.name.as_str(), value))),
                Err(message) => problems.push(FieldProblem { name: field.name.clone(), message }),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let fill = |value: &Value| {
            let mut value = value.clone();
            self.remove_unset(&mut value, &|name| !values.contains_key(name));
            fill_value(&value, &values)
        };
        Ok(Filled { config: fill(&self.config), source_settings: self.source_settings.as_ref().map(fill) })
    }

    /// Removes the objects with a placeholder of an optional field that is not set.
    fn remove_unset(&self, value: &mut Value, is_unset: &impl Fn(&str) -> bool) {
        match value {
            Value::Object(members) => {
                members.retain(|_, member| !self.optional_field(member).is_some_and(is_unset));
                members.values_mut().for_each(|it| self.remove_unset(it, is_unset));
            }
            Value::Array(items) => items.iter_mut().for_each(|it| self.remove_unset(it, is_unset)),
            _ => {}
        }
    }

    /// The optional field that an object has a placeholder of.
    fn optional_field(&self, value: &Value) -> Option<&str> {
        let texts = value.as_object()?.values().filter_map(Value::as_str);
        let mut names = texts.filter_map(|text| next_placeholder(text).map(|(_, name, _)| name));
        let found = names.find_map(|name| self.field(name).filter(|field| field.optional))?;
        Some(&found.name)
    }

    /// How well the template matches a search for `words` by name, other names, id and domain, in any case; `None` if it
    /// does not match.
    pub fn matches(&self, words: &str) -> Option<Match> {
        let asked = words.trim().to_lowercase();
        let (name, id) = (self.name.to_lowercase(), self.id.to_lowercase());
        let aliases = || self.aliases.iter().map(|alias| alias.to_lowercase());
        if asked == name || asked == id || aliases().any(|alias| alias == asked) {
            return Some(Match::Whole);
        }
        let is_own_domain = asked.contains('.') && self.has_domain(&asked);
        if name.starts_with(&asked) || id.starts_with(&asked) || is_own_domain {
            return Some(Match::Start);
        }
        let all = aliases().fold(format!("{name} {}", id.replace('_', " ")), |all, alias| all + " " + &alias);
        // "share a sale" finds ShareASale, too.
        let found =
            asked.split_whitespace().all(|word| all.contains(word)) || letters(&name).contains(&letters(&asked));
        found.then_some(Match::Words)
    }

    /// How many parameters of a pasted URL are those of the template's postbacks, if its path is theirs and every required
    /// parameter is there. A placeholder in the path stands for any segment.
    pub fn shared_parameters(&self, url: &str) -> Option<usize> {
        let (address, query) = url.split_once('?')?;
        let path_of = |address: &str| {
            let path = address.split_once("://")?.1.split_once('/')?.1.trim_end_matches('/');
            (!path.is_empty()).then(|| path.split('/').map(str::to_owned).collect::<Vec<_>>())
        };
        let ours = path_of(self.config["base_url"].as_str()?.split('?').next()?)?;
        let theirs = path_of(address)?;
        let is_same = |(ours, theirs): (&String, &String)| ours == theirs || ours.contains('{');
        if ours.len() != theirs.len() || !ours.iter().zip(&theirs).all(is_same) {
            return None;
        }
        let given: Vec<&str> = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default()).collect();
        let parameters = self.config["parameters"].as_array()?;
        let is_given = |it: &Value| it["name"].as_str().is_some_and(|name| given.contains(&name));
        let is_complete = parameters.iter().filter(|it| it["required"] == true).all(is_given);
        Some(parameters.iter().filter(|it| is_given(it)).count()).filter(|shared| is_complete && *shared >= 2)
    }

    /// Whether a host or a URL belongs to the system: to its documentation or to the address of its requests.
    fn has_domain(&self, asked: &str) -> bool {
        let host = |url: &str| {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            rest.split(['/', '?', ':']).next().unwrap_or_default().to_lowercase()
        };
        let own = [self.config["base_url"].as_str(), self.config["url"].as_str(), Some(self.source.as_str())];
        let asked = host(asked);
        own.into_iter()
            .flatten()
            .map(host)
            .filter(|own| !own.contains("{{"))
            .any(|own| domain_of(&own) == domain_of(&asked))
    }

    /// The given value. A URL that was copied from the network may contain parameters that the template adds itself;
    /// they are removed.
    fn meant(&self, field: &Field, given: Option<&String>) -> Option<String> {
        let base_url = self.config["base_url"].as_str().unwrap_or_default();
        if !base_url.starts_with(&format!("{{{{{}}}}}", field.name)) {
            return given.cloned();
        }
        let pairs = ["parameters", "custom"].into_iter().filter_map(|list| self.config[list].as_array());
        let names: Vec<_> = pairs.flatten().filter_map(|pair| pair["name"].as_str()).collect();
        given.map(|url| pasted::without_parameters(url, &names))
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    fn unknown(&self, name: &str) -> FieldProblem {
        let known: Vec<_> = self.fields.iter().map(|field| field.name.as_str()).collect();
        let message = if known.is_empty() {
            "this template has no fields; leave it out".to_owned()
        } else {
            format!("this template has no such field; its fields are: {}", known.join(", "))
        };
        FieldProblem { name: name.to_owned(), message }
    }
}

impl Field {
    /// `None`: the field is optional and has no value.
    fn value(&self, given: Option<&String>) -> Result<Option<String>, String> {
        let given = given.map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(value) = given.or(self.default.as_deref()) else {
            if self.optional {
                return Ok(None);
            }
            return Err(format!("{} is missing. {}", self.title, self.help));
        };
        if let Some(token) = pasted::token_in(value) {
            return Err(format!(
                "{} still contains {token}; replace it with your own value, or remove that part",
                self.title
            ));
        }
        // With these characters a value could become a macro, or end the JSON text around it.
        if value.contains(['{', '}', '"', '\\']) || value.contains(char::is_control) {
            return Err(format!("{} can't contain braces, quotes, backslashes or line breaks", self.title));
        }
        if !self.admits(value) {
            return Err(format!("{} does not have the expected form; an example is {}", self.title, self.example));
        }
        Ok(Some(value.to_owned()))
    }

    fn admits(&self, value: &str) -> bool {
        let schema = json!({"type": "string", "pattern": self.pattern});
        let pattern = jsonschema::draft202012::new(&schema).expect("a test compiles every pattern of the catalogue");
        pattern.is_valid(&Value::from(value))
    }
}

/// The last two labels of a host, such as `example.com` of `track.example.com`.
fn domain_of(host: &str) -> &str {
    let start = host.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
    &host[start..]
}

fn letters(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).collect()
}

fn fill_value(value: &Value, values: &BTreeMap<&str, String>) -> Value {
    match value {
        Value::String(text) => Value::String(fill_text(text, values)),
        Value::Array(items) => items.iter().map(|item| fill_value(item, values)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), fill_value(value, values))).collect(),
        other => other.clone(),
    }
}

/// Placeholders with other names are the adapter's and stay unchanged.
fn fill_text(text: &str, values: &BTreeMap<&str, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = next_placeholder(rest) {
        out.push_str(before);
        match values.get(name) {
            Some(value) => push_value(&mut out, value, after),
            None => out.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, inner) = text.split_once("{{")?;
    let (name, after) = inner.split_once("}}")?;
    Some((before, name, after))
}

/// Domains are often pasted with a scheme and a slash: both forms are accepted.
fn push_value(out: &mut String, value: &str, after: &str) {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| out.ends_with(scheme));
    let Some(scheme) = scheme else { return out.push_str(value) };
    if value.contains("://") {
        out.truncate(out.len() - scheme.len());
    }
    out.push_str(if after.starts_with('/') { value.trim_end_matches('/') } else { value });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        serde_json::from_value(json!({
            "id": "some_tracker", "name": "Some Tracker", "kind": "tracker", "direction": "outbound", "verified": true,
            "adapter": "macro-url",
            "config": {"base_url": "https://{{domain}}/p/{sub1}", "custom": [{"name": "k", "value": "{{key}}"}], "body": "{{payout}}"},
            "fields": [
                {"name": "domain", "title": "Domain", "help": "Where it is.", "example": "t.example", "pattern": "^[a-z0-9:/.]+$"},
                {"name": "key", "title": "Key", "help": "Yours.", "example": "abc", "pattern": "^.{1,5}$", "default": "none"}
            ],
            "source_settings": null, "click_parameter": null, "paste": null, "instructions": [], "notes": [],
            "source": "https://t.example/", "case": {}
        }))
        .expect("a template")
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_replace_placeholders_and_other_braces_stay() {
        let filled = template().fill(&given(&[("domain", "t.example:8443"), ("key", "a&b")])).expect("it is complete");
        let wanted = json!({
            "base_url": "https://t.example:8443/p/{sub1}", "custom": [{"name": "k", "value": "a&b"}], "body": "{{payout}}"
        });
        assert_eq!(filled.config, wanted);
        assert_eq!(filled.source_settings, None);
    }

    #[test]
    fn a_domain_may_come_with_its_scheme_and_a_slash() {
        for (value, base_url) in [
            ("http://t.example/", "http://t.example/p/{sub1}"),
            ("https://t.example", "https://t.example/p/{sub1}"),
            ("t.example/", "https://t.example/p/{sub1}"),
        ] {
            let filled = template().fill(&given(&[("domain", value)])).expect("it is complete");
            assert_eq!(filled.config["base_url"], base_url);
            assert_eq!(filled.config["custom"][0]["value"], "none", "the default");
        }
    }

    #[test]
    fn a_pasted_url_does_not_repeat_parameters_of_the_template() {
        let mut template = template();
        template.config = json!({"base_url": "{{url}}", "parameters": [{"name": "visitor_id", "macro": "x"}], "custom": [{"name": "k", "value": "{{key}}"}]});
        template.fields[0] =
            Field { name: "url".into(), pattern: "^https?://[^\\s#]+$".into(), ..template.fields[0].clone() };
        let fill = |url| template.fill(&given(&[("url", url)])).map(|filled| filled.config["base_url"].clone());
        let pasted = "https://ad.example/c.php?aid=1&visitor_id=${SUBID}&k=2#top";
        assert_eq!(fill(pasted), Ok(json!("https://ad.example/c.php?aid=1")));
        assert!(fill("https://ad.example/c.php?v=${SUBID}").expect_err("whose is it?")[0].message.contains("${SUBID}"));
    }

    #[test]
    fn every_bad_field_is_named_with_its_title() {
        let problems = |pairs: &[(&str, &str)]| template().fill(&given(pairs)).expect_err("it is refused");
        let issue = |name: &str, message: &str| FieldProblem { name: name.into(), message: message.into() };
        assert_eq!(problems(&[]), [issue("domain", "Domain is missing. Where it is.")]);
        assert_eq!(
            problems(&[("domain", " "), ("key", "abcdef"), ("port", "1")]),
            [
                issue("port", "this template has no such field; its fields are: domain, key"),
                issue("domain", "Domain is missing. Where it is."),
                issue("key", "Key does not have the expected form; an example is abc"),
            ]
        );
        let message = "Key still contains ${KEY}; replace it with your own value, or remove that part";
        assert_eq!(problems(&[("domain", "t.example"), ("key", "${KEY}")]), [issue("key", message)]);
        for value in ["{1}", "a\"b", "a\\b", "a\nb"] {
            let message = "Key can't contain braces, quotes, backslashes or line breaks";
            assert_eq!(problems(&[("domain", "t.example"), ("key", value)]), [issue("key", message)]);
        }
    }

    #[test]
    fn a_pasted_url_is_compared_with_the_template() {
        let mut template = template();
        template.config = json!({
            "base_url": "https://{{domain}}/{secret.key}/postback",
            "parameters": [{"name": "cid", "required": true}, {"name": "payout"}, {"name": "status"}]
        });
        let shared = |url| template.shared_parameters(url);
        assert_eq!(shared("https://x.example/abc/postback?cid={cid}&payout={payout}&other=1"), Some(2));
        assert_eq!(shared("https://x.example/abc/postback?payout={payout}&status={status}"), None, "no cid");
        assert_eq!(shared("https://x.example/abc/other?cid={cid}&payout={payout}"), None, "another path");
        assert_eq!(shared("https://x.example/postback"), None);
    }

    #[test]
    fn a_search_finds_by_name_id_and_words() {
        let found = |words: &str| template().matches(words);
        assert_eq!(found("SOME tracker"), Some(Match::Whole));
        assert_eq!(found("some_tracker"), Some(Match::Whole));
        assert_eq!(found(" some"), Some(Match::Start));
        assert_eq!(found("tracker some"), Some(Match::Words));
        assert_eq!(found("so me track"), Some(Match::Words));
        assert_eq!(found(""), Some(Match::Start));
        assert_eq!(found("other"), None);
        assert_eq!(found("https://t.example/x"), Some(Match::Start), "the domain of its documentation");
        assert_eq!(found("u.example.org"), None);
        let renamed = Template { aliases: vec!["Old Name".into()], ..template() };
        assert_eq!(renamed.matches("old name"), Some(Match::Whole));
        assert_eq!(renamed.matches("old"), Some(Match::Words));
    }
}
