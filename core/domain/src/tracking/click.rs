//! Clicks: visits over an affiliate's link, with their parameters and origin.

use std::time::Duration;

use postrider_sdk::marks::is_unreplaced;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{AffiliateId, ClickId, LinkId, OfferId};
use crate::program::buyer_visibility::{BuyerData, BuyerVisibility, Personal};
use crate::reports::Visit;
use crate::timestamp::Timestamp;

use super::action::Action;

/// The number of sub ids of a link: `sub1` to `sub10`.
pub(crate) const SUB_IDS: usize = 10;
/// The most characters of a referrer or user agent; longer ones are cut.
const TEXT_MAX_CHARS: usize = 512;
/// The most bytes of a parameter's value: ad platforms' click ids have up to 2,048 characters, and an entry of
/// PostgreSQL's index of tracker's ids has up to 2,704 bytes.
pub const VALUE_MAX_BYTES: usize = 2_048;

/// A referrer or user agent as a click keeps it: without NUL, which PostgreSQL cannot store, and cut to 512 characters.
pub fn stored_text(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(TEXT_MAX_CHARS).collect()
}

/// A click or an impression, as it is stored.
#[derive(Clone, Debug)]
pub struct Click {
    /// Id of the click; also its session id.
    pub id: ClickId,
    /// Click or impression.
    pub action: Action,
    /// The link; `None` for a referral code.
    pub link_id: Option<LinkId>,
    /// The affiliate of the link.
    pub affiliate_id: AffiliateId,
    /// The offer of the link.
    pub offer_id: OfferId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The tracker's own id of the click, from the parameter `click_id`.
    pub external_id: Option<String>,
    /// `("sub1", "…")`, in order.
    pub sub_ids: Vec<(String, String)>,
    /// Every other parameter of the link: names and values.
    pub params: Vec<(String, String)>,
    /// A tracker's own session id, which a network may report instead of the click id; in lower case, for lookups.
    pub session: Option<String>,
    /// The page that the visitor was redirected to.
    pub landing_url: String,
    /// The page that the visitor came from.
    pub referrer: Option<String>,
    /// The visitor's address.
    pub ip: Option<String>,
    /// The visitor's user agent.
    pub user_agent: Option<String>,
    /// ISO 3166-1 code of two letters, by the visitor's address; `None` without a country database.
    pub country: Option<String>,
    /// Device, browser and system.
    pub agent: Agent,
    /// The daily visitor hash: the day since the epoch << 40, plus 40 bits of a hash of link, address and user agent; of a
    /// likely bot with another bit.
    pub visitor: i64,
    /// Whether it is the first click of this visitor on this link today.
    pub unique: bool,
    /// 64 bits of a hash of offer, address and user agent; of a likely bot with another bit. Present if the offer counts first or last clicks.
    pub person: Option<i64>,
}

/// Half the shortest retention: a younger click is not deleted while its conversion is recorded, even if clocks differ
/// by hours.
const YOUNG: Duration = Duration::from_secs(12 * 3_600);

/// The parts of a user agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// desktop, mobile or tablet.
    pub device: Option<String>,
    /// Name of the browser.
    pub browser: Option<String>,
    /// Name of the operating system.
    pub os: Option<String>,
    /// Whether it is probably a bot.
    pub likely_bot: bool,
}

/// A hash per link, visitor and day: the day since the epoch << 40, plus 40 bits of a hash of link (`scope`), address
/// and user agent. The day comes first, so that new values are added at the end of an index.
pub(crate) fn daily_visitor_hash(
    action: Action,
    scope: uuid::Uuid,
    at: Timestamp,
    ip: Option<&str>,
    user_agent: Option<&str>,
) -> i64 {
    let tail = visitor_hash(scope, ip, user_agent) & 0xff_ffff_ffff;
    ((at.day() << 40) | tail) ^ i64::from(action == Action::Impression)
}

/// Identifies a visitor on one offer, on any day and any link, by address and user agent: 64 bits of a SHA-256 hash.
pub(crate) fn offer_visitor_hash(offer: OfferId, ip: Option<&str>, user_agent: Option<&str>) -> i64 {
    visitor_hash(offer.0, ip, user_agent)
}

/// The number of a visitor, apart from that of a machine with the same address and user agent: previews and mail scanners
/// ask with HEAD and the user agent of a browser before the person visits.
pub(crate) fn apart(visitor: i64, is_machine: bool) -> i64 {
    // The lowest bit says whether it is an impression.
    visitor ^ (i64::from(is_machine) << 1)
}

fn visitor_hash(scope: uuid::Uuid, ip: Option<&str>, user_agent: Option<&str>) -> i64 {
    let digest = Sha256::new()
        .chain_update(scope.as_bytes())
        .chain_update(ip.unwrap_or_default())
        .chain_update([0])
        .chain_update(user_agent.unwrap_or_default())
        .finalize();
    i64::from_be_bytes(digest[..8].try_into().expect("eight bytes of thirty-two"))
}

impl Click {
    /// The value of this parameter of the link.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        if name == "click_id" {
            return self.external_id.as_deref();
        }
        let mut carried = self.sub_ids.iter().chain(&self.params);
        carried.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The tracker's own id of the click, unless it is a macro that the tracker did not replace.
    pub fn known_external_id(&self) -> Option<&str> {
        self.external_id.as_deref().filter(|id| !is_unreplaced(id))
    }

    /// The names of the parameters whose values are macros that nothing replaced.
    pub fn unreplaced(&self) -> impl Iterator<Item = &str> {
        let external = self.external_id.iter().map(|value| ("click_id", value));
        let others = self.sub_ids.iter().chain(&self.params).map(|(name, value)| (name.as_str(), value));
        external.chain(others).filter(|(_, value)| is_unreplaced(value)).map(|(name, _)| name)
    }

    /// The dimensions by which reports group the conversions of the click.
    pub fn visit(&self) -> Visit {
        Visit {
            sub_ids: self.sub_ids.clone(),
            params: self.params.clone(),
            referrer: self.referrer.clone(),
            country: self.country.clone(),
            device: self.agent.device.clone(),
            browser: self.agent.browser.clone(),
            os: self.agent.os.clone(),
        }
    }

    /// Whether the click may exceed the retention time, which is at least a day, before a conversion at `now` is
    /// stored.
    pub fn may_leave(&self, now: Timestamp) -> bool {
        self.occurred_at < now.minus(YOUNG)
    }
}

/// What a click knows of the visitor's browser.
pub(super) struct Visitor {
    pub landing_url: String,
    pub referrer: Option<String>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
}

impl BuyerData for Visitor {
    /// The URLs can repeat the address, because a source or the page before can add it to them.
    fn seen_by(self, visibility: BuyerVisibility) -> Self {
        let Self { landing_url, referrer, ip, user_agent } = self;
        let values = [(Personal::Address, ip.as_deref()), (Personal::UserAgent, user_agent.as_deref())];
        let values: Vec<_> = values.into_iter().filter_map(|(kind, value)| Some((kind, value?))).collect();
        let clean = |url: String| if visibility.hides() { visibility.clean(&url, &values) } else { url };
        Self {
            landing_url: clean(landing_url),
            referrer: referrer.map(clean),
            ip: visibility.part(Personal::Address, ip.clone()),
            user_agent: visibility.part(Personal::UserAgent, user_agent.clone()),
        }
    }
}

impl BuyerData for Click {
    /// Every field is named, so that a new one is either shown or hidden on purpose. Parameters and sub ids are the
    /// affiliate's own.
    fn seen_by(self, visibility: BuyerVisibility) -> Self {
        let Self {
            id,
            action,
            link_id,
            affiliate_id,
            offer_id,
            occurred_at,
            external_id,
            sub_ids,
            params,
            session,
            landing_url,
            referrer,
            ip,
            user_agent,
            country,
            agent,
            visitor,
            unique,
            person,
        } = self;
        let seen = Visitor { landing_url, referrer, ip, user_agent }.seen_by(visibility);
        Self {
            id,
            action,
            link_id,
            affiliate_id,
            offer_id,
            occurred_at,
            external_id,
            sub_ids,
            params,
            session,
            landing_url: seen.landing_url,
            referrer: seen.referrer,
            ip: seen.ip,
            user_agent: seen.user_agent,
            country,
            agent,
            visitor,
            unique,
            person,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_hash_depends_on_link_and_day() {
        let (link, other) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
        let at = Timestamp::from_millis(1_763_596_800_000);
        let later = at.plus(std::time::Duration::from_secs(86_399));
        let tomorrow = at.plus(std::time::Duration::from_secs(86_400));
        let of = |link, at| daily_visitor_hash(Action::Click, link, at, Some("203.0.113.7"), Some("Firefox"));
        assert_eq!(of(link, at), of(link, later));
        assert_ne!(of(link, at), of(link, tomorrow));
        assert_ne!(of(link, at), of(other, at));
        let click = Action::Click;
        assert_ne!(of(link, at), daily_visitor_hash(click, link, at, Some("203.0.113.8"), Some("Firefox")));
        assert!(of(link, at) < of(link, tomorrow), "an index of visitors grows at its end");
    }

    #[test]
    fn a_text_is_cut_by_characters_and_has_no_nul() {
        assert_eq!(stored_text("a\0b"), "ab");
        assert_eq!(stored_text(&"ä".repeat(600)), "ä".repeat(512));
    }
}
