//! Pasted URLs: splitting what somebody copied from a tracker into a base and parameters.

mod marks;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use marks::{Piece, Token};

/// One parameter whose value is a macro of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MacroParameter {
    pub name: String,
    pub r#macro: String,
}

/// A pasted URL, taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pasted {
    pub base_url: String,
    pub parameters: Vec<MacroParameter>,
    /// Fixed values.
    pub custom: Vec<(String, String)>,
    /// Keys to be kept sealed, by the name that a parameter's macro has for them.
    pub secrets: BTreeMap<String, String>,
    /// Values with tokens that name no macro of ours: somebody must choose. Those of the address are named `base_url`.
    pub unknown: Vec<(String, String)>,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is not a postback URL; paste the whole address, starting with https://")]
pub struct NotAUrl(pub String);

/// What macro-url takes as fixed values. More of them, and longer ones, stay in the URL.
const CUSTOM_MOST: usize = 20;
const CUSTOM_CHARS: usize = 100;
/// What trackers write where a value goes, beside the names of values: `REPLACE`, `CLICK_ID`.
const BLANKS: [&str; 4] = ["REPLACE", "REPLACE_ME", "REPLACEME", "OPTIONAL"];
/// The name under which a token of the address itself is told as unknown.
const BASE_URL: &str = "base_url";

/// Splits `text`. `is_macro` says which names the adapter knows.
pub fn split(text: &str, is_macro: impl Fn(&str) -> bool) -> Result<Pasted, NotAUrl> {
    let text = plain(text);
    let lower = text.to_ascii_lowercase();
    let has_blanks = |piece: &Piece<'_>| matches!(piece, Piece::Text(text) if text.contains(char::is_whitespace));
    let valid = (lower.starts_with("http://") || lower.starts_with("https://"))
        && !marks::pieces(&text).iter().any(has_blanks)
        && text.split("//").nth(1).is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    if !valid {
        return Err(NotAUrl(text.chars().take(200).collect()));
    }
    // Beside tokens of another kind, <account> is a blank for a person to fill, as manuals write it.
    let has_blanks = text.contains('<') && marks::has_other_than_angles(&text);
    let words = Words { is_macro: &is_macro, has_blanks };
    let (address, query) = text.split_once('?').unwrap_or((&text, ""));
    let mut pasted = Pasted::default();
    pasted.take_address(address, &words);
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        kept.extend(pasted.take_pair(pair, &words));
    }
    if !kept.is_empty() {
        pasted.base_url = format!("{}?{}", pasted.base_url, kept.join("&"));
    }
    Ok(pasted)
}

/// A URL as it was meant: a page's source and some manuals write & as &amp;, and what follows # is never sent.
fn plain(text: &str) -> String {
    let mut text = text.trim().replace("&amp;", "&");
    if let Some(at) = marks::fragment_at(&text) {
        text.truncate(at);
    }
    text
}

/// A pasted URL without those parameters of its query that are filled in anyway: people leave them in, token and all.
pub fn without_parameters(url: &str, names: &[&str]) -> String {
    let url = plain(url);
    let Some((address, query)) = url.split_once('?') else { return url };
    let is_other = |pair: &&str| !names.contains(&decoded(pair.split('=').next().unwrap_or_default()).as_str());
    let kept: Vec<_> = query.split('&').filter(is_other).collect();
    if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) }
}

/// The first part of a text that is a token of some network, as `${SUBID}` in a URL.
pub fn token_in(text: &str) -> Option<&str> {
    marks::pieces(text).into_iter().find_map(|piece| match piece {
        Piece::Token(token) if !token.is_angled() => Some(token.marked),
        _ => None,
    })
}

/// What the tokens of one URL mean.
struct Words<'a> {
    is_macro: &'a dyn Fn(&str) -> bool,
    /// `<account>` is a blank for a person to fill.
    has_blanks: bool,
}

impl Words<'_> {
    fn of(&self, token: &Token<'_>) -> Option<String> {
        if self.has_blanks && token.is_angled() { None } else { names::ours(token.name, self.is_macro) }
    }

    /// Where the network's word for a value says nothing to us, the parameter's name may: `txid={id}`.
    fn of_value(&self, parameter: &str, token: &Token<'_>) -> Option<String> {
        let by_name = || names::of_parameter(parameter, self.is_macro);
        self.of(token).or_else(|| by_name().filter(|_| !(self.has_blanks && token.is_angled())))
    }
}

impl Pasted {
    /// Makes secrets of the fixed values that look like keys.
    pub fn seal_keys(&mut self) {
        let is_key = |(name, value): &(String, String)| !value.is_empty() && names::is_key(name);
        let (keys, custom): (Vec<_>, _) = std::mem::take(&mut self.custom).into_iter().partition(is_key);
        self.custom = custom;
        for (name, value) in keys {
            let secret = self.name_secret(&name);
            self.parameters.push(MacroParameter { name, r#macro: format!("secret.{secret}") });
            self.secrets.insert(secret, value);
        }
    }

    /// Letters, digits and underscores, and no name twice.
    fn name_secret(&self, parameter: &str) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = parameter.chars().take(30).map(letter).collect();
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        names.find(|name| !self.secrets.contains_key(name)).expect("there are more numbers than secrets")
    }

    /// Tokens in the path become our macros in its place.
    fn take_address(&mut self, address: &str, words: &Words<'_>) {
        let address = plain_braces(address);
        let path_at = address.match_indices('/').nth(2).map_or(address.len(), |(at, _)| at);
        let (host, path) = address.split_at(path_at);
        let unknown = |marked: &str| (BASE_URL.to_owned(), marked.to_owned());
        let tokens_of_host = marks::pieces(host).into_iter().filter_map(|piece| match piece {
            Piece::Token(token) => Some(unknown(token.marked)),
            Piece::Text(_) => None,
        });
        self.unknown.extend(tokens_of_host);
        let (path, missing) = in_our_macros(path, words);
        self.unknown.extend(missing.iter().map(|marked| unknown(marked)));
        self.base_url = format!("{host}{path}");
    }

    /// Sorts one pair of the query. What is neither one macro nor a short fixed value is given
    /// back, as it has to stand in the URL.
    fn take_pair(&mut self, pair: &str, words: &Words<'_>) -> Option<String> {
        let (raw_name, raw) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(raw_name), decoded(raw));
        // A browser's address bar encodes braces; `%payout%` must be seen before it is decoded.
        if let Some(token) = marks::whole(raw).or_else(|| marks::whole(&value)) {
            match words.of_value(&name, &token) {
                Some(found) => self.parameters.push(MacroParameter { name, r#macro: found }),
                None => self.unknown.push((name, value)),
            }
            return None;
        }
        let in_capitals = marks::in_capitals(&value);
        if in_capitals.is_some_and(|token| BLANKS.contains(&token.name) || words.of(&token).is_some()) {
            // Only a word, so it may be meant as it is: somebody must say.
            self.unknown.push((name, value));
            return None;
        }
        let raw = plain_braces(raw);
        let (inside, missing) = in_our_macros(&raw, words);
        let is_fixed = !marks::pieces(&raw).iter().any(|piece| matches!(piece, Piece::Token(_)));
        if !missing.is_empty() || (is_fixed && value.contains(['{', '[', '}', ']', '<', '>'])) {
            // A token inside a longer value is not sent literally without somebody having seen it.
            self.unknown.push((name, value));
            return None;
        }
        let short = self.custom.len() < CUSTOM_MOST && value.chars().count() <= CUSTOM_CHARS;
        if is_fixed && short {
            self.custom.push((name, value));
            return None;
        }
        Some(format!("{raw_name}={inside}"))
    }
}

/// A text with its tokens as `{macro}`, and those that name no macro of ours.
fn in_our_macros(text: &str, words: &Words<'_>) -> (String, Vec<String>) {
    let mut out = String::with_capacity(text.len());
    let mut missing = Vec::new();
    for piece in marks::pieces(text) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Token(token) => match words.of(&token) {
                Some(found) => out.extend(["{", &found, "}"]),
                None => {
                    out.push_str(token.marked);
                    missing.push(token.marked.to_owned());
                }
            },
        }
    }
    (out, missing)
}

fn plain_braces(text: &str) -> String {
    let mut text = text.to_owned();
    for (encoded, plain) in
        [("%7B", "{"), ("%7b", "{"), ("%7D", "}"), ("%7d", "}"), ("%5B", "["), ("%5b", "["), ("%5D", "]"), ("%5d", "]")]
    {
        text = text.replace(encoded, plain);
    }
    text
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
