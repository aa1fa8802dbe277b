//! A URL whose values are coloured, so that each of them can be tied to its row.

use serde::Serialize;
use serde_json::Value;

use super::parameters::mark;

/// A URL in parts.
#[derive(Clone, Debug, Serialize)]
pub struct ShownUrl {
    method: String,
    scheme: String,
    host: String,
    path: String,
    parameters: Vec<Part>,
    /// The whole, to copy it.
    url: String,
}

#[derive(Clone, Debug, Serialize)]
struct Part {
    separator: char,
    name: String,
    value: String,
    /// `1` to `6`; `x` for a value that is empty or unknown, `c` for a constant or a secret.
    mark: String,
}

impl ShownUrl {
    /// A URL that was made with a configuration. Its parameters in order have the colours of their rows.
    pub fn new(method: &str, url: &str, config: &Value) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = address.split_at(address.find('/').unwrap_or(address.len()));
        let names = |list: &str| {
            let list = config[list].as_array().into_iter().flatten();
            list.filter_map(|it| it["name"].as_str()).map(str::to_owned).collect::<Vec<_>>()
        };
        let (macros, fixed) = (names("parameters"), names("custom"));
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).enumerate();
        let parameters = pairs.map(|(at, pair)| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = macros.iter().position(|it| it == name);
            let mark = match place {
                _ if value.is_empty() => "x".to_owned(),
                _ if value.contains("***") || fixed.iter().any(|it| it == name) => "c".to_owned(),
                Some(place) => mark(place),
                None => mark(at),
            };
            Part { separator: if at == 0 { '?' } else { '&' }, name: name.to_owned(), value: value.to_owned(), mark }
        });
        Self {
            method: method.to_owned(),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            parameters: parameters.collect(),
            url: url.to_owned(),
        }
    }

    /// The URL of a configuration, with macros in place of values.
    pub fn of_config(config: &Value) -> Self {
        let base = config["base_url"].as_str().or_else(|| config["url"].as_str()).unwrap_or_default();
        let word = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let list = |key: &str| config[key].as_array().cloned().unwrap_or_default();
        let macros = list("parameters").into_iter().map(|it| match word(&it, "macro") {
            known if known.starts_with("secret.") => format!("{}=***", word(&it, "name")),
            known => format!("{}={{{known}}}", word(&it, "name")),
        });
        let fixed = list("custom").into_iter().map(|it| format!("{}={}", word(&it, "name"), word(&it, "value")));
        let query: Vec<_> = macros.chain(fixed).collect();
        let separator = if query.is_empty() {
            ""
        } else if base.contains('?') {
            "&"
        } else {
            "?"
        };
        Self::new("", &format!("{base}{separator}{}", query.join("&")), config)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_the_colours_of_their_rows() {
        let config = json!({
            "base_url": "https://t.example/p?event=sale",
            "parameters": [{"name": "cid", "macro": "click_id"}, {"name": "k", "macro": "secret.k"}, {"name": "sum", "macro": "payout"}],
            "custom": [{"name": "a", "value": "1"}]
        });
        let url = "https://t.example/p?event=sale&cid=x&k=***&sum=&a=1";
        let marks = |url: ShownUrl| url.parameters.into_iter().map(|it| it.mark).collect::<Vec<_>>();
        assert_eq!(marks(ShownUrl::new("GET", url, &config)), ["1", "1", "c", "x", "c"]);
        let shown = ShownUrl::of_config(&config);
        assert_eq!(shown.url, "https://t.example/p?event=sale&cid={click_id}&k=***&sum={payout}&a=1");
        assert_eq!((shown.host.as_str(), shown.path.as_str()), ("t.example", "/p"));
    }
}
