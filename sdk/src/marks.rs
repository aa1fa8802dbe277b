//! How networks and trackers mark a token in their URLs: `{x}`, `[x]`, `##x##` and a dozen more. One list, for those who take a
//! pasted URL apart and for those who find a token that nobody replaced.

/// Opening and closing marks. Where one begins like another, the longer one is first.
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

/// Those at the end may stand for themselves in a longer text (`%C3%A9`), so they count around a whole value only.
pub const CLEAR: &[(&str, &str)] = MARKS.split_at(MARKS.len() - 4).0;

/// What stands inside of every mark that fits around the whole value: `x` for `[x]`, and `#x#` and `x` for `##x##`.
pub fn insides(value: &str) -> impl Iterator<Item = &str> {
    MARKS.iter().filter_map(|(open, close)| value.strip_prefix(open)?.strip_suffix(close))
}
