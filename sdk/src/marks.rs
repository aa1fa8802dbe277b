//! The notations for tokens of networks and trackers: `{x}`, `[x]`, `##x##` and more. It is the only definition of what a
//! token looks like, for two purposes:
//!
//! * a text that a person wrote, such as a pasted URL: [`whole`] and [`pieces`] find its tokens;
//! * a value that arrived: [`is_unreplaced`] says whether it is a token that nobody replaced. It is stricter, because
//!   `Sale [EU]` and `(none)` are values.

use std::borrow::Cow;

use crate::url;

/// The opening and closing mark of each notation. If one opening mark is a prefix of another, the longer one is first.
/// Inside a longer text, those before [`PLAIN_FROM`] indicate a token.
const MARKS: [(&str, &str); 25] = [
    ("!!!", "!!!"),
    ("[[[", "]]]"),
    ("[=", "=]"),
    ("[%", "%]"),
    ("[[", "]]"),
    ("<%", "%>"),
    ("<<", ">>"),
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
    ("*|", "|*"),
    ("$$", "$$"),
    ("(", ")"),
    ("#", "#"),
    ("%", "%"),
    ("__", "__"),
    (LETTERS, LETTERS),
];
/// From here on, marks can be ordinary characters of a text (`%C3%A9`), so they indicate a token only around a whole value.
const PLAIN_FROM: usize = 18;
/// The marks of `xxCLICKIDxx`, whose name is always in capitals.
const LETTERS: &str = "xx";
/// The marks that, besides those with braces, indicate an unreplaced token inside a longer value too. Others occur in names: `Sale [EU]`, `Wow!!!`.
const STRONG: [&str; 3] = ["[[[", "[=", "[%"];

/// The most bytes of a token's name.
const NAME_BYTES: usize = 64;

/// A token as it was written, `{{payout}}`, and its name, `payout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The token with its marks.
    pub marked: &'a str,
    /// The name without marks and surrounding spaces; that of `url(sid)` is `sid`.
    pub name: &'a str,
}

impl Token<'_> {
    /// Whether it is written as `<x>`, which manuals use for blanks that a person must fill in.
    pub fn is_angled(&self) -> bool {
        self.marked.starts_with('<')
    }
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Plain text.
    Text(&'a str),
    /// A token.
    Token(Token<'a>),
}

/// The token, if the whole text is one.
pub fn whole(text: &str) -> Option<Token<'_>> {
    insides(text).find_map(|(marks, inside)| {
        let name = named(inside)?;
        (marks.0 != LETTERS || is_in_capitals(name)).then_some(Token { marked: text, name })
    })
}

/// Splits a text that a person wrote into plain text and tokens, in order.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let Some(token) = token_at(&text[at..]) else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if start < at {
            pieces.push(Piece::Text(&text[start..at]));
        }
        at += token.marked.len();
        pieces.push(Piece::Token(token));
        start = at;
    }
    if start < text.len() {
        pieces.push(Piece::Text(&text[start..]));
    }
    pieces
}

/// The token at the beginning of a text that a person wrote.
pub fn token_at(text: &str) -> Option<Token<'_>> {
    MARKS[..PLAIN_FROM].iter().find_map(|marks| {
        let (marked, inside) = enclosed(text, *marks)?;
        Some(Token { marked, name: named(inside)? })
    })
}

/// Whether a value that arrived is a token that nobody replaced. Percent-encoding (also twice), HTML entities, quotation
/// marks and invisible characters around it do not matter, and several tokens may follow one another. A word in brackets
/// within other text is a name, except in the notations with braces: `x-{subid}`.
pub fn is_unreplaced(value: &str) -> bool {
    // Most values have no mark at all.
    if !value.contains(['{', '[', '<', '(', '#', '%', '!', '$', '*', '_', '&']) && !value.contains(LETTERS) {
        return false;
    }
    let mut text = Cow::Borrowed(value);
    for _ in 0..3 {
        if is_bare_token(trimmed(&text)) {
            return true;
        }
        let decoded = if text.contains("&lt;") || text.contains("&#") {
            without_entities(&text)
        } else if text.contains('%') {
            url::decode(&text)
        } else {
            return false;
        };
        text = Cow::Owned(decoded);
    }
    false
}

/// Whether a value is the bare name of an id, such as `SESSION_ID` or `clickid`. Where an id is expected, it is a token
/// that nobody replaced; elsewhere it is a word.
pub fn is_id_name(value: &str) -> bool {
    const NAMES: [&str; 7] = ["session_id", "sessionid", "click_id", "clickid", "subid", "sub_id", "transaction_id"];
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(value.trim()))
}

/// The position of a URL's fragment: the first # that does not belong to a token. A person wrote the URL.
pub fn fragment_at(url: &str) -> Option<usize> {
    let mut at = 0;
    while at < url.len() {
        let rest = &url[at..];
        // `#x#` is only recognized as a whole value, which follows = or /.
        let hashed = || whole_until_hash(rest).filter(|_| url[..at].ends_with(['=', '/']));
        match token_at(rest).map(|token| token.marked.len()).or_else(hashed) {
            Some(length) => at += length,
            None if rest.starts_with('#') => return Some(at),
            None => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    None
}

/// The length of a token `#x#` at the beginning of the text.
fn whole_until_hash(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('#')?;
    let near = &inner[..inner.floor_char_boundary(NAME_BYTES + 1)];
    let end = near.find('#')?;
    named(&near[..end]).map(|_| end + 2)
}

fn is_bare_token(text: &str) -> bool {
    let mut rest = text;
    let (mut tokens, mut has_other_text) = (0, false);
    while let Some(first) = rest.chars().next() {
        let found = value_token_at(rest);
        let is_strong = found.is_some_and(|(open, _)| open.contains('{') || STRONG.contains(&open));
        if is_strong {
            return true;
        }
        // Only punctuation may stand between tokens. A letter before a mark makes it a part of a text.
        match found {
            Some((_, length)) if !has_other_text => {
                tokens += 1;
                rest = &rest[length..];
            }
            _ => {
                has_other_text |= first.is_alphanumeric();
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    tokens > 0 && !has_other_text
}

/// The opening mark and the length of the token at the beginning of a value.
fn value_token_at(text: &str) -> Option<(&'static str, usize)> {
    MARKS.iter().find_map(|marks| {
        let (marked, inside) = enclosed(text, *marks)?;
        is_value_name(marks.0, inside).then_some((marks.0, marked.len()))
    })
}

/// Whether a text in these marks is a token's name, if it was found in a value. Braces enclose names with spaces and
/// percent signs too, `{Commission Amount}`. Round, square and angle brackets also enclose words that mean "nothing".
fn is_value_name(open: &str, inside: &str) -> bool {
    const NOTHING: [&str; 9] =
        ["none", "direct", "organic", "referral", "null", "undefined", "unknown", "empty", "other"];
    if open.contains('{') || matches!(open, "[[[" | "[%") {
        return is_loose_name(inside);
    }
    let is_bracket = matches!(open, "(" | "[" | "[[" | "<" | "<<");
    named(inside).is_some_and(|name| {
        !(is_bracket && NOTHING.iter().any(|word| word.eq_ignore_ascii_case(name)))
            && (open != LETTERS || is_in_capitals(name))
            // `(S_CLICK_ID)` is a token, and `(mobile)` is a word.
            && (open != "(" || name.contains('_'))
    })
}

/// `sub1`, `click.publisher.id`, `url(sid)`, `Commission Amount`, `amount50%`; not the GUID of `{3f2504e0-…}`.
fn is_loose_name(text: &str) -> bool {
    let text = text.trim();
    let inner = match text.split_once('(') {
        Some((function, rest)) if !function.is_empty() => rest.strip_suffix(')').unwrap_or_default(),
        _ => text,
    };
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '%' | ':' | '$');
    inner.len() <= NAME_BYTES
        && inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && inner.chars().all(part)
        && !is_hex_id(inner)
}

/// Whether a text is a GUID or another long number in hexadecimal, which some systems write in braces.
fn is_hex_id(text: &str) -> bool {
    text.len() >= 16 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

fn is_in_capitals(name: &str) -> bool {
    name.len() > 2 && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Each pair of marks that encloses the whole text, and the text inside: `x` and `#x#` for `##x##`.
fn insides(text: &str) -> impl Iterator<Item = ((&'static str, &'static str), &str)> {
    MARKS.iter().filter_map(move |marks| Some((*marks, text.strip_prefix(marks.0)?.strip_suffix(marks.1)?)))
}

/// The text from an opening mark at the beginning to its closing mark, with and without the marks.
fn enclosed<'a>(text: &'a str, (open, close): (&str, &str)) -> Option<(&'a str, &'a str)> {
    let rest = text.strip_prefix(open)?;
    let near = &rest[..rest.floor_char_boundary(NAME_BYTES + close.len())];
    let inner = near.find(close)?;
    Some((&text[..open.len() + inner + close.len()], &near[..inner]))
}

/// The name in a token, without surrounding spaces: `payout`, `click.publisher.clickId`; that of `url(sid)` is `sid`.
pub fn named(inside: &str) -> Option<&str> {
    let inside = inside.trim();
    let name = match inside.split_once('(') {
        Some((function, argument)) if function.chars().all(|c| c.is_ascii_alphabetic()) => {
            argument.strip_suffix(')')?
        }
        _ => inside,
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let named = name.len() <= NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(letter);
    named.then_some(name)
}

/// The text without white space, quotation marks and invisible characters around it.
pub fn trimmed(text: &str) -> &str {
    const INVISIBLE: [char; 8] =
        ['\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{feff}'];
    const QUOTES: [char; 13] = ['"', '\'', '`', '´', '“', '”', '„', '‟', '‘', '’', '‚', '«', '»'];
    text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || INVISIBLE.contains(&c) || QUOTES.contains(&c))
}

fn without_entities(text: &str) -> String {
    let mut text = text.to_owned();
    for (entity, plain) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#123;", "{"),
        ("&#125;", "}"),
        ("&#91;", "["),
        ("&#93;", "]"),
        ("&#35;", "#"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#37;", "%"),
    ] {
        text = text.replace(entity, plain);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<&str> {
        whole(text).map(|token| token.name)
    }

    #[test]
    fn every_notation_is_recognized_as_a_whole_text() {
        for text in [
            "{x}", "{{x}}", "[x]", "[[[x]]]", "[=x=]", "#x#", "##x##", "${x}", "${(x)!}", "#{x}", "%x%", "%%x%%",
            "!!x!!", "!!!x!!!", "__x__", "<x>", "(x)", "{!x!}", "{url(x)}", "{ x }", "{{ x}}", "[x ]", "*|x|*",
            "$$x$$", "[%x%]", "[[x]]", "<%x%>", "<<x>>",
        ] {
            assert_eq!(name(text), Some("x"), "{text}");
        }
        assert_eq!(name("#{a.b.cId}"), Some("a.b.cId"));
        assert_eq!(name("xxCLICKIDxx"), Some("CLICKID"));
        for text in [
            "",
            "x",
            "{}",
            "{x",
            "x}",
            "{1}",
            "{x y}",
            "{x}{y}",
            "{\"a\":1}",
            "(12.50)",
            "50%",
            "<b>x</b>",
            "{()}",
            "xxlargexx",
        ] {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn tokens_are_found_in_a_longer_text() {
        let token = |marked, name| Piece::Token(Token { marked, name });
        assert_eq!(
            pieces("a-{x}[[[y]]]ż<z>"),
            [Piece::Text("a-"), token("{x}", "x"), token("[[[y]]]", "y"), Piece::Text("ż"), token("<z>", "z"),]
        );
        for plain in ["", "a%C3%A9b", "f(x)", "a#b#c", "{", "{{", "[", "!!", "{x", "ż{ż}"] {
            assert!(pieces(plain).iter().all(|piece| matches!(piece, Piece::Text(_))), "{plain}");
        }
        assert_eq!(pieces("{{x}"), [Piece::Text("{"), token("{x}", "x")]);
    }

    #[test]
    fn unreplaced_tokens_are_recognized() {
        for value in [
            "{click_id}",
            "{{sub1}}",
            "{!subid!}",
            "${clickid}",
            "${(id)!}",
            "#{click.publisher.clickId}",
            "[ml_sub1]",
            "[[[sub]]]",
            "#s2#",
            "##CLICK_ID##",
            "%TRACKER%",
            "%subid1%",
            "!!afftrack!!",
            "!!!clickRef!!!",
            "<click_id>",
            "(S_CLICK_ID)",
            "{url(sid)}",
            "{lead.Sub1}",
            "{{link.query.clickid}}",
            "{goal}x{status}",
            "%7Bclick_id%7D",
            "%257Bclick_id%257D",
            "%5Bml_sub1%5D",
            "{amount50%}",
            "%%CLICK%%",
            "__CLICK__",
            " {click_id} ",
            "[=XID1=]",
            "xxCLICKIDxx",
            "x-{subid}",
            "[sub1][sub1]",
            "##a####b##",
            "[a]-[b]",
            "%a%%b%",
            "“{clickid}”",
            "\u{200b}[sub1]\u{feff}",
            "\"[sub1]\"",
            "&lt;u1&gt;",
            "&#123;x&#125;",
            "{Commission Amount}",
            "$$x$$",
            "*|SUBID|*",
            "{{{x}}}",
            "{ click_id }",
            "[%UID%]",
            "[%VALUE:USD%]",
            "x-[%TX%]",
            "[[sub1]]",
            "<<click_id>>",
            "<% clickid %>",
        ] {
            assert!(is_unreplaced(value), "{value}");
        }
    }

    #[test]
    fn plain_values_are_not_tokens() {
        for value in [
            "06bq3x8k2m7v1d5r9t4w6y8z0a",
            "12.50",
            "0",
            "50%",
            "100%25",
            "a%b%c",
            "{\"a\":1}",
            "(12.50)",
            "[1]",
            "#17#",
            "C#",
            "<b>bold</b>",
            "grace@example.com",
            "{}",
            "1 < 2 > 1",
            "Sale [EU]",
            "Plan <Gold>",
            "commission",
            "Deposit [first]",
            "[A]-100",
            "(none)",
            "(not set)",
            "(mobile)",
            "<unknown>",
            "Wow!!!",
            "5!!",
            "#1",
            "a<b",
            "xxlargexx",
            "{3f2504e0-4f89-11d3-9a0c-0305e82c3301}",
            "{F3504E04F8911D39}",
            "__",
            "50%-60%",
            "Größe (L)",
            "a%20b%20c",
            "order_17",
            "{click_id",
        ] {
            assert!(!is_unreplaced(value), "{value}");
        }
        assert!(is_id_name("SESSION_ID") && !is_id_name("commission"));
    }

    #[test]
    fn fragments_and_tokens_are_distinguished() {
        for (url, fragment) in [
            ("https://t.example/p?a=1#frag", "#frag"),
            ("https://t.example/p?a={x}#top#x#", "#top#x#"),
            ("https://t.example/p#a?b=1", "#a?b=1"),
            ("https://t.example/p?a=#s2##frag", "#frag"),
            ("https://t.example/p?a=##x###f", "#f"),
            ("https://t.example/p?a=1#", "#"),
        ] {
            assert_eq!(fragment_at(url).map(|at| &url[at..]), Some(fragment), "{url}");
        }
        for url in ["https://t.example/p?a=#s2#&b=##x##&c=#{a.b}", "https://t.example/#x#/p", "https://t.example/"] {
            assert_eq!(fragment_at(url), None, "{url}");
        }
    }
}
