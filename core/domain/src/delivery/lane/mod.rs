//! Lanes: the requests of one owner's postbacks to one destination. Queue, health, breaker, probe and rank belong to a
//! lane, so that on a shared host the failures of one owner don't affect the others.

pub mod breaker;
pub mod places;

use std::fmt;
use std::sync::Arc;

use crate::ids::AffiliateId;

/// The owner of postbacks: an affiliate, or the program itself (`None`).
pub type Owner = Option<AffiliateId>;

/// A destination and an owner. Written as `destination` for the program and as `destination owner` for an affiliate.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LaneId {
    /// Scheme, host and port.
    pub destination: Arc<str>,
    /// The owner of the postbacks.
    pub owner: Owner,
}

impl LaneId {
    /// A lane of this destination and owner.
    pub fn new(destination: &str, owner: Owner) -> Self {
        Self { destination: destination.into(), owner }
    }

    /// Parses the written form. A destination contains no space; text without a valid owner is a destination of the
    /// program.
    pub fn read(text: &str) -> Self {
        let of_affiliate =
            text.split_once(' ').and_then(|(destination, owner)| Some((destination, owner.parse().ok()?)));
        match of_affiliate {
            Some((destination, owner)) => Self::new(destination, Some(owner)),
            None => Self::new(text, None),
        }
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.destination)?;
        self.owner.map_or(Ok(()), |owner| write!(f, " {owner}"))
    }
}

/// The origin of a URL: `https://host` or `https://host:port`. `None` for text that is not a URL with a host.
pub fn destination_of(url: &str) -> Option<String> {
    let origin = url::Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::Timestamp;

    #[test]
    fn a_lane_survives_the_round_trip() {
        let owner = AffiliateId::new(Timestamp::from_millis(5));
        for lane in [LaneId::new("https://example.com", None), LaneId::new("http://[::1]:8080", Some(owner))] {
            assert_eq!(LaneId::read(&lane.to_string()), lane);
        }
        for strange in ["", "nowhere", "https://example.com somebody"] {
            assert_eq!(LaneId::read(strange).to_string(), strange);
        }
    }

    #[test]
    fn a_destination_is_scheme_host_and_port() {
        for (url, expected) in [
            ("https://Example.com/a?b=c", Some("https://example.com")),
            ("https://example.com:443/", Some("https://example.com")),
            ("http://example.com:8080/x", Some("http://example.com:8080")),
            ("https://münchen.example/", Some("https://xn--mnchen-3ya.example")),
            ("http://[::1]:80/", Some("http://[::1]")),
            ("mailto:a@b.c", None),
            ("nonsense", None),
        ] {
            assert_eq!(destination_of(url).as_deref(), expected, "{url}");
        }
    }
}
