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

/// Reads `X-Forwarded-For`, or else `Forwarded`, from its end, to which our own proxies append, up to the first address that is not one of
/// them. The addresses before it can be forged by the client.
fn read(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Origin {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut address = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(&address) {
        return Origin { unlisted: claim(headers), ..Origin::of(address) };
    }
    let mut is_listed = false;
    for hop in hops(headers).into_iter().rev() {
        let Some(ip) = hop else { break };
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
    let forwards = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    forwards.then(|| Unlisted { claimed: hops(headers).last().copied().flatten() })
}

/// The addresses of `X-Forwarded-For`; those of `Forwarded` if there is none. `None` for what is not an address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let listed = |name| {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        values.flat_map(|value| value.split(','))
    };
    if headers.contains_key("x-forwarded-for") {
        listed("x-forwarded-for").map(parse).collect()
    } else {
        listed("forwarded").map(of_element).collect()
    }
}

/// The `for=` of an element of `Forwarded` (RFC 7239): `for="[2001:db8::1]:4711";proto=https`.
fn of_element(element: &str) -> Option<IpAddr> {
    let mut parts = element.split(';').filter_map(|part| part.split_once('='));
    parse(parts.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?.1)
}

/// Parses an address. Proxies write it in quotation marks, in brackets, with a port, or with the zone of IPv6.
fn parse(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim().trim_matches('"').trim();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|it| it.ip());
    let in_brackets = || hop.strip_prefix('[')?.split_once(']').map(|(ip, _)| ip);
    let plain = || {
        let ip = in_brackets().unwrap_or(hop);
        ip.split('%').next()?.parse::<IpAddr>().ok()
    };
    with_port().or_else(plain).map(|ip| ip.to_canonical())
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
            ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
            ("10.0.0.1", "\"[2001:db8::1]\"", "2001:db8::1"),
            ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
            ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
            ("10.0.0.1", "\"198.51.100.1\"", "198.51.100.1"),
            ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
            ("::ffff:10.0.0.1", "198.51.100.1:80", "198.51.100.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            let found = read(peer.parse().unwrap(), &headers, &trusted).address;
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded}");
        }
    }

    #[test]
    fn forwarded_is_read_if_there_is_no_x_forwarded_for() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (forwarded, expected) in [
            ("for=198.51.100.1", "198.51.100.1"),
            ("for=1.2.3.4, For=\"[2001:db8::1]:4711\";proto=https, for=10.0.0.2", "2001:db8::1"),
            ("proto=https; for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("for=198.51.100.1, for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("proto=https", "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("forwarded", forwarded.parse().unwrap());
            let found = read("10.0.0.1".parse().unwrap(), &headers, &trusted).address;
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{forwarded}");
            headers.insert("x-forwarded-for", "203.0.113.5".parse().unwrap());
            let found = read("10.0.0.1".parse().unwrap(), &headers, &trusted).address;
            assert_eq!(found, "203.0.113.5".parse::<IpAddr>().unwrap());
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
