//! The visitor's address: the peer's, or what trusted proxies say, and only they.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Reads `X-Forwarded-For` from its end, where our own proxies wrote, up to the first address that is
/// not one of them. Everything before that is the visitor's own claim.
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut address = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(&address) {
        return address;
    }
    let hops = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<_> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.iter().rev() {
        let Some(ip) = parse(hop) else { break };
        address = ip;
        if !is_trusted(&address) {
            break;
        }
    }
    address
}

/// Some proxies write the port too.
fn parse(hop: &str) -> Option<IpAddr> {
    let ip = hop.parse::<IpAddr>().ok().or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|it| it.ip()));
    ip.map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (peer, forwarded, wanted) in [
            ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.2.3.4, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("10.0.0.1", "1.2.3.4, nonsense, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:10.0.0.1", "198.51.100.1:80", "198.51.100.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            let found = address(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, wanted.parse::<IpAddr>().unwrap(), "{peer} {forwarded}");
        }
    }
}
