//! Pasted URLs: splits a postback URL that was copied from a tracker into a base URL and parameters.

mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use postrider_sdk::marks::{self, Piece, Token};

use crate::copied_url::from_html;

/// A parameter whose value is one of our macros.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MacroParameter {
    /// Name of the parameter.
    pub name: String,
    /// Name of the macro, without braces.
    pub r#macro: String,
}

/// A pasted URL, split into its parts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pasted {
    /// The URL with the parameters that can't be split off.
    pub base_url: String,
    /// Parameters whose values are macros.
    pub parameters: Vec<MacroParameter>,
    /// Parameters with fixed values: names and values.
    pub custom: Vec<(String, String)>,
    /// Keys to be sealed, by their name in a parameter's macro.
    pub secrets: BTreeMap<String, String>,
    /// Names and values of parameters with tokens that match no macro; a person must choose one. Tokens in the address
    /// have the name `base_url`.
    pub unknown: Vec<(String, String)>,
    /// Names of parameters, or `base_url`, in which `{click_id}` was taken as the tracker's click id.
    pub tracker_click_ids: Vec<String>,
}

/// The meaning of `{click_id}` in a pasted URL. `tracker`: the id that the tracker adds to the link, and that it expects
/// back. `postrider`: the id of the click here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PastedClickIdMeaning)]
pub enum ClickIdMeaning {
    /// The id of the tracker, which is the macro `external_click_id`.
    #[default]
    Tracker,
    /// The id of Postrider, which is the macro `click_id`.
    Postrider,
}

const OWN_CLICK_ID: &str = "click_id";
const TRACKER_CLICK_ID: &str = "external_click_id";

/// A text that is not an HTTP URL; holds the text, cut to 200 characters.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is not a postback URL; paste the whole address, starting with https://")]
pub struct NotAUrl(pub String);

/// The limits of the adapter macro-url for fixed values. Further and longer values stay in the URL.
const CUSTOM_MOST: usize = 20;
const CUSTOM_CHARS: usize = 100;
/// Words in capitals that trackers write as placeholders, besides names of values such as `CLICK_ID`.
const BLANKS: [&str; 4] = ["REPLACE", "REPLACE_ME", "REPLACEME", "OPTIONAL"];
/// The name of unknown tokens in the address itself.
const BASE_URL: &str = "base_url";

/// Splits `text`. `is_macro`: whether the adapter has a macro of this name. Fails if the text is not an HTTP URL.
pub fn split(text: &str, is_macro: impl Fn(&str) -> bool) -> Result<Pasted, NotAUrl> {
    let text = plain(text);
    let lower = text.to_ascii_lowercase();
    let has_blanks = |piece: &Piece<'_>| matches!(piece, Piece::Text(text) if text.contains(char::is_whitespace));
    let valid = (lower.starts_with("http://") || lower.starts_with("https://"))
        && !marks::pieces(&text).iter().any(has_blanks)
        && !text.contains(char::is_control)
        && text.split("//").nth(1).is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    if !valid {
        return Err(NotAUrl(text.chars().take(200).collect()));
    }
    // Besides tokens in another notation, <account> is a blank that a person must fill in.
    let has_blanks = text.contains('<') && has_other_than_angles(&text);
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

/// The URL as it was before HTML (page sources and some manuals contain `&amp;`), and without its fragment, which is never
/// sent.
fn plain(text: &str) -> String {
    let mut text = from_html(text.trim());
    if let Some(at) = marks::fragment_at(&text) {
        text.truncate(at);
    }
    text
}

/// A pasted URL without the parameters of these names: the template adds them itself.
pub(crate) fn without_parameters(url: &str, names: &[&str]) -> String {
    let url = plain(url);
    let Some((address, query)) = url.split_once('?') else { return url };
    let is_other = |pair: &&str| !names.contains(&decoded(pair.split('=').next().unwrap_or_default()).as_str());
    let kept: Vec<_> = query.split('&').filter(is_other).collect();
    if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) }
}

/// The first token of a network in a text, such as `${SUBID}` in a URL.
pub fn token_in(text: &str) -> Option<&str> {
    marks::pieces(text).into_iter().find_map(|piece| match piece {
        Piece::Token(token) if !token.is_angled() => Some(token.marked),
        _ => None,
    })
}

/// The tokens of a URL: the character that opens each of them, and its name: `[` and `payout` for `[payout]`.
pub fn tokens(url: &str) -> Vec<(char, String)> {
    let url = plain_braces(&plain(url));
    let of_piece = |piece: Piece<'_>| match piece {
        Piece::Token(token) => Some((token.marked.chars().next()?, token.name.to_owned())),
        Piece::Text(_) => None,
    };
    marks::pieces(&url).into_iter().filter_map(of_piece).collect()
}

/// The name of the token in an unknown value; the value itself if it is a word in capitals.
pub fn name_in(value: &str) -> String {
    tokens(value).into_iter().next().map_or_else(|| value.to_lowercase(), |(_, name)| name)
}

/// A word in capitals, such as `CLICK_ID`: some manuals write tokens like this.
fn in_capitals(value: &str) -> Option<Token<'_>> {
    let word = value.len() > 3 && value.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    word.then_some(Token { marked: value, name: value })
}

/// Whether any value of a URL's query contains a token in another notation than `<x>`.
fn has_other_than_angles(url: &str) -> bool {
    let other = |token: &Token<'_>| !token.is_angled();
    let values = url.split(['?', '&']).map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    values.into_iter().any(|value| {
        marks::whole(value).is_some_and(|token| other(&token))
            || marks::pieces(value).iter().any(|piece| matches!(piece, Piece::Token(token) if other(token)))
    })
}

/// Translates the tokens of one URL into macros.
struct Words<'a> {
    is_macro: &'a dyn Fn(&str) -> bool,
    /// Whether `<account>` is a blank that a person must fill in.
    has_blanks: bool,
}

impl Words<'_> {
    fn of(&self, token: &Token<'_>) -> Option<String> {
        if self.has_blanks && token.is_angled() { None } else { names::ours(token.name, self.is_macro) }
    }

    /// The macro of a token, or else the macro that the parameter's name suggests: `txid={id}`.
    fn of_value(&self, parameter: &str, token: &Token<'_>) -> Option<String> {
        let by_name = || names::of_parameter(parameter, self.is_macro);
        self.of(token).or_else(|| by_name().filter(|_| !(self.has_blanks && token.is_angled())))
    }
}

impl Pasted {
    /// Replaces Postrider's click id by the tracker's: a tracker can only use its own id, and calls it `click_id`. If the
    /// URL has both, its author knows our macros, and nothing is changed.
    pub fn mean_tracker_click_ids(&mut self) {
        let in_braces = |name: &str| format!("{{{name}}}");
        let (own, tracker) = (in_braces(OWN_CLICK_ID), in_braces(TRACKER_CLICK_ID));
        let has_both =
            self.base_url.contains(&tracker) || self.parameters.iter().any(|it| it.r#macro == TRACKER_CLICK_ID);
        if has_both {
            return;
        }
        for parameter in self.parameters.iter_mut().filter(|it| it.r#macro == OWN_CLICK_ID) {
            parameter.r#macro = TRACKER_CLICK_ID.to_owned();
            self.tracker_click_ids.push(parameter.name.clone());
        }
        if self.base_url.contains(&own) {
            self.base_url = self.base_url.replace(&own, &tracker);
            self.tracker_click_ids.push(BASE_URL.to_owned());
        }
    }

    /// Turns fixed values whose parameter names suggest a key into secrets.
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

    /// A name for a secret: letters, digits and underscores, and not used so far.
    fn name_secret(&self, parameter: &str) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = parameter.chars().take(30).map(letter).collect();
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        names.find(|name| !self.secrets.contains_key(name)).expect("there are more numbers than secrets")
    }

    /// Takes scheme, host and path, with tokens in the path replaced by our macros.
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

    /// Takes one pair of the query. Returns the pair if it is neither a macro nor a short fixed value and must stay in
    /// the URL.
    fn take_pair(&mut self, pair: &str, words: &Words<'_>) -> Option<String> {
        let (raw_name, raw) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(raw_name), decoded(raw));
        // The raw value first: decoding would destroy `%payout%`. Then the decoded one, because browsers encode braces, and
        // some editors encode them once more.
        let twice = decoded(&value);
        let whole = [raw, &value, &twice].into_iter().find_map(|text| marks::whole(marks::trimmed(text)));
        if let Some(token) = whole {
            match words.of_value(&name, &token) {
                Some(found) => self.parameters.push(MacroParameter { name, r#macro: found }),
                None => self.unknown.push((name, value)),
            }
            return None;
        }
        let in_capitals = in_capitals(&value);
        if in_capitals.is_some_and(|token| BLANKS.contains(&token.name) || words.of(&token).is_some()) {
            // The word may also be meant literally: a person must decide.
            self.unknown.push((name, value));
            return None;
        }
        let raw = plain_braces(raw);
        let (inside, missing) = in_our_macros(&raw, words);
        let is_fixed = !marks::pieces(&raw).iter().any(|piece| matches!(piece, Piece::Token(_)));
        if !missing.is_empty() || (is_fixed && value.contains(['{', '[', '}', ']', '<', '>'])) {
            // An unknown token inside a longer value is not sent literally; a person must see it first.
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

/// The text with its tokens as `{macro}`, and the tokens that match no macro.
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
