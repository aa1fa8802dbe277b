//! The sentences of serde about query parameters in the words of callers: "invalid type: integer `7`, expected a string"
//! becomes "must be text, not the number 7". Pure. A sentence with another form, such as those of this program's own types, is unchanged.

/// The sentence for callers of the API.
pub fn plain(sentence: &str) -> String {
    translated(sentence).unwrap_or_else(|| sentence.to_owned())
}

fn translated(sentence: &str) -> Option<String> {
    if let Some(name) = sentence.strip_prefix("missing field ") {
        return Some(format!("{} is missing", unquoted(name)));
    }
    if let Some(name) = sentence.strip_prefix("duplicate field ") {
        return Some(format!("{} occurs twice; send it once", unquoted(name)));
    }
    if let Some(rest) = sentence.strip_prefix("unknown field ") {
        let (name, known) = rest.split_once(", ")?;
        return Some(match known.strip_prefix("expected ") {
            Some(known) => format!("there is no field {}; use {}", unquoted(name), listed(known)),
            None => format!("there is no field {}; no fields are allowed here", unquoted(name)),
        });
    }
    if let Some(rest) = sentence.strip_prefix("unknown variant ") {
        let (word, known) = rest.split_once(", expected ")?;
        return Some(format!("\"{}\" is not allowed; use {}", unquoted(word), listed(known)));
    }
    if sentence.starts_with("data did not match any variant of untagged enum") {
        return Some("has a form that is not allowed; see the description of this field in /api/docs".to_owned());
    }
    let (is_type, rest) = match (sentence.strip_prefix("invalid type: "), sentence.strip_prefix("invalid value: ")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => {
            let (number, expected) = sentence.strip_prefix("invalid length ")?.split_once(", expected ")?;
            return Some(format!("has {number} elements; it must be {}", wanted(expected)));
        }
    };
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let verb = if is_type { "must be" } else { "is out of range: it must be" };
    Some(format!("{verb} {}, not {}", wanted(expected), given(found)))
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('`')
}

/// "one of `a`, `b`" and "`a` or `b`" as "one of: a, b".
fn listed(known: &str) -> String {
    let names: Vec<_> = known.split('`').skip(1).step_by(2).collect();
    if names.len() == 1 { names[0].to_owned() } else { format!("one of: {}", names.join(", ")) }
}

/// The value of the request, as serde describes it.
fn given(found: &str) -> String {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match (kind, value) {
        ("map", "") => "an object".to_owned(),
        ("sequence", "") => "an array".to_owned(),
        ("null", "") | ("unit", "value") | ("Option", "value") => "null".to_owned(),
        ("boolean", value) => unquoted(value).to_owned(),
        ("integer", value) => format!("the number {}", unquoted(value)),
        ("floating", value) => format!("the number {}", unquoted(value.trim_start_matches("point "))),
        ("string" | "character", value) => format!("the text {value}"),
        _ => "this".to_owned(),
    }
}

/// The expected type.
fn wanted(expected: &str) -> String {
    let number = |min: &str, max: &str| format!("a whole number from {min} to {max}");
    match expected {
        "a string" | "a borrowed string" | "string" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "u8" => number("0", "255"),
        "u16" => number("0", "65535"),
        "u32" => number("0", "4294967295"),
        "u64" | "usize" => "a whole number, at least 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a map" | "map" => "an object".to_owned(),
        "a sequence" | "sequence" => "an array".to_owned(),
        "unit" | "null" => "null".to_owned(),
        _ if expected.starts_with("a tuple") => "an array".to_owned(),
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged") => "an object".to_owned(),
        _ if expected.starts_with("string or map") || expected.contains(" enum ") => {
            "one of the values in /api/docs".to_owned()
        }
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_contain_no_words_of_the_programming_language() {
        for (sentence, expected) in [
            ("missing field `reason`", "reason is missing"),
            ("duplicate field `goal`", "goal occurs twice; send it once"),
            ("unknown field `clik`, expected `click` or `goal`", "there is no field clik; use one of: click, goal"),
            ("unknown field `x`, expected `goal`", "there is no field x; use goal"),
            ("unknown field `x`, there are no fields", "there is no field x; no fields are allowed here"),
            (
                "unknown variant `root`, expected one of `owner`, `admin`",
                "\"root\" is not allowed; use one of: owner, admin",
            ),
            ("invalid type: integer `7`, expected a string", "must be text, not the number 7"),
            (
                "invalid type: string \"a, expected b\", expected u32",
                "must be a whole number from 0 to 4294967295, not the text \"a, expected b\"",
            ),
            ("invalid type: map, expected a string", "must be text, not an object"),
            ("invalid type: sequence, expected struct LinkIn", "must be an object, not an array"),
            ("invalid type: null, expected a boolean", "must be true or false, not null"),
            (
                "invalid type: floating point `1.5`, expected u64",
                "must be a whole number, at least 0, not the number 1.5",
            ),
            (
                "invalid value: integer `-1`, expected u16",
                "is out of range: it must be a whole number from 0 to 65535, not the number -1",
            ),
            ("invalid length 2, expected struct LinkIn with 6 elements", "has 2 elements; it must be an object"),
            (
                "data did not match any variant of untagged enum AmountIn",
                "has a form that is not allowed; see the description of this field in /api/docs",
            ),
            ("\"x\" is not a currency; write USD", "\"x\" is not a currency; write USD"),
        ] {
            assert_eq!(plain(sentence), expected, "{sentence}");
        }
    }
}
