//! Lanes: the requests of one owner's postbacks to one destination. Queue, health, breaker, probe and rank belong to a lane,
//! so that nobody's trouble on a shared host is anybody else's.

use std::fmt;
use std::sync::Arc;

use crate::ids::AffiliateId;

/// Whose postbacks: an affiliate's, or the program's own.
pub type Owner = Option<AffiliateId>;

/// Written as the destination alone for the program, and as `destination owner` for an affiliate. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LaneId {
    /// Scheme, host and port.
    pub destination: Arc<str>,
    pub owner: Owner,
}

impl LaneId {
    pub fn new(destination: &str, owner: Owner) -> Self {
        Self { destination: destination.into(), owner }
    }

    /// Reads what was written. A destination has no space in it.
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

/// `https://host` or `https://host:port`: whom a request goes to.
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
