//! Which page a click leads to: one that the visitor names, one that the link names, or one of the offer's pages by weight.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use postrider_sdk::marks;
use url::Url;

use crate::program::offer::Offer;
use crate::tracking::deep_link::deep_url;
use crate::tracking::landing::LandingUrl;
use crate::tracking::link::Link;

/// The query parameter that names a landing page of the offer.
const LANDING_PAGE: &str = "lp";
/// The query parameter that names any page on the hosts that the offer allows.
pub(super) const DEEP_LINK: &str = "url";

/// One page of the shop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Page<'a> {
    /// A landing page of the offer.
    Named(&'a LandingUrl),
    /// A deep link on a host that the offer allows.
    Deep(Url),
}

/// The page to which a click leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Landing<'a> {
    /// Neither the visitor nor the link names a page: one of the offer's pages, by weight.
    Default,
    /// The page that the visitor or the link names.
    Page(Page<'a>),
    /// The visitor names a deep link on a host that the offer does not allow.
    Refused,
}

impl<'a> Landing<'a> {
    /// Chooses in this order: deep link of the visitor, landing page that the visitor names, deep link of the link, landing
    /// page of the link. Removes the parameter that was used from `query`, so that it is not passed to the page.
    pub fn choose(offer: &'a Offer, link: Option<&Link>, query: &mut Vec<(String, String)>) -> Self {
        let hosts = &offer.terms.deep_link_hosts;
        if !hosts.is_empty() {
            query.retain(|(name, text)| name != DEEP_LINK || names_a_page(text));
            if let Some(at) = query.iter().position(|(name, _)| name == DEEP_LINK) {
                let (_, text) = query.remove(at);
                let url = deep_url(&decoded_once_more(&text), hosts);
                return url.map_or(Self::Refused, |url| Self::Page(Page::Deep(url)));
            }
        }
        let named = query.iter().position(|(name, value)| name == LANDING_PAGE && offer.landing_page(value).is_some());
        if let Some(page) = named.and_then(|at| offer.landing_page(&query.remove(at).1)) {
            return Self::Page(Page::Named(&page.url));
        }
        // The offer may have removed the host since the link was created.
        if let Some(url) = link.and_then(|link| deep_url(link.deep_url.as_deref()?, hosts).ok()) {
            return Self::Page(Page::Deep(url));
        }
        let page = link.and_then(|link| offer.landing_page(link.landing_page.as_deref()?));
        page.map_or(Self::Default, |page| Self::Page(Page::Named(&page.url)))
    }
}

/// Whether the parameter of a deep link has a value: not an empty one or only a macro that nobody replaced.
fn names_a_page(text: &str) -> bool {
    let text = marks::trimmed(text);
    !text.is_empty() && marks::whole(text).is_none()
}

/// A deep link that was encoded twice is decoded once more: no address begins with `https%3A`.
fn decoded_once_more(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let is_encoded = |scheme: &&str| text.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
    match ["http%3A", "https%3A"].iter().any(is_encoded) {
        true => percent_decode_str(text).decode_utf8_lossy(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::offer::{LandingPage, Terms};
    use crate::tracking::samples;

    #[test]
    fn the_visitor_chooses_before_the_link_and_the_link_before_the_offer() {
        let page = |name: &str| LandingPage {
            name: name.into(),
            url: LandingUrl::parse(&format!("https://shop.example/{name}")).unwrap(),
            weight: 0,
        };
        let hosts = vec!["shop.example".parse().unwrap()];
        let terms = Terms { landing_pages: vec![page("spring"), page("summer")], ..Terms::default() };
        let closed = samples::offer(terms.clone());
        let open = samples::offer(Terms { deep_link_hosts: hosts, ..terms });
        let deep = Some("https://shop.example/deep");
        for (offer, query, link, wanted, passed_on) in [
            (&open, "", None, "default", ""),
            (&open, "a=1", Some((deep, Some("spring"))), "deep /deep", "a=1"),
            (&open, "", Some((None, Some("spring"))), "named /spring", ""),
            (&open, "", Some((None, Some("gone"))), "default", ""),
            (&open, "lp=summer&a=1", Some((deep, None)), "named /summer", "a=1"),
            (&open, "lp=gone", None, "default", "lp=gone"),
            (&open, "lp=summer&url=https://shop.example/x", None, "deep /x", "lp=summer"),
            (&open, "url=https://evil.example/", Some((deep, None)), "refused", ""),
            (&open, "url=https%3A%2F%2Fshop.example%2Fx%3Fa%3D1", None, "deep /x", ""),
            (&open, "url=HTTPS%3a%2f%2fevil.example%2F", Some((deep, None)), "refused", ""),
            (&open, "url=https%253A%252F%252Fshop.example", None, "refused", ""),
            (&open, "url=&a=1", None, "default", "a=1"),
            (&open, "url= &url={deeplink}&lp=summer", None, "named /summer", ""),
            (&open, "url={deeplink}&url=https://shop.example/{sub1}", None, "deep /%7Bsub1%7D", ""),
            (&closed, "url=", None, "default", "url="),
            // Without hosts there are no deep links, and `url` is a parameter like any other.
            (&closed, "url=https://evil.example/", Some((deep, None)), "default", "url=https://evil.example/"),
        ] {
            let link = link.map(|(deep, page)| Link {
                deep_url: deep.map(str::to_owned),
                landing_page: page.map(str::to_owned),
                ..samples::link(offer)
            });
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut query: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            let landing = match Landing::choose(offer, link.as_ref(), &mut query) {
                Landing::Default => "default".to_owned(),
                Landing::Page(Page::Named(url)) => {
                    format!("named {}", url.as_str().trim_start_matches("https://shop.example"))
                }
                Landing::Page(Page::Deep(url)) => format!("deep {}", url.path()),
                Landing::Refused => "refused".to_owned(),
            };
            let rest: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!((landing.as_str(), rest.join("&").as_str()), (wanted, passed_on));
        }
    }
}
