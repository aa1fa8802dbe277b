//! Landing pages: fills the values of a click into an offer's URL.
//!
//! A link can't become an open redirect: macros are allowed only where they can't change scheme, host or port, and the
//! visitor's parameters are only appended as parameters.

use std::collections::HashSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use postrider_sdk::marks::{self, Piece};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::copied_url::from_html;

/// The characters that are not encoded in values: RFC 3986 unreserved.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The macros of landing pages.
pub const MACROS: [&str; 13] = [
    "click_id",
    "affiliate_id",
    "offer_id",
    "sub1",
    "sub2",
    "sub3",
    "sub4",
    "sub5",
    "sub6",
    "sub7",
    "sub8",
    "sub9",
    "sub10",
];

/// Why a text is not a landing page.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidLandingUrl {
    /// Not a URL; holds the text, cut to 200 characters.
    #[error("\"{0}\" is not a URL; write the whole address, such as https://shop.example/?cid={{click_id}}")]
    NotAUrl(String),
    /// Another scheme than http and https.
    #[error("a landing page must use http or https, not \"{0}\"")]
    Scheme(String),
    /// With a user name or password.
    #[error("a landing page can't have a user name or password")]
    UserInfo,
    /// With a macro in scheme, host or port.
    #[error(
        "a landing page can't have a macro in its scheme, host or port, because a visitor could then choose the destination"
    )]
    MacroInHost,
    /// With a macro that does not exist.
    #[error("{{{0}}} is not a macro of landing pages; use one of {list}", list = MACROS.join(", "))]
    UnknownMacro(String),
    /// With a macro in another notation than `{click_id}`, also encoded; holds its text.
    #[error(
        "\"{0}\" is written like a macro of another system; write macros as {{click_id}}, {{affiliate_id}}, {{offer_id}} or {{sub1}} to {{sub10}}, with plain braces"
    )]
    ForeignMacro(String),
}

/// A validated landing page: filling it in can't fail and can't change its host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LandingUrl(String);

impl LandingUrl {
    /// Validates the URL of a landing page. A URL that was copied from HTML can have `&amp;` for `&` ([`from_html`]).
    ///
    /// # Errors
    /// The text is not an http or https URL, has a user name or password, a macro in scheme, host or port, an unknown macro,
    /// or a macro in another notation.
    pub fn parse(text: &str) -> Result<Self, InvalidLandingUrl> {
        let text = from_html(text.trim());
        let url = Self::stored(&text)?;
        foreign_macro(&text).map_or(Ok(url), |foreign| Err(InvalidLandingUrl::ForeignMacro(foreign)))
    }

    /// Reads a landing page that was stored. Earlier releases accepted macros in other notations: ours are understood, and
    /// those of other systems stay.
    ///
    /// # Errors
    /// The text is not an http or https URL, has a user name or password, a macro in scheme, host or port, or an unknown macro.
    pub fn stored(text: &str) -> Result<Self, InvalidLandingUrl> {
        let text = text.trim();
        let url = Url::parse(text).map_err(|_| InvalidLandingUrl::NotAUrl(text.chars().take(200).collect()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidLandingUrl::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidLandingUrl::UserInfo);
        }
        // URL parsers skip extra slashes and backslashes before the host; here the host must directly follow `://`.
        let rest = text.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        if authority.is_empty() {
            return Err(InvalidLandingUrl::NotAUrl(text.chars().take(200).collect()));
        }
        let host_has_macro = url.host_str().is_none_or(|host| host.contains(['{', '}', '%']));
        if authority.contains(['{', '}']) || host_has_macro {
            return Err(InvalidLandingUrl::MacroInHost);
        }
        let text = in_our_notation(text);
        if let Some(unknown) = macros_in(&text).find(|name| !MACROS.contains(name)) {
            return Err(InvalidLandingUrl::UnknownMacro(unknown.to_owned()));
        }
        Ok(Self(text))
    }

    /// The URL with its macros.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Replaces the macros by their values, each percent-encoded once, and appends the visitor's `params`, except those that
    /// the page has itself: many shops read the last of two.
    pub fn fill<'a>(&self, value: impl Fn(&str) -> Option<&'a str>, params: &[(String, String)]) -> String {
        let mut out = filled(&self.0, value);
        append_visitors(&mut out, params, "");
        // The stored text may contain spaces or letters that a header can't; the parsed form does not.
        Url::parse(&out).map_or(out, String::from)
    }
}

impl LandingUrl {
    /// Another page of the same shop, with the parameters of this page that contain macros: the shop finds its click id
    /// in them. Macros of the deep link are replaced too. Parameters of the deep link and of the visitor with the same names
    /// are removed.
    pub(crate) fn fill_deep<'a>(
        &self,
        deep: Url,
        value: impl Fn(&str) -> Option<&'a str>,
        params: &[(String, String)],
    ) -> String {
        // No part before the path can contain a macro, so the host stays the one that the offer allows.
        let mut deep = Url::parse(&filled(&in_our_notation(deep.as_str()), &value)).unwrap_or(deep);
        let page = self.0.split('#').next().unwrap_or_default();
        let query = page.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let carrying = query.split('&').filter(|pair| pair.contains('{')).map(|pair| filled(pair, &value));
        let ours: Vec<(String, String)> = carrying
            .flat_map(|pair| url::form_urlencoded::parse(pair.as_bytes()).into_owned().collect::<Vec<_>>())
            .collect();
        let our_names: HashSet<_> = ours.iter().map(|(name, _)| read_name(name)).collect();
        let is_ours = |name: &str| our_names.contains(&read_name(name));
        if deep.query_pairs().any(|(name, _)| is_ours(&name)) {
            let kept: Vec<_> = deep.query_pairs().into_owned().filter(|(name, _)| !is_ours(name)).collect();
            deep.query_pairs_mut().clear().extend_pairs(kept);
        }
        let mut out = String::from(deep);
        append_params(&mut out, &ours);
        append_visitors(&mut out, params, &self.0);
        Url::parse(&out).map_or(out, String::from)
    }
}

impl Serialize for LandingUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for LandingUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::stored(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for LandingUrl {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("A URL with http or https. Path, query and fragment can contain the macros {click_id}, {affiliate_id}, {offer_id} and {sub1} to {sub10}. `&amp;` and `&#038;` are stored as `&`."))
            .examples(["https://shop.example/?cid={click_id}"])
            .into()
    }
}

impl utoipa::ToSchema for LandingUrl {}

/// Appends parameters that the URL does not have yet, each value percent-encoded once.
pub fn with_fields(url: &str, fields: &[(String, String)]) -> String {
    let Ok(parsed) = Url::parse(url) else { return url.to_owned() };
    let mut missing: Vec<(String, String)> = Vec::new();
    for field in fields {
        let known = missing.iter().any(|(name, _)| *name == field.0);
        if !known && !parsed.query_pairs().any(|(name, _)| name == field.0) {
            missing.push(field.clone());
        }
    }
    let mut out = url.to_owned();
    append_params(&mut out, &missing);
    Url::parse(&out).map_or(out, String::from)
}

/// Appends the parameters of a visitor, except those that the URL or `page` has.
fn append_visitors(url: &mut String, params: &[(String, String)], page: &str) {
    if params.is_empty() {
        return;
    }
    let mut own = names_in(url);
    own.extend(names_in(page));
    append_params(url, params.iter().filter(|(name, _)| !own.contains(&read_name(name))));
}

/// The names of a URL's parameters, as [`read_name`] gives them.
fn names_in(url: &str) -> HashSet<String> {
    let page = url.split('#').next().unwrap_or_default();
    let query = page.split_once('?').map(|(_, query)| query).unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| read_name(&name)).collect()
}

/// The name under which a shop may read a parameter. Some ignore case; PHP reads `cid[]` as `cid`, and `a.b` as `a_b`.
fn read_name(name: &str) -> String {
    let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let name = name.split(['[', '\0']).next().unwrap_or_default();
    name.chars().map(|c| if matches!(c, '.' | ' ') { '_' } else { c }).flat_map(char::to_lowercase).collect()
}

fn append_params<'a>(url: &mut String, params: impl IntoIterator<Item = &'a (String, String)>) {
    let fragment = url.find('#').map(|at| url.split_off(at));
    for (name, value) in params {
        let last = url.chars().last();
        if !url.contains('?') {
            url.push('?');
        } else if last != Some('?') && last != Some('&') {
            url.push('&');
        }
        push_encoded(url, name);
        url.push('=');
        push_encoded(url, value);
    }
    url.push_str(&fragment.unwrap_or_default());
}

/// The parts of a URL after its host in which a macro can stand, with their positions: segments of the path, and names and
/// values of parameters.
fn parts(url: &str) -> Vec<(usize, &str)> {
    let Some(start) = url.find("://").map(|at| at + 3) else { return Vec::new() };
    let Some(start) = url[start..].find(['/', '?', '#']).map(|at| start + at) else { return Vec::new() };
    // `=#{x}` is a macro, and `/#{x}` is a macro in the fragment.
    let braced = url[start..].match_indices("#{").find(|(at, _)| !url[..start + at].ends_with('=')).map(|(at, _)| at);
    let fragment = marks::fragment_at(&url[start..]).into_iter().chain(braced).min();
    let fragment = fragment.map_or(url.len(), |at| start + at);
    let after = (fragment + 1).min(url.len());
    let mut parts = Vec::new();
    let query = url[start..fragment].find('?').map_or(fragment, |at| start + at);
    for (mut at, text) in [(start, &url[start..query]), (query, &url[query..fragment]), (after, &url[after..])] {
        for pair in text.split(['/', '?', '&']) {
            // A `=` in the path belongs to its segment.
            let name = pair.find('=').filter(|_| at >= query);
            match name {
                Some(end) => parts.extend([(at, &pair[..end]), (at + end + 1, &pair[end + 1..])]),
                None => parts.push((at, pair)),
            }
            at += pair.len() + 1;
        }
    }
    parts
}

/// The first macro of a URL in another notation than `{click_id}`, with the text around it, cut to 100 characters.
pub(super) fn foreign_macro(url: &str) -> Option<String> {
    let is_foreign = |part: &str| {
        part_in_our_notation(part).is_some_and(|ours| ours != part) || marks::is_unreplaced(&filled(part, |_| None))
    };
    let found = parts(url.trim()).into_iter().find(|(_, part)| is_foreign(part));
    found.map(|(_, foreign)| foreign.chars().take(100).collect())
}

/// The URL with our macros as `{click_id}`, in any notation in which they were written.
pub(super) fn in_our_notation(url: &str) -> String {
    let (mut out, mut done) = (String::with_capacity(url.len()), 0);
    for (at, part) in parts(url) {
        if let Some(ours) = part_in_our_notation(part) {
            out.push_str(&url[done..at]);
            out.push_str(&ours);
            done = at + part.len();
        }
    }
    out.push_str(&url[done..]);
    out
}

/// The part with our macros as `{click_id}`; `None` if it has none.
fn part_in_our_notation(part: &str) -> Option<String> {
    // Browsers encode braces and brackets when a URL is copied, and some editors encode them once more.
    let plain = [("%25", "%"), ("%7B", "{"), ("%7D", "}"), ("%5B", "["), ("%5D", "]"), ("%3C", "<"), ("%3E", ">")];
    let decoded = plain.into_iter().fold(part.to_owned(), |text, (encoded, plain)| {
        text.replace(encoded, plain).replace(&encoded.to_ascii_lowercase(), plain)
    });
    let whole = marks::whole(part).or_else(|| marks::whole(&decoded));
    if let Some(name) = whole.and_then(|token| our_name(token.name)) {
        return Some(format!("{{{name}}}"));
    }
    let (mut out, mut found) = (String::new(), false);
    for piece in marks::pieces(&decoded) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Token(token) => match our_name(token.name) {
                Some(name) => {
                    found = true;
                    out.extend(["{", name, "}"]);
                }
                None => out.push_str(token.marked),
            },
        }
    }
    found.then_some(out)
}

/// Our macro of this name, in any case and without regard to underscores: `CLICKID`.
fn our_name(name: &str) -> Option<&'static str> {
    let letters = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    MACROS.into_iter().find(|known| letters(known) == letters(name))
}

/// Replaces each of our macros by its value, percent-encoded once. Other braces belong to the page.
fn filled<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('}') {
        let opened = before.rsplit_once('{').filter(|(_, name)| MACROS.contains(name));
        match opened {
            Some((before, name)) => {
                out.push_str(before);
                push_encoded(&mut out, value(name).unwrap_or_default());
            }
            None => out.extend([before, "}"]),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn push_encoded(out: &mut String, value: &str) {
    out.extend(utf8_percent_encode(value, VALUE));
}

fn macros_in(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, name, after) = next_macro(rest)?;
        rest = after;
        Some(name)
    })
}

/// Splits at the first `{name}`.
fn next_macro(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('{')?;
    let close = open + text[open..].find('}')?;
    Some((&text[..open], &text[open + 1..close], &text[close + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(landing: &str, params: &[(&str, &str)]) -> String {
        let params: Vec<_> = params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        LandingUrl::parse(landing).unwrap().fill(
            |name| match name {
                "click_id" => Some("06a5"),
                "sub1" => Some("a b&c=d/é{x}"),
                _ => None,
            },
            &params,
        )
    }

    #[test]
    fn macros_are_filled_and_encoded_once() {
        assert_eq!(fill("https://shop.example/?cid={click_id}", &[]), "https://shop.example/?cid=06a5");
        assert_eq!(
            fill("https://shop.example/p/{sub1}?s={sub1}&t={sub2}", &[]),
            "https://shop.example/p/a%20b%26c%3Dd%2F%C3%A9%7Bx%7D?s=a%20b%26c%3Dd%2F%C3%A9%7Bx%7D&t="
        );
    }

    #[test]
    fn a_visitors_parameters_are_appended_before_the_fragment() {
        assert_eq!(
            fill("https://shop.example/#buy", &[("utm", "x y"), ("next", "https://evil.example/")]),
            "https://shop.example/?utm=x%20y&next=https%3A%2F%2Fevil.example%2F#buy"
        );
        assert_eq!(fill("https://shop.example/?a=1", &[("b", "2")]), "https://shop.example/?a=1&b=2");
    }

    #[test]
    fn a_visitor_cannot_repeat_a_parameter_of_the_page() {
        let page = "https://shop.example/?cid={click_id}&R%45f=us#cid=1";
        for name in ["cid", "CID", "c%69d", "cid[]", "cid[0]", " cid", "ref", "REF"] {
            let name = url::form_urlencoded::parse(format!("{name}=x").as_bytes()).next().unwrap().0.into_owned();
            assert_eq!(fill(page, &[(&name, "forged")]), "https://shop.example/?cid=06a5&R%45f=us#cid=1", "{name}");
        }
        assert_eq!(
            fill(page, &[("cid2", "x")]),
            "https://shop.example/?cid=06a5&R%45f=us&cid2=x#cid=1",
            "other parameters are passed on"
        );
    }

    #[test]
    fn macros_in_another_notation_are_refused_and_understood_if_they_were_stored() {
        let value = |name: &str| (name == "click_id").then_some("06a5");

        for mark in [
            "%7Bclick_id%7D",
            "%7bclick_id%7d",
            "[click_id]",
            "${click_id}",
            "%click_id%",
            "%257Bclick_id%257D",
            "__CLICK_ID__",
            "{{click_id}}",
            "##click_id##",
            "#click_id#",
            "!!!click_id!!!",
            "[=click_id=]",
            "{clickid}",
            "{ click_id }",
            "xxCLICKIDxx",
        ] {
            let text = format!("https://shop.example/p?a=1&cid={mark}&b=2#top");
            assert!(LandingUrl::parse(&text).is_err(), "{mark}");
            let filled = LandingUrl::stored(&text).unwrap().fill(value, &[]);
            assert_eq!(filled, "https://shop.example/p?a=1&cid=06a5&b=2#top", "{mark}");
        }
        let stored = LandingUrl::stored("https://shop.example/%7Bclick_id%7D/?cid=x-%7Bclick_id%7D").unwrap();
        assert_eq!(stored.fill(value, &[]), "https://shop.example/06a5/?cid=x-06a5");
        for foreign in ["[subid]", "${campaign}", "%TRACKER%", "%5Bsub_id%5D", "##X##", "[=XID1=]", "x-${campaign}"] {
            let refused = LandingUrl::parse(&format!("https://shop.example/?x={foreign}"));
            let is_refusal =
                matches!(refused, Err(InvalidLandingUrl::ForeignMacro(_) | InvalidLandingUrl::UnknownMacro(_)));
            assert!(is_refusal, "{foreign}: {refused:?}");
        }
        for text in [
            "https://shop.example/?filter[color]=red&x=50%25",
            "https://shop.example/caf%C3%A9/%D0%B1?q=a+b",
            "https://shop.example/a__b__c#section",
            "https://shop.example/#{click_id}",
            "https://shop.example/#/buy?cid={click_id}",
        ] {
            assert_eq!(LandingUrl::parse(text).unwrap().as_str(), text);
        }
        assert!(LandingUrl::stored("https://shop.example/?x=[subid]").is_ok(), "earlier releases stored it");
    }

    #[test]
    fn a_page_that_was_copied_from_html_has_plain_ampersands() {
        for amp in ["&amp;", "&#038;", "&#38;", "&amp;amp;"] {
            let copied = format!("https://shop.example/?a=1{amp}cid={{click_id}}#top");
            let wanted = "https://shop.example/?a=1&cid={click_id}#top";
            assert_eq!(LandingUrl::parse(&copied).unwrap().as_str(), wanted, "{amp}");
        }
        let stored = "https://shop.example/?a=1&amp;cid={click_id}";
        assert_eq!(LandingUrl::stored(stored).unwrap().as_str(), stored, "a page that is in use does not change");
    }

    #[test]
    fn added_parameters_are_encoded_once_and_never_repeated() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let url = "https://shop.example/p?cid=1&s%69d=mine#buy";
        let fields = [field("sid", "x"), field("aff", "a b&c%41"), field("aff", "again"), field("cid", "2")];
        assert_eq!(with_fields(url, &fields), "https://shop.example/p?cid=1&s%69d=mine&aff=a%20b%26c%2541#buy");
        assert_eq!(with_fields(url, &[]), url);
    }

    #[test]
    fn a_deep_link_has_the_parameters_of_the_click() {
        let landing = LandingUrl::parse("https://shop.example/?cid={click_id}&ref=pr&s={sub1}#top").unwrap();
        let value = |name: &str| Some(if name == "click_id" { "06a5" } else { "a b&c" });
        let fill = |deep: &str| landing.fill_deep(Url::parse(deep).unwrap(), value, &[("utm".into(), "x".into())]);
        assert_eq!(
            fill("https://shop.example/p/1?x=%20{sub1}#buy"),
            "https://shop.example/p/1?x=%20a%20b%26c&cid=06a5&s=a%20b%26c&utm=x#buy"
        );
        for (deep, wanted) in [
            ("https://shop.example/p/{sub1}/{click_id}", "/p/a%20b%26c/06a5?"),
            ("https://shop.example/p?x=%7Bclick_id%7D&y=[sub1]", "/p?x=06a5&y=a%20b%26c&"),
            ("https://shop.example/?filter={\"a\":1}", "/?filter={%22a%22:1}&"),
            ("https://shop.example/?x={nope}", "/?x={nope}&"),
            ("https://shop.example/?x={{{a{sub1}}&y=}{", "/?x={{{aa%20b%26c}&y=}{&"),
        ] {
            let wanted = format!("https://shop.example{wanted}cid=06a5&s=a%20b%26c&utm=x");
            assert_eq!(fill(deep), wanted, "{deep}");
        }
        assert_eq!(
            fill("https://shop.example/p/1?cid=forged&x=1"),
            "https://shop.example/p/1?x=1&cid=06a5&s=a%20b%26c&utm=x"
        );
    }

    #[test]
    fn a_visitor_cannot_choose_the_host() {
        use InvalidLandingUrl::*;
        for (text, wanted) in [
            ("shop.example", NotAUrl("shop.example".into())),
            ("javascript:alert(1)", Scheme("javascript".into())),
            ("ftp://shop.example/", Scheme("ftp".into())),
            ("https://user:secret@shop.example/", UserInfo),
            ("https://{sub1}/", MacroInHost),
            ("https://shop.example/?x={nope}", UnknownMacro("nope".into())),
        ] {
            assert_eq!(LandingUrl::parse(text), Err(wanted), "{text}");
        }
        for text in [
            "https://{sub1}.shop.example/",
            "https://shop.example:{sub1}/",
            "{sub1}",
            "https:///{sub1}/x",
            "https:/{sub1}/x",
            "https:\\\\{sub1}\\x",
            "https://\\{sub1}/",
            "https:{sub1}",
        ] {
            assert!(LandingUrl::parse(text).is_err(), "{text}");
        }
    }
}
