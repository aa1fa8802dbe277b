//! The parameters of an inbound request, from its query, form or JSON.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::types::*;
use crate::url;

/// The maximum number of parameters of one query or body. No network sends so many; further parameters are not read.
const MAX_PARAMETERS: usize = 500;
/// The maximum nesting depth in a JSON body. Values that are nested deeper are not read.
const MAX_DEPTH: usize = 5;

/// All parameters of one request: those of the query first, then those of the body.
#[derive(Debug, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    unreadable: Option<&'static str>,
}

impl Parameters {
    /// Reads the query and the body. A body is a form (`a=1&b=2`) or a JSON object: names in nested objects are joined by a
    /// point (`order.id`), and numbers keep their digits. A body of any other kind is [`unreadable`](Self::unreadable).
    pub fn read(request: &InboundRequest) -> Self {
        let query = request.query.iter().map(|field| (field.name.clone(), field.value.clone()));
        let mut read = Self { pairs: query.take(MAX_PARAMETERS).collect(), unreadable: None };
        let body = String::from_utf8_lossy(&request.body);
        let body = body.trim_start_matches('\u{feff}').trim();
        let kind = content_type(&request.headers);
        if body.is_empty() {
            return read;
        }
        if kind.contains("json") || body.starts_with(['{', '[']) {
            read.read_json(body);
        } else if kind.contains("multipart") || kind.contains("xml") || body.starts_with('<') {
            read.unreadable = Some("the body is neither a form (application/x-www-form-urlencoded) nor a JSON object");
        } else {
            read.pairs.extend(url::pairs(body).take(MAX_PARAMETERS));
        }
        read
    }

    fn read_json(&mut self, body: &str) {
        match serde_json::from_str::<&RawValue>(body) {
            Ok(value) if value.get().starts_with('{') => self.flatten("", value, 0),
            Ok(_) => self.unreadable = Some("the body is JSON, but not an object with names and values"),
            Err(_) => self.unreadable = Some("the body is not valid JSON"),
        }
    }

    /// Numbers and words are kept as they were written, because a float would change the digits.
    fn flatten(&mut self, name: &str, value: &RawValue, depth: usize) {
        let text = value.get();
        if self.pairs.len() >= MAX_PARAMETERS || depth > MAX_DEPTH {
            return;
        }
        match text.as_bytes().first() {
            Some(b'{') => {
                for (inner, value) in serde_json::from_str::<BTreeMap<String, &RawValue>>(text).unwrap_or_default() {
                    let name = if name.is_empty() { inner } else { format!("{name}.{inner}") };
                    self.flatten(&name, value, depth + 1);
                }
            }
            Some(b'[') => {
                for (index, value) in
                    serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default().into_iter().enumerate()
                {
                    self.flatten(&format!("{name}.{index}"), value, depth + 1);
                }
            }
            Some(b'"') => self.pairs.push((name.into(), serde_json::from_str(text).unwrap_or_default())),
            Some(b'n') => self.pairs.push((name.into(), String::new())),
            _ => self.pairs.push((name.into(), without_exponent(text))),
        }
    }

    /// The first value with this name that is not empty, the query before the body. If the exact name does not occur, upper
    /// and lower case are equal.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.among(|it| it == name).or_else(|| self.among(|it| it.eq_ignore_ascii_case(name)))
    }

    fn among(&self, is_it: impl Fn(&str) -> bool) -> Option<&str> {
        let mut values = self.pairs.iter().filter(|(name, _)| is_it(name)).map(|(_, value)| value.as_str());
        let first = values.next()?;
        if first.trim().is_empty() {
            values.find(|value| !value.trim().is_empty()).or(Some(first))
        } else {
            Some(first)
        }
    }

    /// All names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The reason why the body could not be read; `None` if it was read or is empty.
    pub fn unreadable(&self) -> Option<&'static str> {
        self.unreadable
    }

    /// The name of the parameter that marks a test, as in `test=1` or `is_test=true`; `None` if there is none.
    pub fn test_mark(&self) -> Option<&str> {
        const NAMES: [&str; 5] = ["test", "is_test", "istest", "test_mode", "testmode"];
        const YES: [&str; 4] = ["1", "true", "yes", "on"];
        let is_mark = |name: &str, value: &str| {
            let among = |words: &[&str], it: &str| words.iter().any(|word| word.eq_ignore_ascii_case(it));
            among(&NAMES, name) && among(&YES, value)
        };
        self.iter().find(|(name, value)| is_mark(name, value)).map(|(name, _)| name)
    }
}

fn content_type(headers: &[Field]) -> String {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-type"));
    header.map(|header| header.value.to_ascii_lowercase()).unwrap_or_default()
}

/// The number without an exponent. Some JSON writers use 3.0E-5 for 0.00003, which is not accepted as an amount.
fn without_exponent(number: &str) -> String {
    match number.parse::<f64>() {
        Ok(float) if number.contains(['e', 'E']) && float.abs() < 1e18 => format!("{float}"),
        _ => number.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)], content_type: &str, body: &str) -> Parameters {
        let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
        Parameters::read(&InboundRequest {
            method: HttpMethod::Post,
            path: "/in/key".into(),
            query: query.iter().map(|(name, value)| field(name, value)).collect(),
            headers: vec![field("Content-Type", content_type)],
            body: body.into(),
            remote_ip: None,
        })
    }

    #[test]
    fn query_form_and_json_are_read_alike() {
        let query = read(&[("subid", "c 1"), ("sum", "12.50")], "", "");
        let form = read(&[], "application/x-www-form-urlencoded", "subid=c+1&sum=12.50");
        let json = read(&[], "application/json; charset=utf-8", r#"{"subid":"c 1","sum":12.50}"#);
        let untyped = read(&[], "", "\u{feff} {\"subid\":\"c 1\",\"sum\":\"12.50\"}");
        for read in [query, form, json, untyped] {
            assert_eq!((read.get("subid"), read.get("sum"), read.get("st")), (Some("c 1"), Some("12.50"), None));
        }
    }

    #[test]
    fn the_query_comes_first_unless_it_is_empty_there() {
        let both = read(&[("a", "query"), ("b", ""), ("c", "")], "", "a=body&b=body");
        assert_eq!((both.get("a"), both.get("b"), both.get("c")), (Some("query"), Some("body"), Some("")));
        assert_eq!(both.get("A"), Some("query"));
        let cased = read(&[("sub", "1"), ("SUB", "2")], "", "");
        assert_eq!((cased.get("SUB"), cased.get("Sub")), (Some("2"), Some("1")));
    }

    #[test]
    fn json_keeps_its_digits_and_nested_names_have_points() {
        let json = r#"{"order":{"id":12345678901234567890123,"items":[{"sku":"a"}]},"payout":3.0E-5,"ok":true,"none":null,"e":"1e3"}"#;
        let read = read(&[], "application/json", json);
        assert_eq!(read.get("order.id"), Some("12345678901234567890123"));
        assert_eq!(read.get("order.items.0.sku"), Some("a"));
        assert_eq!(read.get("payout"), Some("0.00003"));
        assert_eq!((read.get("ok"), read.get("none"), read.get("e")), (Some("true"), Some(""), Some("1e3")));
    }

    #[test]
    fn a_body_of_another_kind_is_unreadable() {
        for (content_type, body) in [
            ("application/json", "{"),
            ("application/json", "[1]"),
            ("text/xml", "<a/>"),
            ("", "<a/>"),
            ("multipart/form-data; boundary=x", "--x"),
        ] {
            let read = read(&[("a", "1")], content_type, body);
            assert!(read.unreadable().is_some(), "{body}");
            assert_eq!(read.get("a"), Some("1"));
        }
        assert_eq!(read(&[], "", "").unreadable(), None);
    }

    #[test]
    fn hostile_bodies_are_bounded() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        assert_eq!(read(&[], "application/json", &deep).iter().count(), 0);
        let deeper = "[".repeat(100_000);
        assert!(read(&[], "application/json", &deeper).unreadable().is_some());
        let many = (0..10_000).map(|n| format!("a{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(read(&[], "", &many).iter().count(), MAX_PARAMETERS);
        assert_eq!(read(&[], "", "a=%ff&%=1").get("a"), Some("\u{fffd}"));
    }

    #[test]
    fn a_test_parameter_is_found() {
        assert_eq!(read(&[("is_test", "TRUE")], "", "").test_mark(), Some("is_test"));
        assert_eq!(read(&[("test", "0")], "", "").test_mark(), None);
    }
}
