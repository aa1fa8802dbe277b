//! Click requests: the data of a browser's request for a link, and the click that is recorded for it.

use crate::ids::{AffiliateId, ClickId, LinkId};
use crate::program::offer::Offer;
use crate::timestamp::Timestamp;

use super::action::Action;
use super::click::{Agent, Click, SUB_IDS, daily_visitor_hash, offer_visitor_hash};
use super::landing_choice::Page;

/// The data of a request that a click keeps. Each text is a [`stored_text`](super::click::stored_text).
#[derive(Clone, Debug, Default)]
pub struct ClickRequest {
    /// The parameters of the query, decoded, in their order.
    pub query: Vec<(String, String)>,
    /// The header `Referer`.
    pub referrer: Option<String>,
    /// The visitor's address, as text.
    pub ip: Option<String>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// Device, operating system and browser, as read from the user agent.
    pub agent: Agent,
}

/// The parameters of a link by their use.
#[derive(Default)]
struct Parameters {
    /// The tracker's own click id.
    external_id: Option<String>,
    sub_ids: Vec<(String, String)>,
    others: Vec<(String, String)>,
}

impl Parameters {
    /// The first value of a sub id and the first tracker's id that is not empty count. Without a link, `offer_id` chose the
    /// offer, and is not a parameter of the click.
    fn of(query: Vec<(String, String)>, has_link: bool) -> Self {
        let mut found = Self::default();
        for (name, value) in query {
            if name == "click_id" {
                found.external_id = found.external_id.or(Some(value).filter(|value| !value.is_empty()));
            } else if is_sub_id(&name) {
                if !found.sub_ids.iter().any(|(known, _)| *known == name) {
                    found.sub_ids.push((name, value));
                }
            } else if name != "offer_id" || has_link {
                found.others.push((name, value));
            }
        }
        found
    }
}

impl ClickRequest {
    /// The click or impression of this request, without country and session. Without `page` it leads to one of the offer's
    /// pages, by weight.
    pub fn into_click(
        self,
        action: Action,
        link: Option<LinkId>,
        affiliate_id: AffiliateId,
        offer: &Offer,
        page: Option<Page<'_>>,
        now: Timestamp,
    ) -> Click {
        let id = ClickId::new(now);
        let Parameters { external_id, sub_ids, others: params } = Parameters::of(self.query, link.is_some());
        let (ip, user_agent) = (self.ip, self.user_agent);
        let scope = link.map_or(affiliate_id.0, |link| link.0);
        let visitor = daily_visitor_hash(action, scope, now, ip.as_deref(), user_agent.as_deref());
        let counted = action == Action::Click && offer.counts_visitors();
        let landing_url = {
            let (click, affiliate, offer_id) = (id.to_string(), affiliate_id.to_string(), offer.id.to_string());
            let value = |name: &str| match name {
                "click_id" => Some(click.as_str()),
                "affiliate_id" => Some(affiliate.as_str()),
                "offer_id" => Some(offer_id.as_str()),
                sub => sub_ids.iter().find(|(name, _)| name == sub).map(|(_, value)| value.as_str()),
            };
            // A tracker's own parameters are passed on; sub ids and our ids replace the macros of the page.
            match page {
                Some(Page::Named(page)) => page.fill(value, &params),
                Some(Page::Deep(url)) => offer.landing_url.fill_deep(url, value, &params),
                None => offer.landing_for(visitor).fill(value, &params),
            }
        };
        Click {
            id,
            action,
            link_id: link,
            affiliate_id,
            offer_id: offer.id,
            occurred_at: now,
            external_id,
            sub_ids,
            params,
            session: None,
            landing_url,
            referrer: self.referrer,
            visitor,
            person: counted.then(|| offer_visitor_hash(offer.id, ip.as_deref(), user_agent.as_deref())),
            ip,
            user_agent,
            country: None,
            agent: self.agent,
            unique: false,
        }
    }
}

impl Click {
    /// The session that its link carries under the first of `names` with a value; in lower case.
    pub fn session_in<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Option<String> {
        let found = names.find_map(|name| self.parameter(name).map(str::trim).filter(|value| !value.is_empty()));
        found.map(str::to_lowercase)
    }
}

fn is_sub_id(name: &str) -> bool {
    name.strip_prefix("sub").is_some_and(|digits| {
        !digits.starts_with('0') && digits.parse::<usize>().is_ok_and(|slot| (1..=SUB_IDS).contains(&slot))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::offer::Terms;
    use crate::tracking::samples;

    fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn parameters_of_a_link_are_sorted_by_their_use() {
        let given = query(&[
            ("click_id", ""),
            ("click_id", "T-1"),
            ("sub1", "a"),
            ("sub1", "b"),
            ("offer_id", "o"),
            ("k", "v"),
        ]);
        for (has_link, others) in [(true, query(&[("offer_id", "o"), ("k", "v")])), (false, query(&[("k", "v")]))] {
            let found = Parameters::of(given.clone(), has_link);
            assert_eq!(found.external_id.as_deref(), Some("T-1"));
            assert_eq!(found.sub_ids, query(&[("sub1", "a")]));
            assert_eq!(found.others, others);
        }
    }

    #[test]
    fn a_click_fills_the_macros_of_its_page_and_passes_other_parameters_on() {
        let offer = samples::offer(Terms::default());
        let link = samples::link(&offer);
        let request = |query| ClickRequest { query, ip: Some("203.0.113.7".into()), ..ClickRequest::default() };
        let make = |action, pairs: &[(&str, &str)]| {
            let request = request(query(pairs));
            request.into_click(action, Some(link.id), link.affiliate_id, &offer, None, link.created_at)
        };
        let click = make(Action::Click, &[("sub1", "a b"), ("keyword", "shoes")]);
        let wanted = format!("https://shop.example/?cid={}&s=a%20b&keyword=shoes", click.id);
        assert_eq!(click.landing_url, wanted);
        assert_eq!(click.person, None, "the offer counts the click that is named");
        let impression = make(Action::Impression, &[]);
        assert_eq!(click.visitor ^ impression.visitor, 1, "impressions and clicks of a visitor are counted separately");
    }

    #[test]
    fn a_session_is_read_from_the_first_parameter_that_has_a_value() {
        let offer = samples::offer(Terms::default());
        let click = Click { params: query(&[("a", " "), ("b", " X1 "), ("c", "Y")]), ..samples::click(&offer) };
        assert_eq!(click.session_in(["z", "a", "b", "c"].into_iter()).as_deref(), Some("x1"));
        assert_eq!(click.session_in(["z", "a"].into_iter()), None);
    }

    #[test]
    fn there_are_ten_sub_ids() {
        for name in ["sub1", "sub9", "sub10"] {
            assert!(is_sub_id(name), "{name}");
        }
        for name in ["sub", "sub0", "sub01", "sub11", "sub1x", "subid", "SUB1"] {
            assert!(!is_sub_id(name), "{name}");
        }
    }
}
