//! The origin of a request that may have passed proxies, and which throttle its attempts to sign in count for.

use std::net::IpAddr;

use super::throttle::Kind;

/// The code of the warning about a proxy that is not listed.
pub const UNLISTED_PROXY: &str = "unlisted_proxy";

/// The origin of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The visitor's address as far as it is known: the peer's, or the one that listed proxies report.
    pub address: IpAddr,
    /// Present if the peer says that it forwards, but is not listed as a proxy.
    pub unlisted: Option<Unlisted>,
    /// Whether a listed proxy reported the address.
    pub is_listed: bool,
}

/// The claim of a peer that is not listed as a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unlisted {
    /// The visitor's address according to the peer: the last one, which a proxy adds itself. A client can send any
    /// value.
    pub claimed: Option<IpAddr>,
}

impl Origin {
    /// The origin of a request whose peer does not forward.
    pub fn of(address: IpAddr) -> Self {
        Self { address, unlisted: None, is_listed: false }
    }

    /// Whether the peer has a private address, so that it can't be on the internet.
    pub fn is_from_inside(&self) -> bool {
        is_private(self.address)
    }

    /// The throttle that an attempt counts for, besides that of its account: kind and subject.
    ///
    /// Behind a proxy that is not listed, all visitors have its address, so the address alone must not block one of
    /// them; and a forged header must not give an attacker unlimited attempts. Clients on the internet have no private
    /// address, so a peer with one is treated as a proxy. Each address that it names is counted separately; if it names
    /// none, it never blocks an account, see [`Kind::Unnamed`]. A peer with a public address that forwards may be an
    /// attacker or a network of proxies; it is counted as a whole, with a high limit.
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

/// The address, or for IPv6 its /64 network, because a subscriber has all addresses of it.
pub fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Loopback, link-local and private addresses (RFC 1918, 3927, 4193, 6598).
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
    fn an_unlisted_proxy_blocks_nobody_and_a_header_avoids_no_limit() {
        for (peer, unlisted, kind, subject) in [
            ("203.0.113.9", None, Kind::Address, "203.0.113.9"),
            // It may be a proxy that names no visitor.
            ("10.0.0.2", None, Kind::Unnamed, "10.0.0.2"),
            ("::1", None, Kind::Unnamed, "0:0:0:0::/64"),
            ("2001:db8:1:2:3::4", None, Kind::Address, "2001:db8:1:2::/64"),
            ("::ffff:203.0.113.9", None, Kind::Address, "203.0.113.9"),
            // A proxy of the operator: each visitor that it names is counted separately.
            ("127.0.0.1", Some(Some("198.51.100.1")), Kind::Forwarded, "127.0.0.1>198.51.100.1"),
            ("10.0.0.2", Some(Some("198.51.100.2")), Kind::Forwarded, "10.0.0.2>198.51.100.2"),
            ("100.64.0.1", Some(Some("198.51.100.2")), Kind::Forwarded, "100.64.0.1>198.51.100.2"),
            ("fd00::1", Some(Some("2001:db8::9")), Kind::Forwarded, "fd00:0:0:0::/64>2001:db8:0:0::/64"),
            ("10.0.0.2", Some(None), Kind::Unnamed, "10.0.0.2"),
            // From the internet: one peer, regardless of the address that it names.
            ("203.0.113.9", Some(Some("198.51.100.1")), Kind::Shared, "203.0.113.9"),
            ("203.0.113.9", Some(Some("198.51.100.2")), Kind::Shared, "203.0.113.9"),
            ("203.0.113.9", Some(None), Kind::Shared, "203.0.113.9"),
        ] {
            let unlisted = unlisted
                .map(|claimed: Option<&str>| Unlisted { claimed: claimed.map(|it| it.parse().expect("an address")) });
            let origin = Origin { unlisted, ..Origin::of(peer.parse().expect("an address")) };
            assert_eq!(origin.counts_as(), (kind, subject.to_owned()), "{peer} {unlisted:?}");
        }
        // An address that a listed proxy names is a visitor, even a private one.
        let listed = Origin { is_listed: true, ..Origin::of("10.0.0.9".parse().expect("an address")) };
        assert_eq!(listed.counts_as(), (Kind::Address, "10.0.0.9".to_owned()));
    }
}
