//! Deep links: a link that leads to one page of the shop, and to no other host than the offer allows.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

/// `shop.example`, or `*.shop.example` for whatever is below it (and not for itself).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPattern(String);

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is not a host; write shop.example, or *.shop.example for all below it")]
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
        // A star over a whole top-level domain would be an open redirect.
        if host.is_empty() || host.contains(foreign) || (!star.is_empty() && !host.contains('.')) {
            return Err(invalid());
        }
        // As the parser of URLs writes it: lower case, punycode.
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
            .description(Some("A host, or `*.` and a host for whatever is below it."))
            .examples(["shop.example", "*.shop.example"])
            .into()
    }
}

impl utoipa::ToSchema for HostPattern {}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidDeepLink {
    #[error("\"{0}\" is not a URL; write the whole address, such as https://shop.example/product/1")]
    NotAUrl(String),
    #[error("a deep link needs http or https, no user name and no port of its own")]
    Unusual,
    #[error("this offer does not allow deep links to \"{host}\"; it allows {allowed}")]
    Host { host: String, allowed: String },
    #[error("this offer allows no deep links; set deep_link_hosts of the offer first")]
    None,
}

/// The page that `text` names, as the parser writes it: what a browser makes of it is what was judged here.
pub fn deep_url(text: &str, allowed: &[HostPattern]) -> Result<Url, InvalidDeepLink> {
    let text = text.trim();
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
    fn only_allowed_hosts_are_led_to() {
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
    fn a_pattern_is_a_host() {
        for text in ["", "*", "*.", "*.com", "https://shop.example", "shop.example/p", "a b", "*.*.example", "x:80"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        assert_eq!("*.Shop.Example".parse::<HostPattern>().unwrap().to_string(), "*.shop.example");
    }
}
