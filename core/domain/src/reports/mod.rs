//! Reports: statistics of clicks, impressions and conversions.
//!
//! Rows are packed by quarters of an hour ([`packed`]), since a day of every time zone begins on one ([`calendar`]),
//! and counted from there ([`aggregator`]), in an order ([`ranking`]).

pub mod aggregator;
pub mod calendar;
pub mod figures;
pub mod keys;
pub mod packed;
pub mod ranking;
pub mod zone;

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, LinkId, OfferId};

/// A property of a visit by which reports group and filter, besides its affiliate, offer, link and time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dimension {
    /// Sub id 1.
    Sub1,
    /// Sub id 2.
    Sub2,
    /// Sub id 3.
    Sub3,
    /// Sub id 4.
    Sub4,
    /// Sub id 5.
    Sub5,
    /// Sub id 6.
    Sub6,
    /// Sub id 7.
    Sub7,
    /// Sub id 8.
    Sub8,
    /// Sub id 9.
    Sub9,
    /// Sub id 10.
    Sub10,
    /// The visitor's country.
    Country,
    /// desktop, mobile or tablet.
    Device,
    /// Name of the browser.
    Browser,
    /// Name of the operating system.
    Os,
    /// Where the visitor came from: the link's `source` or `utm_source`, otherwise the host of the referrer.
    Source,
    /// The link's `keyword` or `utm_term`.
    Keyword,
    /// The link's `page`, otherwise host and path of the referrer.
    Page,
    /// The goal of a conversion; clicks have none.
    Goal,
}

text_enum!(Dimension {
    Sub1 => "sub1", Sub2 => "sub2", Sub3 => "sub3", Sub4 => "sub4", Sub5 => "sub5", Sub6 => "sub6", Sub7 => "sub7",
    Sub8 => "sub8", Sub9 => "sub9", Sub10 => "sub10", Country => "country", Device => "device", Browser => "browser",
    Os => "os", Source => "source", Keyword => "keyword", Page => "page", Goal => "goal",
});

/// The most characters of a value; longer ones are cut.
pub(crate) const VALUE_MAX_CHARS: usize = 100;

/// The dimensions of one visit; a dimension without a value is left out.
pub type Values = Vec<(Dimension, String)>;

/// Affiliate, offer and link of a click or conversion. Packed rows refer to it by a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    /// The affiliate.
    pub affiliate_id: AffiliateId,
    /// The offer.
    pub offer_id: OfferId,
    /// The link; `None` for a referral code.
    pub link_id: Option<LinkId>,
}

/// The data of a click from which its dimensions are derived.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    /// Names and values of the sub ids.
    pub sub_ids: Vec<(String, String)>,
    /// Names and values of the link's other parameters.
    pub params: Vec<(String, String)>,
    /// The page that the visitor came from.
    pub referrer: Option<String>,
    /// ISO 3166-1 code of two letters.
    pub country: Option<String>,
    /// desktop, mobile or tablet.
    pub device: Option<String>,
    /// Name of the browser.
    pub browser: Option<String>,
    /// Name of the operating system.
    pub os: Option<String>,
}

impl Visit {
    /// The dimensions of the visit.
    pub fn values(self) -> Values {
        let mut values = Values::new();
        let mut put = |dimension, value: Option<String>| {
            let value = value.map(|text| cut(text.trim())).filter(|text| !text.is_empty());
            values.extend(value.map(|value| (dimension, value)));
        };
        let param = |names: [&str; 2]| {
            let of = |name| self.params.iter().find(|(known, value)| known == name && !value.trim().is_empty());
            names.into_iter().find_map(of).map(|(_, value)| value.clone())
        };
        let referrer = self.referrer.as_deref().and_then(|text| url::Url::parse(text).ok());
        let host = || referrer.as_ref()?.host_str().map(str::to_owned);
        let address = || Some(format!("{}{}", referrer.as_ref()?.host_str()?, referrer.as_ref()?.path()));
        put(Dimension::Source, param(["source", "utm_source"]).or_else(host));
        put(Dimension::Keyword, param(["keyword", "utm_term"]));
        put(Dimension::Page, param(["page", "page"]).or_else(address));
        for (name, value) in self.sub_ids {
            if let Some(dimension) = Dimension::from_word(&name).filter(|it| *it <= Dimension::Sub10) {
                put(dimension, Some(value));
            }
        }
        put(Dimension::Country, self.country);
        put(Dimension::Device, self.device);
        put(Dimension::Browser, self.browser);
        put(Dimension::Os, self.os);
        values
    }
}

/// The first [`VALUE_MAX_CHARS`] characters.
pub fn cut(text: &str) -> String {
    text.chars().take(VALUE_MAX_CHARS).collect()
}

/// What the rows of a report are grouped by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Units of local time.
    Time(calendar::Unit),
    /// Offers.
    Offer,
    /// Affiliates.
    Affiliate,
    /// Links.
    Link,
    /// The values of a dimension.
    Dimension(Dimension),
}

impl Group {
    /// Parses [`Self::as_str`].
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "offer" => Self::Offer,
            "affiliate" => Self::Affiliate,
            "link" => Self::Link,
            _ => match calendar::Unit::from_word(word) {
                Some(unit) => Self::Time(unit),
                None => Self::Dimension(Dimension::from_word(word)?),
            },
        })
    }

    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Time(unit) => unit.as_str(),
            Self::Offer => "offer",
            Self::Affiliate => "affiliate",
            Self::Link => "link",
            Self::Dimension(dimension) => dimension.as_str(),
        }
    }

    /// Whether the group has few values, so that counting them by time too is cheap.
    pub fn has_few_values(self) -> bool {
        use Dimension::{Browser, Country, Device, Goal, Os};
        matches!(self, Self::Offer | Self::Dimension(Browser | Country | Device | Goal | Os))
    }

    /// Every word, separated by commas, for error messages.
    pub fn words() -> String {
        let words = ["offer", "affiliate", "link"].iter().chain(calendar::Unit::WORDS).chain(Dimension::WORDS);
        words.copied().collect::<Vec<_>>().join(", ")
    }
}

/// The rows that a report counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// Only this offer.
    pub offer_id: Option<OfferId>,
    /// Only this link.
    pub link_id: Option<LinkId>,
    /// Only these values of dimensions.
    pub values: Vec<(Dimension, String)>,
}

impl Filter {
    /// Whether the scope passes; values of dimensions are not checked.
    pub fn admits(&self, scope: &Scope) -> bool {
        self.affiliate_id.is_none_or(|id| id == scope.affiliate_id)
            && self.offer_id.is_none_or(|id| id == scope.offer_id)
            && self.link_id.is_none_or(|id| Some(id) == scope.link_id)
    }
}

impl Serialize for Dimension {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Dimension {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        Self::from_word(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is not a valid dimension")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_derived_from_a_visit() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let visit = Visit {
            sub_ids: vec![pair("sub2", "red"), pair("sub3", " ")],
            params: vec![pair("utm_source", "mail"), pair("keyword", &"k".repeat(300))],
            referrer: Some("https://blog.example/review?x=1#y".into()),
            country: Some("DE".into()),
            ..Visit::default()
        };
        let values = visit.values();
        let of = |dimension| values.iter().find(|(known, _)| *known == dimension).map(|(_, value)| value.as_str());
        assert_eq!(of(Dimension::Sub2), Some("red"));
        assert_eq!(of(Dimension::Sub3), None, "blank values are left out");
        assert_eq!(of(Dimension::Source), Some("mail"));
        assert_eq!(of(Dimension::Page), Some("blog.example/review"));
        assert_eq!(of(Dimension::Keyword).map(str::len), Some(VALUE_MAX_CHARS));
        assert_eq!(of(Dimension::Country), Some("DE"));
        let no_params =
            Visit { params: vec![], ..Visit { referrer: Some("https://a.example/".into()), ..Visit::default() } };
        assert_eq!(no_params.values()[0], (Dimension::Source, "a.example".into()));
    }
}
