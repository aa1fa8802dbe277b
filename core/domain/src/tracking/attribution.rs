//! Attribution: which evidence says whose conversion it is, and what the program's rules make of it.
//!
//! A click beats a code beats a coupon beats what is known of the customer. docs/attribution.md has the whole order.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{AffiliateId, OfferId};
use crate::timestamp::Timestamp;

/// What a conversion was attributed by, strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    Click,
    ReferralCode,
    Coupon,
    /// A click of an earlier conversion of the same customer.
    Customer,
}

text_enum!(Evidence {
    Click => "click",
    ReferralCode => "referral_code",
    Coupon => "coupon",
    Customer => "customer",
});

impl Evidence {
    /// "the referral code"
    pub fn named(self) -> String {
        format!("the {}", self.as_str().replace('_', " "))
    }
}

/// What became of one piece of evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Decided,
    /// It names the same affiliate as the evidence that decided.
    Agrees,
    /// It names another affiliate, and stronger evidence was there.
    Weaker,
    /// It leads nowhere.
    Unknown,
    OutsideWindow,
    /// A coupon before its first or after its last day.
    NotActive,
    /// A code of an affiliate that may not promote the offer.
    NotAdmitted,
    /// The offer counts the visitor's first or last click, and this is another one.
    Replaced,
}

impl Verdict {
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Decided => "this says whose conversion it is",
            Self::Agrees => "it says the same as what decided",
            Self::Weaker => "stronger evidence says something else",
            Self::Unknown => "it leads nowhere",
            Self::OutsideWindow => "the click is older than the offer's attribution window",
            Self::NotActive => "the coupon was not active at the time of the purchase",
            Self::NotAdmitted => "the affiliate may not promote this offer",
            Self::Replaced => "the offer counts another click of the same visitor",
        }
    }
}

/// One piece of evidence that a report came with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Considered {
    pub evidence: Evidence,
    /// A click id, a code or a coupon; nothing for a customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whom it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affiliate_id: Option<AffiliateId>,
    pub verdict: Verdict,
}

/// A rule of the program that made more of a new conversion than its report said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    OverCap,
    SelfReferral,
    OutsideWindow,
}

impl Ruling {
    /// Why the conversion is rejected.
    pub fn reason(self) -> &'static str {
        match self {
            Self::OverCap => "over cap",
            Self::SelfReferral => "self-referral",
            Self::OutsideWindow => "outside the attribution window",
        }
    }
}

/// How a conversion came to its affiliate, where there is more to say than one word.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Trace {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub considered: Vec<Considered>,
}

impl Trace {
    pub fn is_plain(&self) -> bool {
        self.ruling.is_none() && self.considered.is_empty()
    }
}

/// How an offer's conversions find their affiliate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AttributionTerms {
    /// How many days after the click a conversion still counts; null has no limit.
    #[schema(minimum = 1, maximum = 3650)]
    pub window_days: Option<u32>,
    pub click: ClickModel,
    pub outside_window: OutsideWindow,
    pub self_referral: SelfReferral,
}

pub const WINDOW_MAX_DAYS: u32 = 3_650;

impl AttributionTerms {
    /// The oldest click that a purchase at `at` counts for.
    pub fn opens(&self, at: Timestamp) -> Timestamp {
        let days = |days| at.minus(Duration::from_secs(u64::from(days) * 86_400));
        self.window_days.map_or(Timestamp::from_millis(0), days)
    }
}

/// Which click of a visitor counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClickModel {
    /// The one that the report names.
    #[default]
    Named,
    /// The visitor's first one on the offer within the window, whoever's link it was.
    First,
    /// The visitor's last one before the purchase.
    Last,
}

/// What a report is whose click is too old.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutsideWindow {
    /// Nothing is recorded; the report is answered with `outside_window`.
    #[default]
    Refuse,
    /// Recorded as rejected.
    Reject,
}

/// What an affiliate's own purchase is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelfReferral {
    #[default]
    Reject,
    Allow,
}

/// When a purchase was made: as told, but never later than it was reported.
pub fn time_of_purchase(reported: Option<Timestamp>, now: Timestamp) -> Timestamp {
    reported.map_or(now, |at| at.min(now))
}

/// Two ways to write one mailbox are one: case, `+tags` and, at Gmail, dots do not matter.
pub fn normal_email(email: &str) -> String {
    let lower = email.trim().to_lowercase();
    let Some((name, host)) = lower.rsplit_once('@') else { return lower };
    let name = name.split('+').next().unwrap_or_default();
    match host {
        "gmail.com" | "googlemail.com" => format!("{}@gmail.com", name.replace('.', "")),
        _ => format!("{name}@{host}"),
    }
}

/// One number per customer of an offer: by the advertiser's own id, else by e-mail. Nothing can be read from it.
pub fn customer_key(offer: OfferId, customer_id: Option<&str>, email: Option<&str>) -> Option<i64> {
    let (kind, value) = match (customer_id, email) {
        (Some(id), _) => ("id", id.to_owned()),
        (None, Some(email)) => ("email", normal_email(email)),
        (None, None) => return None,
    };
    let digest = Sha256::new()
        .chain_update(offer.0.as_bytes())
        .chain_update(kind)
        .chain_update([0])
        .chain_update(value)
        .finalize();
    Some(i64::from_be_bytes(digest[..8].try_into().expect("eight bytes of thirty-two")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_the_same_however_it_is_written() {
        for (text, wanted) in [
            (" Ada@Example.COM ", "ada@example.com"),
            ("ada+shop@example.com", "ada@example.com"),
            ("a.d.a+x@googlemail.com", "ada@gmail.com"),
            ("a.d.a@example.com", "a.d.a@example.com"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(normal_email(text), wanted);
        }
    }

    #[test]
    fn a_customer_is_known_by_id_or_email_and_within_one_offer() {
        let (offer, other) = (OfferId::new(Timestamp::from_millis(1)), OfferId::new(Timestamp::from_millis(2)));
        let by_email = customer_key(offer, None, Some("ada@example.com"));
        assert_eq!(by_email, customer_key(offer, None, Some("ADA+x@example.com")));
        assert_ne!(by_email, customer_key(other, None, Some("ada@example.com")));
        assert_ne!(by_email, customer_key(offer, Some("ada@example.com"), None));
        assert_eq!(customer_key(offer, Some("7"), Some("a@b.c")), customer_key(offer, Some("7"), None));
        assert_eq!(customer_key(offer, None, None), None);
    }

    #[test]
    fn a_window_is_counted_back_from_the_purchase() {
        let day = Duration::from_secs(86_400);
        let at = Timestamp::from_millis(0).plus(day * 100);
        let terms = AttributionTerms { window_days: Some(30), ..AttributionTerms::default() };
        assert_eq!(terms.opens(at), Timestamp::from_millis(0).plus(day * 70));
        assert_eq!(AttributionTerms::default().opens(at), Timestamp::from_millis(0));
        assert_eq!(time_of_purchase(Some(at.plus(day)), at), at, "nobody buys tomorrow");
        assert_eq!(time_of_purchase(Some(at.minus(day)), at), at.minus(day));
    }
}
