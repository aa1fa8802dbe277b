//! Reports: what clicks, impressions and conversions add up to. (`report.rs`, in the singular, is what a network tells.)
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

/// What a visit is told apart by, besides whose it is and when it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dimension {
    Sub1,
    Sub2,
    Sub3,
    Sub4,
    Sub5,
    Sub6,
    Sub7,
    Sub8,
    Sub9,
    Sub10,
    Country,
    Device,
    Browser,
    Os,
    /// Where the visitor came from: the link's `source`, `utm_source`, or the host of the referrer.
    Source,
    Keyword,
    Page,
    /// Of a conversion only.
    Goal,
}

text_enum!(Dimension {
    Sub1 => "sub1", Sub2 => "sub2", Sub3 => "sub3", Sub4 => "sub4", Sub5 => "sub5", Sub6 => "sub6", Sub7 => "sub7",
    Sub8 => "sub8", Sub9 => "sub9", Sub10 => "sub10", Country => "country", Device => "device", Browser => "browser",
    Os => "os", Source => "source", Keyword => "keyword", Page => "page", Goal => "goal",
});

/// Longer values are cut here: a report is read by people.
pub const VALUE_MAX_CHARS: usize = 100;

/// What one visit says of itself; a dimension that is not there has no value.
pub type Values = Vec<(Dimension, String)>;

/// Whose click or conversion it is. Packed rows have its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    pub affiliate_id: AffiliateId,
    pub offer_id: OfferId,
    /// None for a referral code.
    pub link_id: Option<LinkId>,
}

/// What a click keeps that reports tell visits apart by.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    pub sub_ids: Vec<(String, String)>,
    pub params: Vec<(String, String)>,
    pub referrer: Option<String>,
    pub country: Option<String>,
    pub device: Option<String>,
    pub browser: Option<String>,
    pub os: Option<String>,
}

impl Visit {
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

/// At most [`VALUE_MAX_CHARS`] of it.
pub fn cut(text: &str) -> String {
    text.chars().take(VALUE_MAX_CHARS).collect()
}

/// What the rows of a report stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    Time(calendar::Unit),
    Offer,
    Affiliate,
    Link,
    Dimension(Dimension),
}

impl Group {
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

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Time(unit) => unit.as_str(),
            Self::Offer => "offer",
            Self::Affiliate => "affiliate",
            Self::Link => "link",
            Self::Dimension(dimension) => dimension.as_str(),
        }
    }

    /// Every word, for error messages.
    pub fn words() -> String {
        let words = ["offer", "affiliate", "link"].iter().chain(calendar::Unit::WORDS).chain(Dimension::WORDS);
        words.copied().collect::<Vec<_>>().join(", ")
    }
}

/// Which rows count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    pub offer_id: Option<OfferId>,
    pub link_id: Option<LinkId>,
    pub values: Vec<(Dimension, String)>,
}

impl Filter {
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
        Self::from_word(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is no dimension")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_says_where_it_came_from() {
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
        assert_eq!(of(Dimension::Sub3), None, "blanks are no value");
        assert_eq!(of(Dimension::Source), Some("mail"));
        assert_eq!(of(Dimension::Page), Some("blog.example/review"));
        assert_eq!(of(Dimension::Keyword).map(str::len), Some(VALUE_MAX_CHARS));
        assert_eq!(of(Dimension::Country), Some("DE"));
        let no_params =
            Visit { params: vec![], ..Visit { referrer: Some("https://a.example/".into()), ..Visit::default() } };
        assert_eq!(no_params.values()[0], (Dimension::Source, "a.example".into()));
    }
}
