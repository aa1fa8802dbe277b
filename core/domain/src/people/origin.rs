//! Where a request comes from when proxies are, or may be, in between; and what its attempts to sign in count for.

use std::net::IpAddr;

use super::throttle::Kind;

/// The code of the warning about a proxy that is not listed.
pub const UNLISTED_PROXY: &str = "unlisted_proxy";

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The visitor's, as far as it is known: the peer's, or what listed proxies say.
    pub address: IpAddr,
    /// The peer says that it forwards, and is not listed as a proxy.
    pub unlisted: Option<Unlisted>,
    /// A listed proxy says so.
    pub is_listed: bool,
}

/// What a peer says that nobody vouches for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unlisted {
    /// For whom it forwards: the last address, which a proxy writes itself. Anybody else writes what they like.
    pub claimed: Option<IpAddr>,
}

impl Origin {
    /// Of a peer that says nothing about others.
    pub fn of(address: IpAddr) -> Self {
        Self { address, unlisted: None, is_listed: false }
    }

    /// Whether nobody from the internet can be the peer.
    pub fn is_from_inside(&self) -> bool {
        is_private(self.address)
    }

    /// What an attempt counts for, beside its account.
    ///
    /// Behind a proxy that is not listed all visitors have its address, so the address must not be what keeps one of them
    /// out; and a header must not be what lets a stranger try without end. Nobody from the internet has a private address:
    /// a peer that has one is taken for a proxy. Each address that it names counts by itself; if it names none, it counts
    /// nothing against an account, see [`Kind::Unnamed`]. A peer with a public address that forwards may be a stranger or
    /// somebody's network of proxies; it counts as a whole, for many.
    pub fn counts_as(&self) -> (Kind, String) {
        let peer = network_of(self.address);
        match self.unlisted {
            Some(Unlisted { claimed: Some(claimed) }) if self.is_from_inside() => {
                (Kind::Forwarded, format!("{peer}>{}", network_of(claimed)))
            }
            None if self.is_listed => (Kind::Address, peer),
            _ if self.is_from_inside() => (Kind::Unnamed, peer),
            None => (Kind::Address, peer),
            Some(_) => (Kind::Shared, peer),
        }
    }
}

/// The address, or its network: whoever has an IPv6 address has its whole /64.
pub fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// This machine or its networks (RFC 1918, 3927, 4193, 6598).
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(it) => {
            let [a, b, ..] = it.octets();
            it.is_loopback() || it.is_private() || it.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(it) => it.is_loopback() || it.is_unique_local() || it.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlisted_proxy_locks_nobody_out_and_a_header_lets_nobody_off() {
        for (peer, unlisted, kind, subject) in [
            ("203.0.113.9", None, Kind::Address, "203.0.113.9"),
            // It may be a proxy that names nobody.
            ("10.0.0.2", None, Kind::Unnamed, "10.0.0.2"),
            ("::1", None, Kind::Unnamed, "0:0:0:0::/64"),
            ("2001:db8:1:2:3::4", None, Kind::Address, "2001:db8:1:2::/64"),
            ("::ffff:203.0.113.9", None, Kind::Address, "203.0.113.9"),
            // A proxy of the operator: each visitor that it names by itself.
            ("127.0.0.1", Some(Some("198.51.100.1")), Kind::Forwarded, "127.0.0.1>198.51.100.1"),
            ("10.0.0.2", Some(Some("198.51.100.2")), Kind::Forwarded, "10.0.0.2>198.51.100.2"),
            ("100.64.0.1", Some(Some("198.51.100.2")), Kind::Forwarded, "100.64.0.1>198.51.100.2"),
            ("fd00::1", Some(Some("2001:db8::9")), Kind::Forwarded, "fd00:0:0:0::/64>2001:db8:0:0::/64"),
            ("10.0.0.2", Some(None), Kind::Unnamed, "10.0.0.2"),
            // From the internet: whatever it names, it is one peer.
            ("203.0.113.9", Some(Some("198.51.100.1")), Kind::Shared, "203.0.113.9"),
            ("203.0.113.9", Some(Some("198.51.100.2")), Kind::Shared, "203.0.113.9"),
            ("203.0.113.9", Some(None), Kind::Shared, "203.0.113.9"),
        ] {
            let unlisted = unlisted
                .map(|claimed: Option<&str>| Unlisted { claimed: claimed.map(|it| it.parse().expect("an address")) });
            let origin = Origin { unlisted, ..Origin::of(peer.parse().expect("an address")) };
            assert_eq!(origin.counts_as(), (kind, subject.to_owned()), "{peer} {unlisted:?}");
        }
        // What a listed proxy names is a visitor, also one from inside.
        let listed = Origin { is_listed: true, ..Origin::of("10.0.0.9".parse().expect("an address")) };
        assert_eq!(listed.counts_as(), (Kind::Address, "10.0.0.9".to_owned()));
    }
}
