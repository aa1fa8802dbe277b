//! The notations for tokens in the URLs of networks and trackers: `{x}`, `[x]`, `##x##` and a dozen more. One list, used to parse a
//! pasted URL and to find an unreplaced token.

/// Opening and closing marks. If one is a prefix of another, the longer one is first.
pub const MARKS: [(&str, &str); 17] = [
    ("!!!", "!!!"),
    ("[[[", "]]]"),
    ("${(", ")!}"),
    ("{!", "!}"),
    ("${", "}"),
    ("#{", "}"),
    ("{{", "}}"),
    ("##", "##"),
    ("!!", "!!"),
    ("%%", "%%"),
    ("{", "}"),
    ("[", "]"),
    ("<", ">"),
    ("(", ")"),
    ("#", "#"),
    ("%", "%"),
    ("__", "__"),
];

/// The last ones can also be ordinary characters in a longer text (`%C3%A9`), so they count only around a whole value.
pub const CLEAR: &[(&str, &str)] = MARKS.split_at(MARKS.len() - 4).0;

/// The text inside every pair of marks that encloses the whole value: `x` for `[x]`, and `#x#` and `x` for `##x##`.
pub fn insides(value: &str) -> impl Iterator<Item = &str> {
    MARKS.iter().filter_map(|(open, close)| value.strip_prefix(open)?.strip_suffix(close))
}
