//! Clicks: who came over which link, from where and with what.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{AffiliateId, ClickId, LinkId, OfferId};
use crate::reports::Visit;
use crate::timestamp::Timestamp;

use super::action::Action;

/// How many sub id slots a link carries: `sub1` to `sub10`.
pub const SUB_IDS: usize = 10;
/// The maximum length of a query parameter, referrer or user agent of a click, in characters.
const TEXT_MAX_CHARS: usize = 512;

/// A text of a request as a click keeps it: without NUL, which PostgreSQL cannot store, and cut to 512 characters.
pub fn stored_text(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(TEXT_MAX_CHARS).collect()
}

/// A click or an impression, as it is stored.
#[derive(Clone, Debug)]
pub struct Click {
    pub id: ClickId,
    pub action: Action,
    pub link_id: Option<LinkId>,
    pub affiliate_id: AffiliateId,
    pub offer_id: OfferId,
    pub occurred_at: Timestamp,
    /// The tracker's own id, given as `click_id`.
    pub external_id: Option<String>,
    /// `("sub1", "…")`, in order.
    pub sub_ids: Vec<(String, String)>,
    /// Every other parameter of the link: keyword, page and whatever was unknown.
    pub params: Vec<(String, String)>,
    /// A tracker's own id of this visit that a network may report in place of ours; in lower case, to be found by.
    pub session: Option<String>,
    pub landing_url: String,
    pub referrer: Option<String>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    /// ISO 3166-1, two letters, by the address; none without a database of countries.
    pub country: Option<String>,
    pub agent: Agent,
    /// [`daily_visitor_hash`].
    pub visitor: i64,
    /// Whether it is the first click (or impression) of this visitor on this link on this UTC day.
    pub unique: bool,
    /// [`offer_visitor_hash`], if the offer counts first or last clicks.
    pub person: Option<i64>,
}

/// Half the shortest retention: what is younger stays while its conversion is recorded, even if clocks are hours apart.
const YOUNG: Duration = Duration::from_secs(12 * 3_600);

/// What a user agent string gives away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub device: Option<String>,
    pub browser: Option<String>,
    pub os: Option<String>,
    pub likely_bot: bool,
}

/// Identifies a visitor on one link on one UTC day, by address and user agent. From the highest bit: 24 bits of the day since
/// 1970, 40 bits of a SHA-256 hash. The day comes first so that the index of visitors grows at its end.
///
/// `scope` is the id of the link, or of the affiliate if there is no link. Impressions and clicks differ in the lowest bit, so
/// that each is unique by itself.
pub fn daily_visitor_hash(
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
pub fn offer_visitor_hash(offer: OfferId, ip: Option<&str>, user_agent: Option<&str>) -> i64 {
    visitor_hash(offer.0, ip, user_agent)
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
    /// What its link carried under this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        if name == "click_id" {
            return self.external_id.as_deref();
        }
        let mut carried = self.sub_ids.iter().chain(&self.params);
        carried.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What reports tell its conversions apart by.
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

    /// Whether it could be out of retention, which is a day at least, before a conversion of `now` is on the disk.
    pub fn may_leave(&self, now: Timestamp) -> bool {
        self.occurred_at < now.minus(YOUNG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_the_same_all_day_on_one_link_only() {
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
