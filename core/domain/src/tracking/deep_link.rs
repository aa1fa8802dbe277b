//! Deep links: links to one page of a shop, limited to the hosts that the offer allows.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

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
    /// The offer allows no deep links.
    #[error("this offer allows no deep links; set deep_link_hosts of the offer first")]
    None,
}

/// Parses a deep link and checks its host. The caller must use the returned URL instead of the text, because a browser
/// could interpret the text differently.
pub fn deep_url(text: &str, allowed: &[HostPattern]) -> Result<Url, InvalidDeepLink> {
    let text = text.trim();
    // The URL standard removes tabs and line breaks silently.
    if text.contains(char::is_control) {
        return Err(InvalidDeepLink::ControlCharacter);
    }
    let url = Url::parse(text).map_err(|_| InvalidDeepLink::NotAUrl(text.chars().take(200).collect()))?;
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
    fn a_pattern_must_be_a_host() {
        for text in ["", "*", "*.", "*.com", "https://shop.example", "shop.example/p", "a b", "*.*.example", "x:80"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        assert_eq!("*.Shop.Example".parse::<HostPattern>().unwrap().to_string(), "*.shop.example");
    }
}
