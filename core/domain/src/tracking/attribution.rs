//! Attribution: which evidence decides whose conversion it is, and how the program's rules change the result.
//!
//! Click before referral code before coupon before known customer. docs/attribution.md has the complete order.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{AffiliateId, OfferId};
use crate::program::cap::Counted;
use crate::timestamp::Timestamp;

use super::transaction::agreed_terms::AgreedTerms;
use super::transaction::payment::Payment;
use super::transaction::refund::Refunds;

/// The evidence by which a conversion is attributed, strongest first. `click`: a click id. `referral_code`: an
/// affiliate's referral code. `coupon`: a coupon of a link. `customer`: the click of an earlier conversion of the same
/// customer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A click id.
    Click,
    /// An affiliate's referral code.
    ReferralCode,
    /// A coupon of a link.
    Coupon,
    /// The click of an earlier conversion of the same customer.
    Customer,
}

text_enum!(Evidence {
    Click => "click",
    ReferralCode => "referral_code",
    Coupon => "coupon",
    Customer => "customer",
});

impl Evidence {
    /// With its article, for sentences: "the referral code".
    pub fn named(self) -> String {
        format!("the {}", self.as_str().replace('_', " "))
    }
}

/// The result for one piece of evidence. `decided`: it decided whose conversion it is. `agrees`: it names the same
/// affiliate as the deciding evidence. `weaker`: it names another affiliate, and stronger evidence decided. `unknown`:
/// nothing matches it. `outside_window`: its click is older than the attribution window. `not_active`: a coupon before
/// its start or after its end. `not_admitted`: a code of an affiliate that may not promote the offer. `replaced`: the
/// offer counts the visitor's first or last click, and this is another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It decided whose conversion it is.
    Decided,
    /// It names the same affiliate as the deciding evidence.
    Agrees,
    /// It names another affiliate, and stronger evidence decided.
    Weaker,
    /// Nothing matches it.
    Unknown,
    /// Its click is older than the attribution window.
    OutsideWindow,
    /// A coupon before its start or after its end.
    NotActive,
    /// A code of an affiliate that may not promote the offer.
    NotAdmitted,
    /// The offer counts the visitor's first or last click, and this is another one.
    Replaced,
}

impl Verdict {
    /// The result as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Decided => "this evidence decided whose conversion it is",
            Self::Agrees => "it names the same affiliate as the evidence that decided",
            Self::Weaker => "stronger evidence names another affiliate",
            Self::Unknown => "nothing matches it",
            Self::OutsideWindow => "the click is older than the offer's attribution window",
            Self::NotActive => "the coupon was not active at the time of the purchase",
            Self::NotAdmitted => "the affiliate may not promote this offer",
            Self::Replaced => "the offer counts another click of the same visitor",
        }
    }
}

/// A piece of evidence that came with a conversion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Considered {
    /// The kind of evidence.
    pub evidence: Evidence,
    /// A click id, a code or a coupon; absent for a customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The affiliate that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affiliate_id: Option<AffiliateId>,
    /// The result.
    pub verdict: Verdict,
}

/// A rule of the program that changed a conversion. `over_cap`: a cap of the offer was exhausted. `self_referral`:
/// the affiliate bought from itself. `outside_window`: the click is older than the attribution window. `unknown_goal`:
/// the offer does not list its goal. `no_exchange_rate`: a cap limits the payout, and no rate from the currency of this
/// payout to the offer's is stored. `correction_over_cap`: the caps have no room for a higher payout, so it stays as it
/// was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// The caps of the offer had no room for it.
    OverCap,
    /// The affiliate bought from itself.
    SelfReferral,
    /// The click is older than the attribution window.
    OutsideWindow,
    /// The offer does not list its goal, so a person must approve it.
    UnknownGoal,
    /// A cap limits the payout, and its currency has no exchange rate, so a person must approve it.
    NoExchangeRate,
    /// The caps have no room for its corrected payout, so the payout stays as it was.
    CorrectionOverCap,
}

impl Ruling {
    /// The reason of the rejection.
    pub fn reason(self) -> &'static str {
        match self {
            Self::OverCap => "over cap",
            Self::SelfReferral => "self-referral",
            Self::OutsideWindow => "outside the attribution window",
            Self::UnknownGoal => "unknown goal",
            Self::NoExchangeRate => "no exchange rate for the cap",
            Self::CorrectionOverCap => "correction over cap",
        }
    }
}

/// How a conversion was attributed, if there is more than one piece of evidence or a rule applied.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Trace {
    /// The rule that changed the conversion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    /// The evidence besides the one that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub considered: Vec<Considered>,
    /// The reason of the last rejection that a person overruled by an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overruled: Option<String>,
    /// Whether a person rejected it, so that no report approves it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rejected_by_person: bool,
    /// The parts of the sale that were refunded.
    #[serde(default, skip_serializing_if = "Refunds::is_none")]
    pub refunds: Refunds,
    /// Which payment it is. `None`: it is not counted, because its offer pays each payment alike or its customer is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// Whether the caps of its offer don't count it, although they would if it were approved: it was rejected, or a rule
    /// held it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
    /// Whether its caps had no room for its corrected payout, so that the payout stays as it was. The same report again
    /// tries it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub correction_over_cap: bool,
    /// What the caps of its offer count of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
    /// The terms with which it was recorded; `None` for conversions of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<AgreedTerms>,
}

impl Trace {
    /// The rule to show: the latest one that changed the conversion.
    pub fn shown_ruling(&self) -> Option<Ruling> {
        if self.correction_over_cap { Some(Ruling::CorrectionOverCap) } else { self.ruling }
    }

    /// Whether there is no evidence and no rule to show.
    pub fn is_plain(&self) -> bool {
        self.shown_ruling().is_none() && self.considered.is_empty()
    }
}

/// How an offer's conversions are attributed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AttributionTerms {
    /// How many days of 24 hours after the click a conversion counts; no limit if absent or null.
    #[schema(minimum = 1, maximum = 3650)]
    pub window_days: Option<u32>,
    /// Which click of a visitor counts; `named` if absent.
    pub click: ClickModel,
    /// How conversions after the window are handled; `refuse` if absent.
    pub outside_window: OutsideWindow,
    /// How an affiliate's own purchases are handled; `reject` if absent.
    pub self_referral: SelfReferral,
}

/// The longest attribution window, in days.
pub(crate) const WINDOW_MAX_DAYS: u32 = 3_650;

impl AttributionTerms {
    /// The earliest time of a click that counts for a purchase at `at`; the epoch if there is no limit.
    pub fn opens(&self, at: Timestamp) -> Timestamp {
        let days = |days| at.minus(Duration::from_secs(u64::from(days) * 86_400));
        self.window_days.map_or(Timestamp::from_millis(0), days)
    }
}

/// Which click of a visitor counts. `named`: the click that the conversion names. `first`: the visitor's first click on
/// the offer within the window, by any affiliate's link. `last`: the visitor's last click on the offer before the
/// purchase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClickModel {
    /// The click that the conversion names.
    #[default]
    Named,
    /// The visitor's first click on the offer within the window, by any affiliate's link.
    First,
    /// The visitor's last click on the offer before the purchase.
    Last,
}

/// How a conversion is handled if its click is older than the window. `refuse`: it is not recorded; the error code is
/// `outside_window`. `reject`: it is recorded as rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutsideWindow {
    /// It is not recorded; the error code is `outside_window`.
    #[default]
    Refuse,
    /// It is recorded as rejected.
    Reject,
}

/// How an affiliate's own purchase is handled. `reject`: it is recorded as rejected. `allow`: it counts like any other.
/// A purchase is an affiliate's own if the customer has its e-mail address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelfReferral {
    /// It is recorded as rejected.
    #[default]
    Reject,
    /// It counts like any other.
    Allow,
}

/// The time of a purchase: as reported, but not later than `now`.
pub(crate) fn time_of_purchase(reported: Option<Timestamp>, now: Timestamp) -> Timestamp {
    reported.map_or(now, |at| at.min(now))
}

/// The same text for different spellings of one mailbox: case, `+tags` and, at Gmail, dots don't matter.
pub fn normal_email(email: &str) -> String {
    let lower = email.trim().to_lowercase();
    let Some((name, host)) = lower.rsplit_once('@') else { return lower };
    let name = name.split('+').next().unwrap_or_default();
    match host {
        "gmail.com" | "googlemail.com" => format!("{}@gmail.com", name.replace('.', "")),
        _ => format!("{name}@{host}"),
    }
}

/// A hash that identifies a customer within an offer: by the advertiser's own id, otherwise by e-mail; `None` without
/// either. The customer can't be derived from it.
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
    fn spellings_of_one_mailbox_are_equal() {
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
    fn a_customer_is_identified_by_id_or_email_within_one_offer() {
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
        assert_eq!(time_of_purchase(Some(at.plus(day)), at), at, "a purchase is not in the future");
        assert_eq!(time_of_purchase(Some(at.minus(day)), at), at.minus(day));
    }
}
