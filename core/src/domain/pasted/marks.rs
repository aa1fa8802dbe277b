//! How networks and trackers mark a token: `{x}`, `[x]`, `##x##` and a dozen more.

/// Opening and closing marks. Where one begins like another, the longer one is first.
const MARKS: [(&str, &str); 17] = [
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
const CLEAR: usize = MARKS.len() - 4;
/// Longer ones are no names.
const NAME_BYTES: usize = 64;

/// A piece of a text with tokens.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Token(Token<'a>),
}

/// `{{payout}}` and `payout`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) marked: &'a str,
    pub(super) name: &'a str,
}

impl Token<'_> {
    pub(super) fn is_angled(&self) -> bool {
        self.marked.starts_with('<')
    }
}

/// The token that the whole value is.
pub(super) fn whole(value: &str) -> Option<Token<'_>> {
    let name = MARKS.iter().find_map(|(open, close)| named(value.strip_prefix(open)?.strip_suffix(close)?))?;
    Some(Token { marked: value, name })
}

/// `CLICK_ID`, which is how some manuals write a token without any mark.
pub(super) fn in_capitals(value: &str) -> Option<Token<'_>> {
    let word = value.len() > 3 && value.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    word.then_some(Token { marked: value, name: value })
}

/// Whether any value of a URL's query has a token that is not written `<x>`.
pub(super) fn has_other_than_angles(url: &str) -> bool {
    let other = |token: &Token<'_>| !token.is_angled();
    let values = url.split(['?', '&']).map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    values.into_iter().any(|value| {
        whole(value).is_some_and(|token| other(&token))
            || pieces(value).iter().any(|piece| matches!(piece, Piece::Token(token) if other(token)))
    })
}

/// The text and the tokens of a value, in order.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
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

/// The token that this text begins with.
fn token_at(text: &str) -> Option<Token<'_>> {
    MARKS[..CLEAR].iter().find_map(|(open, close)| {
        let rest = text.strip_prefix(open)?;
        let near = &rest[..rest.floor_char_boundary(NAME_BYTES + close.len())];
        let inner = near.find(close)?;
        Some(Token { marked: &text[..open.len() + inner + close.len()], name: named(&near[..inner])? })
    })
}

/// `payout`, `click.publisher.clickId`, `url(sid)`. The name of the last one is `sid`.
fn named(inner: &str) -> Option<&str> {
    let name = match inner.split_once('(') {
        Some((function, argument)) if function.chars().all(|c| c.is_ascii_alphabetic()) => {
            argument.strip_suffix(')')?
        }
        _ => inner,
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let named = name.len() <= NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(letter);
    named.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(value: &str) -> Option<&str> {
        whole(value).map(|token| token.name)
    }

    #[test]
    fn every_mark_is_known_around_a_value() {
        for value in [
            "{x}", "{{x}}", "[x]", "[[[x]]]", "#x#", "##x##", "${x}", "${(x)!}", "#{x}", "%x%", "%%x%%", "!!x!!",
            "!!!x!!!", "__x__", "<x>", "(x)", "{!x!}", "{url(x)}",
        ] {
            assert_eq!(name(value), Some("x"), "{value}");
        }
        assert_eq!(name("#{a.b.cId}"), Some("a.b.cId"));
        for value in
            ["", "x", "{}", "{x", "x}", "{1}", "{x y}", "{x}{y}", "{\"a\":1}", "(12.50)", "50%", "<b>x</b>", "{()}"]
        {
            assert_eq!(name(value), None, "{value}");
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
}
