//! JSON as text: reads a body as a value, refuses a name that occurs twice in an object, and says in plain words where
//! a text is not JSON.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::sentences::BodyError;
use crate::errors::Problem;

/// Reads a body.
///
/// # Errors
/// It is not JSON, or a name occurs twice in an object.
pub fn parse(body: &[u8]) -> Result<Value, Problem> {
    let twice = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = ValueReader { place: None, twice: &twice }.deserialize(&mut reader);
    read.and_then(|value| reader.end().map(|()| value)).map_err(|error| match twice.take() {
        Some(twice) => Problem::from(engine::Error::from(twice)),
        None => Problem::bad_request("invalid_json", format!("the body is not JSON: {}", sentence(&error))),
    })
}

/// Where the text is not JSON, and why.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let cause = text.split(" at line ").next().unwrap_or_default();
    let words = match cause {
        "EOF while parsing a value" if error.line() <= 1 && error.column() == 0 => return "it is empty".to_owned(),
        "EOF while parsing a value" => "it ends where a value is missing",
        "EOF while parsing an object" => "it ends within an object; add the missing }",
        "EOF while parsing a list" => "it ends within a list; add the missing ]",
        "EOF while parsing a string" => "it ends within a text; add the missing quotation mark",
        "expected `:`" => "a colon is missing between a name and its value",
        "expected `,` or `}`" => "a comma or } is missing after a value",
        "expected `,` or `]`" => "a comma or ] is missing after a value",
        "expected value" => "this is not a value; text and names need quotation marks (\")",
        "expected ident" => "this is not a value; the words without quotation marks are true, false and null",
        "key must be a string" => "the name of a field must be a text in quotation marks (\")",
        "trailing comma" => "remove the comma before the closing bracket",
        "trailing characters" => "something follows after the end of the value; remove it",
        "invalid number" => "this is not a number; write it like 12 or -0.5",
        "number out of range" => "the number is too large",
        "recursion limit exceeded" => "lists and objects are nested too deeply",
        "invalid unicode code point" => "the text is not UTF-8",
        cause if cause.starts_with("control character") => {
            "a text contains a line break or another control character; write it as \\n or \\u000a"
        }
        cause if cause.contains("escape") => "a text contains an invalid escape after \\",
        _ => "the syntax is wrong",
    };
    format!("line {}, column {}: {words}", error.line(), error.column())
}

/// The place of a value in the body.
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

impl Place<'_> {
    /// The error of this value, as an error of the body.
    fn locate(&self, error: BodyError) -> BodyError {
        let error = match self.step {
            Step::Member(name) => error.of_member(name),
            Step::Item(index) => error.of_item(index),
        };
        match self.parent {
            Some(parent) => parent.locate(error),
            None => error,
        }
    }
}

/// Reads one value. `twice` gets the error of the first name that occurs twice.
#[derive(Clone, Copy)]
struct ValueReader<'a> {
    place: Option<&'a Place<'a>>,
    twice: &'a Cell<Option<BodyError>>,
}

impl<'de> DeserializeSeed<'de> for ValueReader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let place = Place { parent: self.place, step: Step::Item(items.len()) };
            match list.next_element_seed(ValueReader { place: Some(&place), twice: self.twice })? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let place = Place { parent: self.place, step: Step::Member(&name) };
            if members.contains_key(&name) {
                self.twice.set(Some(place.locate(BodyError::twice())));
                return Err(A::Error::custom("a name occurs twice"));
            }
            let value = object.next_value_seed(ValueReader { place: Some(&place), twice: self.twice })?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problem(body: &[u8]) -> Value {
        serde_json::to_value(parse(body).expect_err("it is refused")).expect("a problem is JSON")
    }

    #[test]
    fn a_body_is_read_as_it_is() {
        for body in [
            json!(null),
            json!({"a": [1, -2, 2.5, 1e300, true, {"b": null, "c": {}}], "d": "ä\n\"", "e": u64::MAX, "f": i64::MIN}),
            json!([{"a": 1}, {"a": 1}]),
            json!("text"),
        ] {
            assert_eq!(parse(body.to_string().as_bytes()).expect("it is JSON"), body);
        }
    }

    #[test]
    fn a_name_that_occurs_twice_is_named() {
        for (body, path) in [
            (r#"{"a": 1, "b": 2, "a": 1}"#, "/a"),
            (r#"{"a": {"b": [0, {"c/d": 1, "c/d": 2}]}}"#, "/a/b/1/c~1d"),
            (r#"[{"a": 1}, {"a": 1, "\u0061": 2}]"#, "/1/a"),
        ] {
            let problem = problem(body.as_bytes());
            let issue = &problem["errors"][0];
            assert_eq!((&issue["path"], &issue["code"]), (&json!(path), &json!("invalid_field")), "{problem}");
            assert_eq!(issue["message"], "is there twice; send it once");
        }
    }

    #[test]
    fn a_text_that_is_not_json_is_explained() {
        for (body, wanted) in [
            ("", "it is empty"),
            ("{\"a\": ", "line 1, column 6: it ends where a value is missing"),
            ("{\"a\": 1", "line 1, column 7: it ends within an object; add the missing }"),
            ("[1", "line 1, column 2: it ends within a list; add the missing ]"),
            ("{\"a\": \"x", "line 1, column 8: it ends within a text; add the missing quotation mark"),
            ("{\"a\" 1}", "line 1, column 6: a colon is missing between a name and its value"),
            ("{\n\"a\": 1\n\"b\": 2}", "line 3, column 1: a comma or } is missing after a value"),
            ("[1 2]", "line 1, column 4: a comma or ] is missing after a value"),
            ("{\"a\": x}", "line 1, column 7: this is not a value; text and names need quotation marks (\")"),
            (
                "{\"a\": trie}",
                "line 1, column 9: this is not a value; the words without quotation marks are true, false and null",
            ),
            ("{'a': 1}", "line 1, column 2: the name of a field must be a text in quotation marks (\")"),
            ("{\"a\": 1,}", "line 1, column 9: remove the comma before the closing bracket"),
            ("{} {}", "line 1, column 4: something follows after the end of the value; remove it"),
            ("{\"a\": 01}", "line 1, column 8: this is not a number; write it like 12 or -0.5"),
            ("{\"a\": 1e999}", "line 1, column 11: the number is too large"),
            (
                "[\"a\nb\"]",
                "line 2, column 0: a text contains a line break or another control character; write it as \\n or \\u000a",
            ),
            ("[\"\\x\"]", "line 1, column 4: a text contains an invalid escape after \\"),
        ] {
            let problem = problem(body.as_bytes());
            assert_eq!(problem["detail"], format!("the body is not JSON: {wanted}"), "{body}");
        }
        let deep = problem("[".repeat(200).as_bytes());
        assert!(deep["detail"].as_str().is_some_and(|it| it.ends_with("are nested too deeply")), "{deep}");
    }
}
