//! Click requests: the data of a browser's request for a link, and the click that is recorded for it.

use postrider_sdk::inbound::pairs;
use postrider_sdk::marks::is_unreplaced;

use crate::ids::{AffiliateId, ClickId, LinkId};
use crate::program::offer::Offer;
use crate::timestamp::Timestamp;

use super::action::Action;
use super::click::{Agent, Click, SUB_IDS, VALUE_MAX_BYTES, apart, daily_visitor_hash, offer_visitor_hash};
use super::landing_choice::{DEEP_LINK, Page};

/// The data of a request that a click keeps. Referrer and user agent are a [`stored_text`](super::click::stored_text).
#[derive(Clone, Debug, Default)]
pub struct ClickRequest {
    /// The parameters of the query, decoded and whole, in their order; see [`parameters`].
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

/// The most parameters of a link's query.
const PARAMETERS_MAX: usize = 64;
/// The most characters of a parameter's name.
const NAME_MAX_CHARS: usize = 512;
/// The most bytes of a deep link.
const DEEP_LINK_MAX_BYTES: usize = 8_192;

/// Reads the query of a link, in the spellings in which sources read theirs ([`pairs`]). A value is kept whole or left out,
/// because a part of an id finds nothing, and a part of an address leads elsewhere. Returns the parameters, and a sentence
/// for each that was left out.
pub fn parameters(query: &str) -> (Vec<(String, String)>, Vec<String>) {
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for (name, value) in pairs(query) {
        // PostgreSQL cannot store NUL.
        let (name, value) = (name.replace('\0', ""), value.replace('\0', ""));
        let max = if name == DEEP_LINK { DEEP_LINK_MAX_BYTES } else { VALUE_MAX_BYTES };
        if name.is_empty() {
            continue;
        } else if kept.len() == PARAMETERS_MAX {
            left_out.push(format!("more than {PARAMETERS_MAX} parameters"));
            break;
        } else if name.chars().count() > NAME_MAX_CHARS {
            left_out.push(format!("a name of more than {NAME_MAX_CHARS} characters"));
        } else if value.len() > max {
            let shown: String = name.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
            left_out.push(format!("{shown} has {} bytes, at most {max} are kept", value.len()));
        } else {
            kept.push((name, value));
        }
    }
    prefer_filled(&mut kept);
    (kept, left_out)
}

/// Removes the values that say nothing, an empty one or a macro that nobody replaced, of each parameter that has another
/// value: the template of a tracker and the settings of an ad platform can both name it, and only one of them is filled in.
fn prefer_filled(query: &mut Vec<(String, String)>) {
    let is_blank = |value: &str| value.trim().is_empty() || is_unreplaced(value);
    let is_filled = |name: &str| query.iter().any(|(other, value)| other == name && !is_blank(value));
    let kept: Vec<bool> = query.iter().map(|(name, value)| !is_blank(value) || !is_filled(name)).collect();
    let mut kept = kept.into_iter();
    query.retain(|_| kept.next().unwrap_or(true));
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
        let visit = daily_visitor_hash(action, scope, now, ip.as_deref(), user_agent.as_deref());
        let is_machine = self.agent.likely_bot;
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
                None => offer.landing_for(visit).fill(value, &params),
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
            visitor: apart(visit, is_machine),
            person: counted
                .then(|| apart(offer_visitor_hash(offer.id, ip.as_deref(), user_agent.as_deref()), is_machine)),
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
        // Lower case can be longer, and an index entry has a limit.
        found.map(str::to_lowercase).filter(|session| session.len() <= VALUE_MAX_BYTES)
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
    use crate::program::offer::{LandingPage, Terms};
    use crate::tracking::attribution::ClickModel;
    use crate::tracking::landing::LandingUrl;
    use crate::tracking::samples;

    fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_value_is_kept_whole_or_left_out() {
        let (longest, longer) = ("k".repeat(2_048), "k".repeat(2_049));
        let (kept, left_out) = parameters(&format!("click_id={longest}&sub1={longer}&a%00b=%00c&=x&url={longer}"));
        let pairs = [("click_id", &*longest), ("ab", "c"), ("url", &*longer)];
        assert_eq!(kept, query(&pairs));
        assert_eq!(left_out, ["sub1 has 2049 bytes, at most 2048 are kept"]);
        let many = (0..70).map(|at| format!("p{at}=1")).collect::<Vec<_>>().join("&");
        let (kept, left_out) = parameters(&many);
        assert_eq!((kept.len(), left_out.len()), (64, 1));
    }

    #[test]
    fn a_link_is_read_in_the_spellings_in_which_it_is_published() {
        let wanted = query(&[("utm", "mail"), ("click_id", "T 1")]);
        for text in [
            "utm=mail&click_id=T+1",
            "utm=mail&amp;click_id=T%201",
            "utm=mail&amp;amp;click_id=T+1",
            "utm=mail?click_id=T+1",
            "?utm=mail&?click_id=T+1",
        ] {
            assert_eq!(parameters(text).0, wanted, "{text}");
        }
        let page = "https://shop.example/p?a=1";
        assert_eq!(parameters(&format!("url={page}")).0, query(&[("url", page)]), "the query of another address");
    }

    #[test]
    fn of_a_parameter_that_comes_twice_the_value_that_says_something_counts() {
        for (text, wanted) in [
            ("click_id={value}&click_id=T-9", &[("click_id", "T-9")][..]),
            ("click_id=T-9&click_id=%7Bvalue%7D", &[("click_id", "T-9")]),
            ("sub1=&sub1=%20&sub1=red", &[("sub1", "red")]),
            ("cost=[cost]&cost=0.5&k=", &[("cost", "0.5"), ("k", "")]),
            ("tag=a&tag=&tag=b", &[("tag", "a"), ("tag", "b")]),
            ("click_id={value}&click_id=", &[("click_id", "{value}"), ("click_id", "")]),
        ] {
            assert_eq!(parameters(text).0, query(wanted), "{text}");
        }
    }

    #[test]
    fn a_machine_with_the_browser_of_a_person_is_another_visitor_who_sees_the_same_page() {
        let page = |name: &str| LandingPage {
            name: name.into(),
            url: LandingUrl::parse(&format!("https://shop.example/{name}")).unwrap(),
            weight: 1,
        };
        let pages = ["a", "b", "c"].map(page).to_vec();
        let mut offer = samples::offer(Terms { landing_pages: pages, ..Terms::default() });
        offer.terms.attribution.click = ClickModel::First;
        let link = samples::link(&offer);
        let click = |browser: &str, likely_bot| {
            let agent = Agent { likely_bot, ..Agent::default() };
            let request = ClickRequest { user_agent: Some(browser.into()), agent, ..ClickRequest::default() };
            request.into_click(Action::Click, Some(link.id), link.affiliate_id, &offer, None, link.created_at)
        };
        for browser in ["Firefox", "Chrome", "Safari", "Edge", "Opera", "Vivaldi"] {
            let (person, machine) = (click(browser, false), click(browser, true));
            assert_ne!(person.visitor, machine.visitor);
            assert!(person.person.is_some() && person.person != machine.person);
            assert_eq!(person.landing_url, machine.landing_url);
        }
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
