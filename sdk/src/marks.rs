//! The notations for tokens in the URLs of networks and trackers: `{x}`, `[x]`, `##x##` and more. The same list is used to
//! parse a pasted URL and to find an unreplaced token.

/// The opening and closing mark of each notation. If one opening mark is a prefix of another, the longer one is first.
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

/// The marks that indicate a token inside a longer text too. The last four of [`MARKS`] can be ordinary characters there
/// (`%C3%A9`), so they indicate a token only around a whole value.
pub const CLEAR: &[(&str, &str)] = MARKS.split_at(MARKS.len() - 4).0;

/// The text inside each pair of marks that encloses the whole value: `x` for `[x]`; `x` and `#x#` for `##x##`.
pub fn insides(value: &str) -> impl Iterator<Item = &str> {
    MARKS.iter().filter_map(|(open, close)| value.strip_prefix(open)?.strip_suffix(close))
}
