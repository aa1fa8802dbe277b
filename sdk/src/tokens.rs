//! Tokens in text: `{payout}`, `[payout]`, `##payout##`. A text is parsed once and rendered for each event.
//!
//! A [`Template`] contains the positions of its tokens. The adapter defines their meaning with a resolver: a macro of
//! Postrider, a function, or anything else. An unpaired bracket and an unknown token are problems that a user sees; they
//! are never sent as text.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::macros::{self, Macro};
use crate::types::{AdapterError, ConfigIssue};
use crate::url;

/// The notation of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Syntax {
    /// The mark before the token.
    pub open: &'static str,
    /// The mark after the token.
    pub close: &'static str,
}

impl Syntax {
    /// `{payout}`
    pub const CURLY: Self = Self { open: "{", close: "}" };
    /// `[payout]`
    pub const SQUARE: Self = Self { open: "[", close: "]" };
}

/// How a value is written into the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Encoded once, for a URL.
    Percent,
    /// Unchanged, for headers and plain text.
    Raw,
}

/// A text with tokens. `T` is the meaning of a token.
#[derive(Debug)]
pub struct Template<T> {
    source: String,
    syntax: Syntax,
    pieces: Vec<Piece<T>>,
}

#[derive(Debug)]
enum Piece<T> {
    Text(String),
    Token(T),
    /// The reason why this part cannot be rendered.
    Problem(String),
}

impl<T> Template<T> {
    /// Splits `source`. `resolve` gets the text inside each token and returns the token's meaning, or the reason why it has
    /// none (see [`unknown`]). Parsing never fails; [`problems`](Self::problems) returns the errors.
    pub fn parse(source: impl Into<String>, syntax: Syntax, resolve: impl Fn(&str) -> Result<T, String>) -> Self {
        let source = source.into();
        Self { pieces: split(&source, syntax, resolve), source, syntax }
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The meanings of the tokens, in order.
    pub fn tokens(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Token(token) => Some(token),
            Piece::Text(_) | Piece::Problem(_) => None,
        })
    }

    /// Unpaired brackets and unknown tokens, one sentence each.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Problem(problem) => Some(problem.as_str()),
            Piece::Text(_) | Piece::Token(_) => None,
        })
    }

    /// The text with a value in place of each token. The error is the first of the [`problems`](Self::problems).
    pub fn render<'v>(&self, encoding: Encoding, value: impl Fn(&T) -> Cow<'v, str>) -> Result<String, String> {
        if let [Piece::Text(text)] = self.pieces.as_slice() {
            return Ok(text.clone());
        }
        let mut out = String::with_capacity(self.source.len() + 64);
        for piece in &self.pieces {
            match (piece, encoding) {
                (Piece::Text(text), _) => out.push_str(text),
                (Piece::Token(token), Encoding::Percent) => url::encode_into(&mut out, &value(token)),
                (Piece::Token(token), Encoding::Raw) => out.push_str(&value(token)),
                (Piece::Problem(problem), _) => return Err(problem.clone()),
            }
        }
        Ok(out)
    }

    /// The URL with an encoded value in place of each token. `path` is the JSON pointer of this template in the
    /// configuration.
    ///
    /// # Errors
    ///
    /// The template has a problem, or a value makes a path segment `.` or `..`.
    pub fn render_url<'v>(&self, path: &str, value: impl Fn(&T) -> Cow<'v, str>) -> Result<String, AdapterError> {
        let url =
            self.render(Encoding::Percent, value).map_err(|problem| AdapterError::invalid_config(path, problem))?;
        if url::has_dot_segment(&url) {
            return Err(AdapterError::invalid_event(
                "A value of '.' or '..' fills a whole path segment, so the URL would lead to another page; move this value into the query.",
            ));
        }
        Ok(url)
    }

    /// The reasons why this template cannot be the URL of a request; none for a valid URL. `path` is the JSON pointer of
    /// this template in the configuration. Tokens are allowed only in the path and the query: a visitor determines their
    /// values, and must not determine the host.
    pub fn url_issues(&self, path: &str) -> Vec<ConfigIssue> {
        let mut problems = Vec::new();
        match url::authority(&self.source) {
            None => problems.push("The URL must start with http:// or https:// and a host name.".into()),
            Some(authority) => {
                if authority.contains(self.syntax.open) || authority.contains(self.syntax.close) {
                    problems.push("Use macros only in the path and the query, not in the host name.".into());
                }
                if authority.contains('@') {
                    problems.push("The URL must not contain a user name or password.".into());
                }
            }
        }
        let texts = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Token(_) | Piece::Problem(_) => None,
        });
        if texts.into_iter().any(|text| text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\')) {
            problems.push("The URL must not contain spaces, line breaks or backslashes.".into());
        }
        let fragment = self.pieces.iter().skip_while(|piece| !matches!(piece, Piece::Text(text) if text.contains('#')));
        if fragment.skip(1).any(|piece| matches!(piece, Piece::Token(_))) {
            problems.push("What follows # is never sent; move the macros before it.".into());
        }
        // An unfilled <account> from a manual would be sent literally.
        if self.source.contains(['<', '>']) {
            problems.push("Replace the text in angle brackets with your own value.".into());
        }
        if url::has_dot_segment(&self.source) {
            problems.push("The URL must not contain '.' or '..' as a path segment.".into());
        }
        problems.extend(self.problems().map(str::to_owned));
        problems.into_iter().map(|problem| ConfigIssue::new(path, problem)).collect()
    }
}

/// Parses a text with Postrider's macros in curly brackets, such as `{click_id}`.
impl From<String> for Template<&'static Macro> {
    fn from(source: String) -> Self {
        Self::parse(source, Syntax::CURLY, macros::resolve)
    }
}

impl<'de> Deserialize<'de> for Template<&'static Macro> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

fn split<T>(source: &str, syntax: Syntax, resolve: impl Fn(&str) -> Result<T, String>) -> Vec<Piece<T>> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while let Some((at, mark)) = next_mark(rest, syntax) {
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].into()));
        }
        let inner = &rest[at + mark.len()..];
        match (mark == syntax.open).then(|| next_mark(inner, syntax)).flatten() {
            Some((end, close)) if end > 0 && close == syntax.close => {
                // Users often type `{ payout }`.
                pieces.push(resolve(inner[..end].trim()).map_or_else(Piece::Problem, Piece::Token));
                rest = &inner[end + close.len()..];
            }
            _ => {
                pieces.push(Piece::Problem(stray(mark)));
                rest = inner;
            }
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    pieces
}

/// The next opening or closing mark, and its position.
fn next_mark(text: &str, syntax: Syntax) -> Option<(usize, &'static str)> {
    let open = text.find(syntax.open).map(|at| (at, syntax.open));
    let close = text.find(syntax.close).map(|at| (at, syntax.close));
    [open, close].into_iter().flatten().min_by_key(|(at, _)| *at)
}

fn stray(mark: &str) -> String {
    format!("There is a '{mark}' that is not part of a macro; write it as {}.", url::encode(mark))
}

/// The sentence for an unknown token. It lists all known tokens if there are at most 20, otherwise up to three similar ones.
pub fn unknown<'a>(kind: &str, token: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const FEW: usize = 20;
    let known: Vec<&str> = known.into_iter().collect();
    let shown: String = token.chars().take(60).collect();
    if known.len() <= FEW {
        return format!("'{shown}' is not a known {kind}; use one of {}.", known.join(", "));
    }
    match closest(token, &known) {
        close if close.is_empty() => format!("'{shown}' is not a known {kind}; check its spelling."),
        close => format!("'{shown}' is not a known {kind}; did you mean {}?", close.join(" or ")),
    }
}

/// Up to three names that differ from the token in a few letters, contain the token, or are contained in it.
fn closest<'a>(token: &str, known: &[&'a str]) -> Vec<&'a str> {
    let token: String = token.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
    let token = token.to_ascii_lowercase();
    if token.len() < 3 {
        return Vec::new();
    }
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .map(|name| (distance(&token, name), *name))
        .filter(|(distance, name)| *distance <= token.len() / 3 || name.contains(&token) || token.contains(name))
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// The number of letters to add, remove or replace to get from one text to the other (Levenshtein distance).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let cost = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(token: &str) -> Result<String, String> {
        if token == "nope" { Err(unknown("token", token, ["a", "b"])) } else { Ok(token.to_ascii_uppercase()) }
    }

    fn render(source: &str, syntax: Syntax) -> Result<String, String> {
        Template::parse(source, syntax, upper).render(Encoding::Raw, |token| Cow::Owned(token.clone()))
    }

    #[test]
    fn tokens_are_replaced_in_any_syntax() {
        assert_eq!(render("x={a}&y={b c}", Syntax::CURLY), Ok("x=A&y=B C".into()));
        assert_eq!(render("x=[a]&y={b}", Syntax::SQUARE), Ok("x=A&y={b}".into()));
        assert_eq!(render("x={ a }", Syntax::CURLY), Ok("x=A".into()));
        let hashes = Syntax { open: "##", close: "##" };
        assert_eq!(render("x=##a##&y=#b###c##", hashes), Ok("x=A&y=#b#C".into()));
        assert_eq!(render("plain", Syntax::CURLY), Ok("plain".into()));
        assert_eq!(render("", Syntax::CURLY), Ok(String::new()));
    }

    #[test]
    fn values_are_encoded_on_request_and_never_parsed_as_tokens() {
        let template = Template::parse("https://t.example/{a}?x={a}", Syntax::CURLY, upper);
        let value = |_: &String| Cow::Borrowed("{a} ü");
        assert_eq!(
            template.render(Encoding::Percent, value),
            Ok("https://t.example/%7Ba%7D%20%C3%BC?x=%7Ba%7D%20%C3%BC".into())
        );
        assert_eq!(template.render(Encoding::Raw, value), Ok("https://t.example/{a} ü?x={a} ü".into()));
        assert_eq!(template.tokens().count(), 2);
    }

    #[test]
    fn stray_brackets_and_unknown_tokens_are_problems_not_text() {
        for (source, syntax, problems) in [
            ("{", Syntax::CURLY, 1),
            ("}", Syntax::CURLY, 1),
            ("{{a}}", Syntax::CURLY, 2),
            ("{}", Syntax::CURLY, 2),
            ("[]=1", Syntax::SQUARE, 2),
            ("{nope}", Syntax::CURLY, 1),
            ("{a}{b}", Syntax::CURLY, 0),
        ] {
            let template = Template::parse(source, syntax, upper);
            assert_eq!(template.problems().count(), problems, "{source}");
            assert_eq!(render(source, syntax).is_err(), problems > 0, "{source}");
        }
        assert_eq!(
            render("[", Syntax::SQUARE),
            Err("There is a '[' that is not part of a macro; write it as %5B.".into())
        );
    }

    #[test]
    fn an_unknown_token_is_named_with_the_known_ones() {
        assert_eq!(unknown("token", "x", ["a", "b"]), "'x' is not a known token; use one of a, b.");
        let error = macros::resolve("clickid").map(Macro::token);
        assert_eq!(error, Err("'clickid' is not a known macro; did you mean click_id?".into()));
        assert_eq!(
            macros::resolve("nope").map(Macro::token),
            Err("'nope' is not a known macro; check its spelling.".into())
        );
    }

    #[test]
    fn no_token_chooses_the_host_or_another_page() {
        let issues = |source: &str, syntax| Template::parse(source, syntax, upper).url_issues("/url").len();
        assert_eq!(issues("https://{a}.example/", Syntax::CURLY), 1);
        assert_eq!(issues("https://t.example/[a]?b=[b]", Syntax::SQUARE), 0);
        assert_eq!(issues("https://t.example/{ a }?b={ b}", Syntax::CURLY), 0);
        assert_eq!(issues("https://t.example/{a}?b= {b}", Syntax::CURLY), 1);
        assert_eq!(issues("https://t.example/{a}#top", Syntax::CURLY), 0);
        assert_eq!(issues("https://t.example/?x=1#038;a={a}", Syntax::CURLY), 1);
        assert_eq!(issues("https://t.example/../x", Syntax::SQUARE), 1);
        assert_eq!(issues("t.example", Syntax::SQUARE), 1);
        assert_eq!(issues("https://t.example/<account>/pb", Syntax::CURLY), 1);
        let template = Template::parse("https://t.example/{a}/x", Syntax::CURLY, upper);
        let url = |value: &'static str| template.render_url("/url", |_| Cow::Borrowed(value));
        assert!(url("..").is_err());
        assert_eq!(url("..a").expect("it is a name"), "https://t.example/..a/x");
    }
}
