//! The address of the client: that of the peer, or the one that trusted proxies report. Reports of other peers are not
//! used.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

use domain::people::origin::{Origin, UNLISTED_PROXY, Unlisted};
use engine::app::App;

/// The origin of a request. A peer with a private address that forwards and is not listed causes a warning. Peers with
/// a public address do not, because visitors and networks can have proxies of their own.
pub fn origin(app: &App, peer: IpAddr, headers: &HeaderMap) -> Origin {
    let origin = read(peer, headers, &app.settings.trusted_proxies);
    if origin.is_from_inside() {
        warn_of_unlisted(app, origin);
    }
    origin
}

/// As [`origin`], for people who sign in: every proxy that is not listed causes a warning, because attempts to sign in
/// are counted by address.
pub fn origin_of_person(app: &App, peer: IpAddr, headers: &HeaderMap) -> Origin {
    let origin = read(peer, headers, &app.settings.trusted_proxies);
    warn_of_unlisted(app, origin);
    origin
}

fn warn_of_unlisted(app: &App, origin: Origin) {
    if origin.unlisted.is_some() {
        app.warnings.record(UNLISTED_PROXY, app.clock.now(), || {
            format!(
                "{} sends X-Forwarded-For or Forwarded and is not among TRUSTED_PROXIES: all visitors behind it have its address, in clicks, in the audit log and where attempts to sign in are counted. If it is your proxy, add it to POSTRIDER_TRUSTED_PROXIES; if it is not, have nothing but your proxy reach this server",
                origin.address
            )
        });
    }
}

/// Reads `X-Forwarded-For` from its end, to which our own proxies append, up to the first address that is not one of
/// them. The addresses before it can be forged by the client.
fn read(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Origin {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut address = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(&address) {
        return Origin { unlisted: claim(headers), ..Origin::of(address) };
    }
    let mut is_listed = false;
    for hop in hops(headers).iter().rev() {
        let Some(ip) = parse(hop) else { break };
        address = ip;
        is_listed = !is_trusted(&address);
        if is_listed {
            break;
        }
    }
    Origin { is_listed, ..Origin::of(address) }
}

/// The client for which a peer claims to forward; `None` if the peer does not claim to forward.
fn claim(headers: &HeaderMap) -> Option<Unlisted> {
    if headers.contains_key("x-forwarded-for") {
        return Some(Unlisted { claimed: hops(headers).last().and_then(|hop| parse(hop)) });
    }
    let forwarded = headers.get_all("forwarded").iter().next_back()?;
    Some(Unlisted { claimed: forwarded.to_str().ok().and_then(last_for) })
}

fn hops(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).collect()
}

/// The last `for=` of a `Forwarded` header (RFC 7239): `for=192.0.2.43, for="[2001:db8::1]:4711";proto=https`.
fn last_for(value: &str) -> Option<IpAddr> {
    let parts = value.rsplit(',').next()?.split(';').map(str::trim);
    let node = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("for"))?.1;
    let node = node.trim_matches('"');
    parse(node).or_else(|| parse(node.strip_prefix('[')?.strip_suffix(']')?))
}

/// Parses an address. Some proxies add the port.
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
        for (peer, forwarded, expected) in [
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
            let found = read(peer.parse().unwrap(), &headers, &trusted).address;
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded}");
        }
    }

    #[test]
    fn the_claim_of_an_unlisted_peer_is_the_last_address() {
        for (name, value, expected) in [
            ("x-forwarded-for", "1.2.3.4, 198.51.100.1", Some("198.51.100.1")),
            ("x-forwarded-for", "nonsense", None),
            ("forwarded", "for=1.2.3.4, For=198.51.100.1;proto=https", Some("198.51.100.1")),
            ("forwarded", "proto=https;for=\"[2001:db8::1]:4711\"", Some("2001:db8::1")),
            ("forwarded", "for=\"[2001:db8::1]\"", Some("2001:db8::1")),
            ("forwarded", "for=_hidden", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let unlisted = read("10.0.0.1".parse().unwrap(), &headers, &[]).unlisted;
            let claimed = expected.map(|it| it.parse().unwrap());
            assert_eq!(unlisted, Some(Unlisted { claimed }), "{name}: {value}");
        }
        assert_eq!(read("10.0.0.1".parse().unwrap(), &HeaderMap::new(), &[]).unlisted, None);
    }
}
