//! Finds the tokens in a text, in every notation that networks use (`postrider_sdk::marks` has the list).

use postrider_sdk::marks;

/// The most bytes of a token's name.
const NAME_BYTES: usize = 64;

/// A piece of a text: plain text or a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Token(Token<'a>),
}

/// A token as it was written, `{{payout}}`, and its name, `payout`.
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

/// The token, if the whole value is one.
pub(super) fn whole(value: &str) -> Option<Token<'_>> {
    let name = marks::insides(value).find_map(named)?;
    Some(Token { marked: value, name })
}

/// A word in capitals, such as `CLICK_ID`: some manuals write tokens like this.
pub(super) fn in_capitals(value: &str) -> Option<Token<'_>> {
    let word = value.len() > 3 && value.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    word.then_some(Token { marked: value, name: value })
}

/// Whether any value of a URL's query contains a token in another notation than `<x>`.
pub(super) fn has_other_than_angles(url: &str) -> bool {
    let other = |token: &Token<'_>| !token.is_angled();
    let values = url.split(['?', '&']).map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    values.into_iter().any(|value| {
        whole(value).is_some_and(|token| other(&token))
            || pieces(value).iter().any(|piece| matches!(piece, Piece::Token(token) if other(token)))
    })
}

/// Splits a value into text and tokens, in order.
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

/// The token at the beginning of the text.
fn token_at(text: &str) -> Option<Token<'_>> {
    marks::CLEAR.iter().find_map(|(open, close)| {
        let rest = text.strip_prefix(open)?;
        let near = &rest[..rest.floor_char_boundary(NAME_BYTES + close.len())];
        let inner = near.find(close)?;
        Some(Token { marked: &text[..open.len() + inner + close.len()], name: named(&near[..inner])? })
    })
}

/// The position of a URL's fragment: the first # that does not belong to a token.
pub(super) fn fragment_at(url: &str) -> Option<usize> {
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

/// The name in a token, without surrounding spaces: `payout`, `click.publisher.clickId`; that of `url(sid)` is `sid`.
fn named(inner: &str) -> Option<&str> {
    let inner = inner.trim();
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
    fn every_notation_is_recognized_as_a_whole_value() {
        for value in [
            "{x}", "{{x}}", "[x]", "[[[x]]]", "#x#", "##x##", "${x}", "${(x)!}", "#{x}", "%x%", "%%x%%", "!!x!!",
            "!!!x!!!", "__x__", "<x>", "(x)", "{!x!}", "{url(x)}", "{ x }", "{{ x}}", "[x ]",
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
