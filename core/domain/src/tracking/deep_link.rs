//! Deep links: links to one page of a shop, limited to the hosts that the offer allows.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::landing::{foreign_macro, in_our_notation};
use crate::copied_url::plain_ampersands;

/// `shop.example`, or `*.shop.example` for all its subdomains (but not for `shop.example`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPattern(String);

/// A text that is not a host pattern; holds the text, cut to 100 characters.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is not a host; write shop.example, or *.shop.example for all its subdomains")]
pub struct InvalidHost(String);

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let invalid = || InvalidHost(text.chars().take(100).collect());
        let text = text.trim();
        let (star, host) = match text.strip_prefix("*.") {
            Some(host) => ("*.", host),
            None => ("", text),
        };
        let foreign = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-'));
        // A star for a whole top-level domain would be an open redirect.
        if host.is_empty() || host.contains(foreign) || (!star.is_empty() && !host.contains('.')) {
            return Err(invalid());
        }
        // In the form of the URL parser: lower case, punycode.
        let url = Url::parse(&format!("https://{host}/")).map_err(|_| invalid())?;
        Ok(Self(format!("{star}{}", url.host_str().ok_or_else(invalid)?)))
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => host == self.0,
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for HostPattern {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("A host, or `*.` and a host for all its subdomains, but not the host itself."))
            .examples(["shop.example", "*.shop.example"])
            .into()
    }
}

impl utoipa::ToSchema for HostPattern {}

/// Why a text is not an allowed deep link.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidDeepLink {
    /// Not a URL; holds the text, cut to 200 characters.
    #[error("\"{0}\" is not a URL; write the whole address, such as https://shop.example/product/1")]
    NotAUrl(String),
    /// With a line break or a control character.
    #[error("the URL contains a line break or a control character; remove it")]
    ControlCharacter,
    /// Another scheme than http and https, or with user name, password or port.
    #[error("a deep link must use http or https, without user name and port")]
    Unusual,
    /// The host is not allowed.
    #[error("this offer does not allow deep links to \"{host}\"; it allows {allowed}")]
    Host {
        /// The host.
        host: String,
        /// The allowed hosts, separated by commas.
        allowed: String,
    },
    /// With a macro in another notation than `{click_id}`; holds its text.
    #[error(
        "\"{0}\" is written like a macro of another system and would be sent as text; write macros as {{click_id}}, {{affiliate_id}}, {{offer_id}} or {{sub1}} to {{sub10}}, with plain braces"
    )]
    ForeignMacro(String),
    /// The offer allows no deep links.
    #[error("this offer allows no deep links; set deep_link_hosts of the offer first")]
    None,
}

/// The deep link of a link as it is stored: checked like [`deep_url`], and with macros as `{click_id}`. A click replaces them.
///
/// # Errors
/// As [`deep_url`]; or it has a macro in another notation, which would be sent as text.
pub fn deep_url_of_link(text: &str, allowed: &[HostPattern]) -> Result<String, InvalidDeepLink> {
    let url = deep_url(text, allowed)?;
    match foreign_macro(&plain_ampersands(text)) {
        Some(foreign) => Err(InvalidDeepLink::ForeignMacro(foreign)),
        None => Ok(in_our_notation(url.as_str())),
    }
}

/// Parses a deep link and checks its host. The caller must use the returned URL instead of the text, because a browser
/// could interpret the text differently.
pub fn deep_url(text: &str, allowed: &[HostPattern]) -> Result<Url, InvalidDeepLink> {
    let text = plain_ampersands(text.trim());
    // The URL standard removes tabs and line breaks silently.
    if text.contains(char::is_control) {
        return Err(InvalidDeepLink::ControlCharacter);
    }
    let url = Url::parse(&text).map_err(|_| InvalidDeepLink::NotAUrl(text.chars().take(200).collect()))?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.port().is_none();
    let host = url.host_str().unwrap_or_default();
    if !plain || host.is_empty() {
        return Err(InvalidDeepLink::Unusual);
    }
    if allowed.is_empty() {
        return Err(InvalidDeepLink::None);
    }
    if !allowed.iter().any(|pattern| pattern.matches(host)) {
        let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        return Err(InvalidDeepLink::Host { host: host.to_owned(), allowed: allowed.join(", ") });
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_hosts_are_accepted() {
        let allowed: Vec<HostPattern> =
            ["Shop.example", "*.shops.example"].iter().map(|text| text.parse().unwrap()).collect();
        for text in [
            "https://shop.example/p/1?a=b#c",
            "http://SHOP.example",
            "https://de.shops.example/",
            "https://a.b.shops.example/",
            "https://shop.example:443/",
        ] {
            assert!(deep_url(text, &allowed).is_ok(), "{text}");
        }
        for text in [
            "https://evil.example/",
            "https://shop.example.evil.example/",
            "https://evilshop.example/",
            "https://shops.example/",
            "https://evil-shops.example/",
            "https://shop.example@evil.example/",
            "https://user@shop.example/",
            "https://shop.example:8443/",
            "https:\\\\evil.example\\shop.example",
            "https://evil.example\\@shop.example/",
            "//shop.example/",
            "javascript:alert(1)//shop.example",
            "ftp://shop.example/",
            "/p/1",
            "",
        ] {
            assert!(deep_url(text, &allowed).is_err(), "{text}");
        }
        assert_eq!(deep_url("https://shop.example/", &[]), Err(InvalidDeepLink::None));
    }

    #[test]
    fn the_deep_link_of_a_link_has_our_macros_or_none() {
        let allowed: Vec<HostPattern> = vec!["shop.example".parse().unwrap()];
        let stored = |page: &str| deep_url_of_link(&format!("https://shop.example{page}"), &allowed);
        for (page, wanted) in [
            ("/p/{sub1}?c={click_id}#{sub2}", "/p/{sub1}?c={click_id}#{sub2}"),
            ("/p 1?a=1&amp;b=2&#038;c=3", "/p%201?a=1&b=2&c=3"),
            ("/?filter[color]=red&x=50%25", "/?filter[color]=red&x=50%25"),
        ] {
            assert_eq!(stored(page), Ok(format!("https://shop.example{wanted}")), "{page}");
        }
        for page in ["/?c=%7Bclick_id%7D", "/[sub1]", "/?c=${click_id}", "/?c={keyword}", "/?c=##X##"] {
            assert!(matches!(stored(page), Err(InvalidDeepLink::ForeignMacro(_))), "{page}");
        }
        let evil = deep_url_of_link("https://evil.example/?c=[x]", &allowed);
        assert!(matches!(evil, Err(InvalidDeepLink::Host { .. })), "{evil:?}");
    }

    #[test]
    fn a_pattern_must_be_a_host() {
        for text in ["", "*", "*.", "*.com", "https://shop.example", "shop.example/p", "a b", "*.*.example", "x:80"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        assert_eq!("*.Shop.Example".parse::<HostPattern>().unwrap().to_string(), "*.shop.example");
    }
}
