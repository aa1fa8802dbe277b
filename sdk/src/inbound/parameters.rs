//! The parameters of an inbound request, from its query, form or JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::types::*;
use crate::url;

use super::multipart;

/// The maximum number of parameters of one request, and of the bytes of their names. A body of 64 KiB can have more only if
/// it is made for that.
const MAX_PARAMETERS: usize = 5_000;
const MAX_NAME_BYTES: usize = 1 << 20;
/// The maximum nesting depth in a JSON body. Values that are nested deeper are not read.
const MAX_DEPTH: usize = 10;

/// The maximum number of reports in the array of a body.
pub(super) const MAX_REPORTS: usize = 100;

/// The decoded pairs of a query or form, in the spellings that networks send. A URL that was copied from HTML has `&amp;`
/// between its pairs. A URL to which another query was appended has a second `?`; it separates two pairs if a name follows
/// it, and no path or address is before it.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in url::pairs(text.trim_start_matches('?')) {
        let mut plain = name.trim().trim_start_matches('?');
        while let Some(rest) = plain.strip_prefix("amp;") {
            plain = rest;
        }
        let mut add = |name: &str, value: &str| {
            if !name.is_empty() || !value.is_empty() {
                pairs.push((name.to_owned(), value.to_owned()));
            }
        };
        match second_query(&value).or_else(|| entity_in(&value)) {
            Some((value, other_name, other_value)) => {
                add(&with_entity(plain), value);
                add(&other_name, other_value);
            }
            None => add(&with_entity(plain), &value),
        }
    }
    pairs
}

/// Characters that HTML reads into the beginning of a name after `&`, and that beginning: `&currency=` becomes `¤cy=`.
const ENTITIES: [(char, &str); 11] = [
    ('¤', "curren"),
    ('®', "reg"),
    ('§', "sect"),
    ('¬', "not"),
    ('©', "copy"),
    ('¶', "para"),
    ('×', "times"),
    ('°', "deg"),
    ('µ', "micro"),
    ('£', "pound"),
    ('¥', "yen"),
];

/// The name with its own beginning instead of the character that HTML made of it.
fn with_entity(name: &str) -> String {
    let first = name.chars().next();
    match ENTITIES.iter().find(|(character, _)| Some(*character) == first) {
        Some((character, beginning)) => name.replacen(*character, beginning, 1),
        None => name.to_owned(),
    }
}

/// `T1`, `currency` and `EUR` for `T1¤cy=EUR`.
fn entity_in(value: &str) -> Option<(&str, String, &str)> {
    let start = value.find(|c| ENTITIES.iter().any(|(character, _)| *character == c))?;
    let (first, rest) = value.split_at(start);
    let (name, other) = rest.split_once('=')?;
    let letters = name.chars().skip(1);
    let is_name = letters.clone().count() > 0 && letters.clone().all(|c| c.is_ascii_lowercase() || c == '_');
    (is_name && !first.contains(['/', ':'])).then(|| (first, with_entity(name), other))
}

/// `7`, `tid` and `T1` for `7?tid=T1`.
fn second_query(value: &str) -> Option<(&str, String, &str)> {
    let (first, rest) = value.split_once('?')?;
    let (name, other) = rest.split_once('=')?;
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_letter);
    (is_name && !first.contains(['/', ':'])).then(|| (first, name.to_owned(), other))
}

pub(super) const TOO_MANY_REPORTS: &str = "the body has more than 100 reports; send at most 100 in one request";

/// The beginning of a name that means a header, such as `header.X-Shopify-Topic`.
const HEADER: &str = "header.";

/// All parameters of one request: those of the query first, then those of the body.
#[derive(Debug, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    /// The values of JSON in a field of a query or form.
    within_fields: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    unreadable: Option<&'static str>,
    name_bytes: usize,
    is_cut: bool,
}

impl Parameters {
    /// Reads the query and the body of a request with one report. A body is a form (`a=1&b=2`), a form of parts
    /// (multipart/form-data) or a JSON object, whichever it looks like: some networks send another content type than the
    /// body's. Names in nested objects are joined by a point (`order.id`), and numbers keep their digits. A body of any other
    /// kind, or with several reports, is [`unreadable`](Self::unreadable).
    pub fn read(request: &InboundRequest) -> Self {
        let mut reports = Self::read_all(request);
        match (reports.pop(), reports.is_empty()) {
            (Some(read), true) => read,
            _ => Self {
                unreadable: Some("the body has several reports, and only one can be read"),
                ..Self::of_query(request)
            },
        }
    }

    /// Like [`read`](Self::read), for a request with any number of reports: the body can be an array of JSON objects. Each
    /// report has the parameters of the query too. There is always at least one.
    pub fn read_all(request: &InboundRequest) -> Vec<Self> {
        let body = String::from_utf8_lossy(&request.body);
        let body = body.trim_start_matches('\u{feff}').trim();
        let mut read = Self::of_query(request);
        if body.is_empty() {
            return vec![read];
        }
        let kind = content_type(&request.headers);
        let lower_kind = kind.to_ascii_lowercase();
        let is_json = body.starts_with(['{', '[']);
        if is_json && body.starts_with('[') {
            return Self::read_array(request, body);
        } else if is_json || (lower_kind.contains("json") && !looks_like_form(body)) {
            read.read_json(body);
        } else if lower_kind.contains("multipart") {
            match multipart::fields(&kind, body) {
                Some(fields) => read.add_form(fields),
                None => read.unreadable = Some("the body is called multipart/form-data, but its parts cannot be found"),
            }
        } else if lower_kind.contains("xml") || body.starts_with('<') {
            read.unreadable = Some("the body is neither a form (application/x-www-form-urlencoded) nor a JSON object");
        } else {
            read.add_form(pairs(body));
        }
        vec![read]
    }

    fn of_query(request: &InboundRequest) -> Self {
        let pair = |field: &Field| (field.name.clone(), field.value.clone());
        let headers = request.headers.iter().map(pair).collect();
        let mut read = Self { headers, ..Self::default() };
        read.add_form(request.query.iter().map(pair).collect());
        read
    }

    /// Adds a parameter, unless there are too many.
    fn add(&mut self, name: String, value: String) {
        self.name_bytes += name.len();
        if self.pairs.len() < MAX_PARAMETERS && self.name_bytes <= MAX_NAME_BYTES {
            self.pairs.push((name, value));
        } else {
            self.is_cut = true;
            self.unreadable = Some("the request has more values than are read, 5,000");
        }
    }

    /// Adds the pairs of a query or form. Some networks send JSON in one of its fields; its values are added with the name
    /// of the field before theirs.
    fn add_form(&mut self, fields: Vec<(String, String)>) {
        for (name, value) in fields {
            let json = serde_json::from_str::<&RawValue>(&value).ok().filter(|json| json.get().starts_with(['{', '[']));
            if let Some(json) = json {
                let mut within = Self::default();
                within.flatten(&name, json, 0);
                self.within_fields.extend(within.pairs);
                self.is_cut |= within.is_cut;
                self.unreadable = self.unreadable.or(within.unreadable);
            }
            self.add(name, value);
        }
    }

    /// The reports of an array of objects.
    fn read_array(request: &InboundRequest, body: &str) -> Vec<Self> {
        let unreadable = |reason| vec![Self { unreadable: Some(reason), ..Self::of_query(request) }];
        let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(body) else {
            return unreadable("the body is not valid JSON");
        };
        if values.is_empty() || !values.iter().all(|value| value.get().starts_with('{')) {
            return unreadable("the body is JSON, but not an object with names and values, or an array of objects");
        }
        if values.len() > MAX_REPORTS {
            return unreadable(TOO_MANY_REPORTS);
        }
        let report = |value: &RawValue| {
            let mut read = Self::of_query(request);
            read.flatten("", value, 0);
            read
        };
        values.into_iter().map(report).collect()
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
        if self.is_cut || depth > MAX_DEPTH {
            return;
        }
        match text.as_bytes().first() {
            Some(b'{') => {
                let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(text).unwrap_or_default();
                // Lists last: they are the longest.
                let (lists, others): (Vec<_>, Vec<_>) =
                    members.into_iter().partition(|(_, value)| value.get().starts_with('['));
                for (inner, value) in others.into_iter().chain(lists) {
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
            Some(b'"') => self.add(name.into(), serde_json::from_str(text).unwrap_or_default()),
            Some(b'n') => self.add(name.into(), String::new()),
            _ => self.add(name.into(), without_exponent(text)),
        }
    }

    /// The first value with this name that is not empty, the query before the body. If the exact name does not occur, upper
    /// and lower case are equal.
    ///
    /// `header.X-Shopify-Topic` is the value of a header. `items[kind=sale].id` is a value of the first element of a list
    /// whose `kind` is `sale`. `paid|price` is the first of these parameters that has a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.among(|it| it == name)
            .or_else(|| self.among(|it| it.eq_ignore_ascii_case(name)))
            .or_else(|| self.header(name))
            .or_else(|| self.alternative(name))
            .or_else(|| self.element(name))
    }

    fn alternative(&self, names: &str) -> Option<&str> {
        let mut names = names.split('|').filter(|_| names.contains('|'));
        names.find_map(|name| self.get(name).filter(|value| !value.trim().is_empty()))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let name = name.get(HEADER.len()..).filter(|_| name[..HEADER.len()].eq_ignore_ascii_case(HEADER))?;
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn element(&self, name: &str) -> Option<&str> {
        let (list, rest) = name.split_once('[')?;
        let (condition, member) = rest.split_once(']')?;
        let (field, wanted) = condition.split_once('=')?;
        let index = self.all().find_map(|(name, value)| {
            let (index, found) = name.strip_prefix(list)?.strip_prefix('.')?.split_once('.')?;
            (found == field && value == wanted).then_some(index)
        })?;
        let name = format!("{list}.{index}{member}");
        self.among(|it| it == name)
    }

    /// One for each object in a list; none if there is no such list. Names of an element follow that of the list:
    /// `items.price` instead of `items.0.price`. Each has what is beside the list too.
    pub fn elements(&self, list: &str) -> Vec<Self> {
        let place = |name: &str| -> Option<usize> {
            let (index, _) = name.strip_prefix(list)?.strip_prefix('.')?.split_once('.')?;
            index.parse().ok()
        };
        let places: BTreeSet<usize> = self.all().filter_map(|(name, _)| place(name)).collect();
        let of = |index: usize, pairs: &[(String, String)]| -> Vec<(String, String)> {
            let own = format!("{list}.{index}.");
            let pair = |(name, value): &(String, String)| match name.strip_prefix(&own) {
                Some(inner) => Some((format!("{list}.{inner}"), value.clone())),
                None => place(name).is_none().then(|| (name.clone(), value.clone())),
            };
            pairs.iter().filter_map(pair).collect()
        };
        let element = |index| Self {
            pairs: of(index, &self.pairs),
            within_fields: of(index, &self.within_fields),
            headers: self.headers.clone(),
            ..Self { unreadable: self.unreadable, is_cut: self.is_cut, ..Self::default() }
        };
        places.into_iter().map(element).collect()
    }

    fn among(&self, is_it: impl Fn(&str) -> bool) -> Option<&str> {
        let mut values = self.all().filter(|(name, _)| is_it(name)).map(|(_, value)| value.as_str());
        let first = values.next()?;
        if first.trim().is_empty() {
            values.find(|value| !value.trim().is_empty()).or(Some(first))
        } else {
            Some(first)
        }
    }

    fn all(&self) -> impl Iterator<Item = &(String, String)> {
        self.pairs.iter().chain(&self.within_fields)
    }

    /// All names and values in order, as they were sent: without those of JSON in a field of a query or form.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The reason why the body could not be read; `None` if it was read or is empty.
    pub fn unreadable(&self) -> Option<&'static str> {
        self.unreadable
    }

    /// Whether values were left out because there are too many.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The name of the parameter that marks a test, as in `test=1`, `meta.test_mode=true` or `livemode=false`; `None` if
    /// there is none.
    pub fn test_mark(&self) -> Option<&str> {
        const NAMES: [&str; 6] = ["is_test", "istest", "test_mode", "testmode", "test_ipn", "sandbox"];
        const YES: [&str; 4] = ["1", "true", "yes", "on"];
        const NO: [&str; 4] = ["0", "false", "no", "off"];
        let is_mark = |name: &str, value: &str| {
            let among = |words: &[&str], it: &str| words.iter().any(|word| word.eq_ignore_ascii_case(it));
            let last = name.rsplit('.').next().unwrap_or_default();
            (among(&["test"], name) || among(&NAMES, last)) && among(&YES, value)
                || among(&["livemode", "live_mode"], last) && among(&NO, value)
        };
        self.iter().find(|(name, value)| is_mark(name, value)).map(|(name, _)| name)
    }
}

fn content_type(headers: &[Field]) -> String {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-type"));
    header.map(|header| header.value.clone()).unwrap_or_default()
}

/// Whether a body that is called JSON is a form: `a=1&b=2`.
fn looks_like_form(body: &str) -> bool {
    let name = body.split('=').next().unwrap_or_default();
    body.contains('=')
        && !name.is_empty()
        && !name.contains(['"', '<', '{', ':'])
        && !name.contains(char::is_whitespace)
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

    fn request(query: &[(&str, &str)], content_type: &str, body: &str) -> InboundRequest {
        let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
        InboundRequest {
            method: HttpMethod::Post,
            path: "/in/key".into(),
            query: query.iter().map(|(name, value)| field(name, value)).collect(),
            headers: vec![field("Content-Type", content_type)],
            body: body.into(),
            remote_ip: None,
        }
    }

    fn read(query: &[(&str, &str)], content_type: &str, body: &str) -> Parameters {
        Parameters::read(&request(query, content_type, body))
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
    fn each_object_in_a_list_is_a_report() {
        let json = r#"{"order":"7","items":[null,{"id":"a","price":{"sum":1}},{"id":"b"}],"itemset":{"0":{"id":"c"}}}"#;
        let elements = read(&[("sub", "c1")], "application/json", json).elements("items");
        let names = ["sub", "order", "items.id", "items.price.sum", "itemset.0.id"];
        let shown: Vec<_> = elements.iter().map(|it| names.map(|name| it.get(name).unwrap_or_default())).collect();
        assert_eq!(shown, [["c1", "7", "a", "1", "c"], ["c1", "7", "b", "", "c"]]);
        for json in [r#"{"order":"7","items":[]}"#, r#"{"order":"7","items":[null]}"#, r#"{"order":"7"}"#] {
            assert_eq!(read(&[], "application/json", json).elements("items").len(), 0, "{json}");
        }
    }

    #[test]
    fn a_long_order_keeps_what_is_beside_its_lines() {
        let line = r#"{"sku":"a","price":1,"tax":[{"rate":1,"title":"b"}],"properties":[{"name":"c","value":"d"}]}"#;
        let lines = vec![line; 100].join(",");
        let deep = r#"{"a":{"b":{"c":{"d":{"e":{"id":"7"}}}}}}"#;
        let order = format!(r#"{{"id":71,"line_items":[{lines}],"status":"cancelled","z":{deep}}}"#);
        let read = read(&[], "application/json", &order);
        assert_eq!((read.get("status"), read.get("z.a.b.c.d.e.id")), (Some("cancelled"), Some("7")));
        assert_eq!((read.get("line_items.99.price"), read.is_cut()), (Some("1"), false));
    }

    #[test]
    fn a_body_is_read_as_what_it_looks_like() {
        let multipart = "--X9\r\nContent-Disposition: form-data; name=\"subid\"\r\n\r\nc 1\r\n--X9\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; name=sum\r\n\r\n12.50\r\n--X9--\r\n";
        for (content_type, body) in [
            ("application/json", "subid=c+1&sum=12.50"),
            ("application/x-www-form-urlencoded", r#"{"subid":"c 1","sum":12.50}"#),
            ("text/plain", "subid=c+1&amp;sum=12.50"),
            ("multipart/form-data; boundary=X9", multipart),
            ("multipart/form-data; charset=utf-8; boundary=\"X9\"", multipart),
            ("application/json", r#"[{"subid":"c 1","sum":12.50}]"#),
        ] {
            let read = read(&[("x", "1")], content_type, body);
            assert_eq!(read.unreadable(), None, "{body}");
            assert_eq!(
                (read.get("subid"), read.get("sum"), read.get("x")),
                (Some("c 1"), Some("12.50"), Some("1")),
                "{body}"
            );
        }
        let array = request(&[("x", "1")], "application/json", r#"[{"subid":"a"},{"subid":"b"}]"#);
        let subids: Vec<_> =
            Parameters::read_all(&array).iter().map(|it| it.get("subid").unwrap().to_owned()).collect();
        assert_eq!(subids, ["a", "b"]);
        assert!(Parameters::read(&array).unreadable().is_some(), "an adapter that expects one report gets none");
    }

    #[test]
    fn the_spellings_of_a_query_are_understood() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let wanted = [pair("cid", "a"), pair("tid", "T 1")];
        for query in [
            "cid=a&tid=T+1",
            "cid=a&amp;tid=T%201",
            "cid=a&amp;amp;tid=T 1",
            "?cid=a&tid=T+1",
            "cid=a?tid=T+1",
            "&cid=a&&tid=T+1&",
            "cid=a&?tid=T+1",
        ] {
            assert_eq!(pairs(query), wanted, "{query}");
        }
        let with_currency = [pair("tid", "T1"), pair("currency", "EUR")];
        for query in ["tid=T1¤cy=EUR", "tid=T1%C2%A4cy=EUR", "tid=T1&¤cy=EUR", "tid=T1&amp;currency=EUR"] {
            assert_eq!(pairs(query), with_currency, "{query}");
        }
        assert_eq!(pairs("id=7®ion=de"), [pair("id", "7"), pair("region", "de")]);
        assert_eq!(pairs("price=£5&law=§ 5=x&u=§="), [pair("price", "£5"), pair("law", "§ 5=x"), pair("u", "§=")]);
        assert_eq!(pairs("url=https%3A%2F%2Fs.example%2F%3Fq%3D1%26%C2%A3x%3D2").len(), 1);
        for query in ["u=https://x.example/?a=1", "u=/p?a=1", "q=what?", "q=really?yes no=1"] {
            assert_eq!(pairs(query).len(), 1, "{query}");
        }
    }

    #[test]
    fn a_body_of_another_kind_is_unreadable() {
        for (content_type, body) in [
            ("application/json", "{"),
            ("application/json", "[1]"),
            ("application/json", "[]"),
            ("application/json", "\"a=1\""),
            ("text/xml", "<a/>"),
            ("", "<a/>"),
            ("multipart/form-data; boundary=x", "--y"),
            ("multipart/form-data", "--x"),
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
        let cut = read(&[], "", &many);
        assert_eq!((cut.iter().count(), cut.is_cut()), (MAX_PARAMETERS, true));
        let name = "n".repeat(30_000);
        let members = (0..500).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(",");
        let long_names = read(&[], "application/json", &format!("{{\"{name}\":{{{members}}}}}"));
        assert!(long_names.is_cut() && long_names.iter().count() < 40);
        assert_eq!(read(&[], "", "a=%ff&%=1").get("a"), Some("ÿ"));
    }

    #[test]
    fn headers_elements_of_lists_and_json_in_a_field_have_names() {
        let json =
            r#"{"notes":[{"name":"a","value":"1"},{"name":"click","value":"c1","deep":{"id":"7"}}],"header.x":"own"}"#;
        let of_json = read(&[], "application/json", json);
        let form = format!("push={}&b=2", crate::url::encode(json));
        let of_form = read(&[], "", &form);
        let of_query = read(&[("push", json)], "", "");
        for (read, prefix) in [(&of_json, ""), (&of_form, "push."), (&of_query, "push.")] {
            let get = |name: &str| read.get(&format!("{prefix}{name}"));
            assert_eq!(get("notes[name=click].value"), Some("c1"), "{prefix}");
            assert_eq!(get("notes[name=click].deep.id"), Some("7"), "{prefix}");
            for absent in ["notes[name=b].value", "notes[name=click].other", "notes[name]", "notes[", "other[a=b].c"] {
                assert_eq!(get(absent), None, "{absent}");
            }
        }
        assert_eq!((of_form.get("push"), of_form.get("b")), (Some(json), Some("2")), "the field itself stays");
        assert_eq!(of_form.get("Header.content-TYPE"), Some(""));
        assert_eq!(of_json.get("header.Content-Type"), Some("application/json"));
        assert_eq!(of_json.get("header.x"), Some("own"), "a parameter comes first");
        assert_eq!(of_form.get("a|b|push"), Some("2"), "the first that has a value");
        assert_eq!(of_form.get("a|"), None);
        assert_eq!((of_json.get("header."), of_json.get("header.y"), of_json.get("häader")), (None, None, None));
    }

    #[test]
    fn a_test_parameter_is_found() {
        assert_eq!(read(&[("is_test", "TRUE")], "", "").test_mark(), Some("is_test"));
        assert_eq!(read(&[("test", "0"), ("livemode", "true")], "", "").test_mark(), None);
        for (name, value) in [("meta.test_mode", "true"), ("test_ipn", "1"), ("data.object.livemode", "false")] {
            assert_eq!(read(&[(name, value)], "", "").test_mark(), Some(name));
        }
    }
}
