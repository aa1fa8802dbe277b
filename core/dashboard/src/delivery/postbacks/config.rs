//! The configuration of a postback as its page shows it: an example of its request, and the values.

use domain::delivery::postback::Postback;
use domain::ids::PostbackId;
use domain::people::actor::Actor;
use engine::Error;
use engine::app::App;
use engine::delivery::postbacks::{self, PostbackData, PreviewOptions};
use serde::Serialize;
use serde_json::Value;

use crate::shell::texts::{Text, plain, text};

/// The most lines of a configuration.
const VALUES_MAX: usize = 60;
/// The number of colours of values.
const COLOURS: usize = 6;

/// A request with sample values, in parts that the page colours.
#[derive(Debug, Default, Serialize)]
pub struct ExampleRequest {
    method: String,
    url: ColouredUrl,
    body: Option<String>,
    /// Why there is no example.
    error: Option<Text>,
}

#[derive(Debug, Default, Serialize)]
pub struct ColouredUrl {
    scheme: String,
    host: String,
    path: String,
    parameters: Vec<Parameter>,
}

#[derive(Debug, Serialize)]
struct Parameter {
    separator: char,
    name: String,
    value: String,
    /// The number of its colour, `c` for a secret, or `x` for an empty value.
    mark: String,
}

impl ColouredUrl {
    /// The parts of a URL. Secrets are `***`.
    pub fn of(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = address.split_at(address.find('/').unwrap_or(address.len()));
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).enumerate();
        let parameters = pairs.map(|(at, pair)| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let mark = match value {
                "" => "x".to_owned(),
                secret if secret.contains("***") => "c".to_owned(),
                _ => (at % COLOURS + 1).to_string(),
            };
            let separator = if at == 0 { '?' } else { '&' };
            Parameter { separator, name: name.to_owned(), value: value.to_owned(), mark }
        });
        Self { scheme: scheme.into(), host: host.into(), path: path.into(), parameters: parameters.collect() }
    }
}

impl ExampleRequest {
    /// Renders the request with the sample of the rule. Nothing is sent.
    pub async fn load(app: &App, actor: Actor, id: PostbackId) -> Result<Self, Error> {
        let same = |postback: &Postback| Ok(data_of(postback));
        let preview = match postbacks::preview_change(app, actor, id, same, PreviewOptions::default()).await {
            Ok(preview) => preview,
            Err(error @ (Error::Database(_) | Error::NotFound { .. })) => return Err(error),
            Err(error) => return Ok(Self::failed(plain(error.to_string()))),
        };
        Ok(match preview.request {
            Ok(request) => Self {
                method: request.method,
                url: ColouredUrl::of(&request.url),
                body: request.body.filter(|body| !body.is_empty()),
                error: None,
            },
            Err(error) => Self::failed(plain(error.to_string())),
        })
    }

    fn failed(why: Text) -> Self {
        Self { error: Some(text("postback_page.no_example").inner("why", why)), ..Self::default() }
    }
}

/// The data of a postback, to be changed in part.
pub fn data_of(postback: &Postback) -> PostbackData {
    PostbackData {
        name: postback.name.clone(),
        config: postback.config.clone(),
        rule: postback.rule.clone(),
        ordering: postback.ordering,
        enabled: postback.enabled,
    }
}

/// A value of a configuration.
#[derive(Debug, Serialize)]
pub struct ConfigValue {
    name: String,
    value: String,
    is_secret: bool,
}

/// The values of a configuration, whose secrets are masked. A parameter of a list has its own name.
pub fn values(config: &Value) -> Vec<ConfigValue> {
    let mut found = Vec::new();
    add("", config, &mut found);
    found.truncate(VALUES_MAX);
    found
}

fn add(name: &str, value: &Value, found: &mut Vec<ConfigValue>) {
    let push = |found: &mut Vec<ConfigValue>, name: &str, value: String| {
        found.push(ConfigValue { name: name.to_owned(), is_secret: value.starts_with("••••"), value });
    };
    match value {
        Value::Null => {}
        Value::Object(members) => match (members.get("name"), members.get("macro"), members.get("value")) {
            (Some(Value::String(own)), Some(Value::String(token)), _) => push(found, own, format!("{{{token}}}")),
            (Some(Value::String(own)), None, Some(Value::String(fixed))) => push(found, own, fixed.clone()),
            _ => members.iter().for_each(|(member, it)| {
                let name = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                add(&name, it, found);
            }),
        },
        Value::Array(items) if items.iter().all(Value::is_object) => items.iter().for_each(|it| add(name, it, found)),
        Value::String(text) => push(found, name, text.clone()),
        other => push(found, name, other.to_string()),
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;

    pub fn examples() -> [ExampleRequest; 3] {
        let url = ColouredUrl::of("https://tracker.example:8080/postback/<b>?cid=w8KQ&payout=14.70&key=***&empty=");
        [
            ExampleRequest { method: "GET".into(), url, body: None, error: None },
            ExampleRequest {
                method: "POST".into(),
                url: ColouredUrl::of("https://crm.example/hook"),
                body: Some("{\"id\": \"<b>\"}".into()),
                error: None,
            },
            ExampleRequest::failed(plain("it is <b> off")),
        ]
    }

    #[test]
    fn a_url_is_split_and_its_secrets_are_marked() {
        let url = ColouredUrl::of("https://t.example/p?cid=1&key=***&x=");
        assert_eq!((url.scheme.as_str(), url.host.as_str(), url.path.as_str()), ("https", "t.example", "/p"));
        let marks: Vec<_> =
            url.parameters.iter().map(|it| format!("{}{}:{}", it.separator, it.name, it.mark)).collect();
        assert_eq!(marks, ["?cid:1", "&key:c", "&x:x"]);
    }

    #[test]
    fn parameters_are_listed_by_their_own_names() {
        let config = serde_json::json!({"base_url": "https://t.example", "secrets": {"key": "••••ab"},
            "parameters": [{"name": "cid", "macro": "click_id"}], "custom": [{"name": "s", "value": "x"}], "retry": null});
        let listed: Vec<_> = values(&config).into_iter().map(|it| (it.name, it.value, it.is_secret)).collect();
        let wanted = [
            ("base_url", "https://t.example", false),
            ("s", "x", false),
            ("cid", "{click_id}", false),
            ("secrets.key", "••••ab", true),
        ];
        let mut listed: Vec<_> =
            listed.iter().map(|(name, value, secret)| (name.as_str(), value.as_str(), *secret)).collect();
        listed.sort_unstable();
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        assert_eq!(listed, wanted);
    }
}
