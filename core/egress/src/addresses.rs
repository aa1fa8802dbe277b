//! The IP addresses to which requests may be sent. Pure: it checks an address against the operator's allow list,
//! without names, sockets or the clock.
//!
//! Public unicast addresses pass. Addresses with a special purpose are refused, unless the operator listed them. The
//! ranges are those of the IANA special-purpose registries (RFC 6890 and its successors) plus the metadata services
//! that cloud providers run at otherwise ordinary addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The operator's allow list (`EGRESS_ALLOW`), and the check of addresses.
#[derive(Debug, Clone)]
pub(super) struct Allow(Vec<IpNet>);

impl Allow {
    pub(super) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into_iter().map(canonical_network).collect())
    }

    /// Checks one address. A listed address always passes; `127.0.0.0/8` in the list also admits `::ffff:127.0.0.1`,
    /// because both reach the same socket.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), AddressKind> {
        let canonical = address.to_canonical();
        let listed = |network: &IpNet| network.contains(&address) || network.contains(&canonical);
        match special_purpose(address) {
            Some(kind) if !self.0.iter().any(listed) => Err(kind),
            _ => Ok(()),
        }
    }
}

/// Why an address is not an ordinary public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// An address of this machine.
    Loopback,
    /// An address of a private network.
    Private,
    /// Valid on one link only.
    LinkLocal,
    /// An address between a provider and its customers.
    CarrierGradeNat,
    /// The metadata service of a cloud provider.
    Metadata,
    /// A multicast group.
    Multicast,
    /// The broadcast address.
    Broadcast,
    /// The unspecified address, which means no address.
    Unspecified,
    /// Reserved for examples in documentation.
    Documentation,
    /// Reserved for other purposes.
    Reserved,
    /// An IPv6 address that contains an IPv4 address: mapped, compatible, NAT64, 6to4 or Teredo.
    EmbeddedIpv4,
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::CarrierGradeNat => "a carrier-grade NAT address",
            Self::Metadata => "a cloud metadata service",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Unspecified => "an unspecified address",
            Self::Documentation => "an address reserved for documentation",
            Self::Reserved => "a reserved address",
            Self::EmbeddedIpv4 => "an IPv4 address wrapped in IPv6",
        })
    }
}

/// The special purpose of an address; `None` for an ordinary public one.
fn special_purpose(address: IpAddr) -> Option<AddressKind> {
    match address {
        IpAddr::V4(v4) => find(IPV4, |network| network.contains(&v4)),
        // Addresses outside of 2000::/3 have never been assigned as public unicast.
        IpAddr::V6(v6) => find(IPV6, |network| network.contains(&v6))
            .or_else(|| (!PUBLIC_IPV6.contains(&v6)).then_some(AddressKind::Reserved)),
    }
}

fn find<N>(table: &[(N, AddressKind)], contains: impl Fn(&N) -> bool) -> Option<AddressKind> {
    table.iter().find(|(network, _)| contains(network)).map(|(_, kind)| *kind)
}

/// Converts an IPv4-mapped network to the IPv4 network.
fn canonical_network(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.network().to_ipv4_mapped() {
            Some(v4) => IpNet::V4(Ipv4Net::new_assert(v4, v6.prefix_len() - 96)),
            None => network,
        },
        _ => network,
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(head: [u16; 4], tail: [u16; 4], prefix: u8) -> Ipv6Net {
    let [a, b, c, d] = head;
    let [e, f, g, h] = tail;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// The first row that contains the address decides, so single addresses come before their ranges.
const IPV4: &[(Ipv4Net, AddressKind)] = &[
    (v4(169, 254, 169, 254, 32), AddressKind::Metadata), // AWS, Google Cloud, Azure and most others
    (v4(100, 100, 100, 200, 32), AddressKind::Metadata), // Alibaba Cloud
    (v4(168, 63, 129, 16, 32), AddressKind::Metadata),   // Azure's host agent, at a public address
    (v4(192, 0, 0, 192, 32), AddressKind::Metadata),     // Oracle Cloud
    (v4(255, 255, 255, 255, 32), AddressKind::Broadcast),
    (v4(0, 0, 0, 0, 8), AddressKind::Unspecified),
    (v4(127, 0, 0, 0, 8), AddressKind::Loopback),
    (v4(10, 0, 0, 0, 8), AddressKind::Private),
    (v4(172, 16, 0, 0, 12), AddressKind::Private),
    (v4(192, 168, 0, 0, 16), AddressKind::Private),
    (v4(169, 254, 0, 0, 16), AddressKind::LinkLocal),
    (v4(100, 64, 0, 0, 10), AddressKind::CarrierGradeNat),
    (v4(192, 0, 0, 0, 24), AddressKind::Reserved), // IETF protocol assignments
    (v4(192, 0, 2, 0, 24), AddressKind::Documentation),
    (v4(198, 51, 100, 0, 24), AddressKind::Documentation),
    (v4(203, 0, 113, 0, 24), AddressKind::Documentation),
    (v4(192, 88, 99, 0, 24), AddressKind::Reserved), // 6to4 relays, withdrawn by RFC 7526
    (v4(198, 18, 0, 0, 15), AddressKind::Reserved),  // benchmarks between networks, RFC 2544
    (v4(224, 0, 0, 0, 4), AddressKind::Multicast),
    (v4(240, 0, 0, 0, 4), AddressKind::Reserved),
];

const IPV6: &[(Ipv6Net, AddressKind)] = &[
    (v6([0xfd00, 0x0ec2, 0, 0], [0, 0, 0, 0x254], 128), AddressKind::Metadata), // AWS
    (v6([0xfd20, 0x00ce, 0, 0], [0, 0, 0, 0x254], 128), AddressKind::Metadata), // Google Cloud
    (v6([0; 4], [0; 4], 128), AddressKind::Unspecified),
    (v6([0; 4], [0, 0, 0, 1], 128), AddressKind::Loopback),
    (v6([0; 4], [0, 0xffff, 0, 0], 96), AddressKind::EmbeddedIpv4), // IPv4-mapped
    (v6([0; 4], [0xffff, 0, 0, 0], 96), AddressKind::EmbeddedIpv4), // IPv4-translated, RFC 2765
    (v6([0; 4], [0; 4], 96), AddressKind::EmbeddedIpv4),            // IPv4-compatible
    (v6([0x64, 0xff9b, 0, 0], [0; 4], 96), AddressKind::EmbeddedIpv4), // NAT64
    (v6([0x64, 0xff9b, 1, 0], [0; 4], 48), AddressKind::EmbeddedIpv4), // local NAT64
    (v6([0x2001, 0, 0, 0], [0; 4], 32), AddressKind::EmbeddedIpv4), // Teredo
    (v6([0x2002, 0, 0, 0], [0; 4], 16), AddressKind::EmbeddedIpv4), // 6to4
    (v6([0x2001, 0, 0, 0], [0; 4], 23), AddressKind::Reserved),     // IETF protocol assignments
    (v6([0x2001, 0x0db8, 0, 0], [0; 4], 32), AddressKind::Documentation),
    (v6([0x3fff, 0, 0, 0], [0; 4], 20), AddressKind::Documentation),
    (v6([0xfc00, 0, 0, 0], [0; 4], 7), AddressKind::Private), // unique local
    (v6([0xfe80, 0, 0, 0], [0; 4], 10), AddressKind::LinkLocal),
    (v6([0xfec0, 0, 0, 0], [0; 4], 10), AddressKind::Private), // site-local, deprecated
    (v6([0xff00, 0, 0, 0], [0; 4], 8), AddressKind::Multicast),
];

const PUBLIC_IPV6: Ipv6Net = v6([0x2000, 0, 0, 0], [0; 4], 3);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allow: &[&str], address: &str) -> Result<(), AddressKind> {
        let networks = allow.iter().map(|network| network.parse().expect("a network")).collect();
        Allow::new(networks).check(address.parse().expect("an address"))
    }

    #[test]
    fn special_purpose_addresses_are_refused_up_to_the_edge_of_their_range() {
        use AddressKind::*;
        let table = [
            ("0.0.0.0", Unspecified),
            ("0.255.255.255", Unspecified),
            ("127.0.0.1", Loopback),
            ("127.255.255.255", Loopback),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("192.168.0.0", Private),
            ("192.168.255.255", Private),
            ("169.254.0.1", LinkLocal),
            ("169.254.169.253", LinkLocal),
            ("169.254.169.254", Metadata),
            ("100.100.100.200", Metadata),
            ("168.63.129.16", Metadata),
            ("192.0.0.192", Metadata),
            ("100.64.0.0", CarrierGradeNat),
            ("100.127.255.255", CarrierGradeNat),
            ("192.0.0.0", Reserved),
            ("192.0.0.255", Reserved),
            ("192.0.2.1", Documentation),
            ("198.51.100.255", Documentation),
            ("203.0.113.0", Documentation),
            ("192.88.99.1", Reserved),
            ("198.18.0.0", Reserved),
            ("198.19.255.255", Reserved),
            ("224.0.0.0", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.0", Reserved),
            ("255.255.255.254", Reserved),
            ("255.255.255.255", Broadcast),
            ("::", Unspecified),
            ("::1", Loopback),
            ("::2", EmbeddedIpv4),
            ("::127.0.0.1", EmbeddedIpv4),
            ("::8.8.8.8", EmbeddedIpv4),
            ("::ffff:127.0.0.1", EmbeddedIpv4),
            ("::ffff:8.8.8.8", EmbeddedIpv4),
            ("::ffff:0:10.0.0.1", EmbeddedIpv4),
            ("64:ff9b::7f00:1", EmbeddedIpv4),
            ("64:ff9b::808:808", EmbeddedIpv4),
            ("64:ff9b:1::1", EmbeddedIpv4),
            ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", EmbeddedIpv4),
            ("64:ff9b:2::1", Reserved),
            ("100::1", Reserved),
            ("2001::1", EmbeddedIpv4),
            ("2001:0:ffff::1", EmbeddedIpv4),
            ("2001:2::1", Reserved),
            ("2001:20::1", Reserved),
            ("2001:1ff:ffff::1", Reserved),
            ("2001:db8::1", Documentation),
            ("2001:db8:ffff::1", Documentation),
            ("3fff::1", Documentation),
            ("3fff:fff:ffff::1", Documentation),
            ("2002:7f00:1::", EmbeddedIpv4),
            ("2002:ffff:ffff::1", EmbeddedIpv4),
            ("fc00::1", Private),
            ("fdff:ffff::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("fe80::1", LinkLocal),
            ("febf:ffff::1", LinkLocal),
            ("fec0::1", Private),
            ("feff:ffff::1", Private),
            ("ff02::1", Multicast),
            ("1fff:ffff::1", Reserved),
            ("4000::1", Reserved),
            ("5f00::1", Reserved),
        ];
        for (address, kind) in table {
            assert_eq!(check(&[], address), Err(kind), "{address}");
        }
    }

    #[test]
    fn public_addresses_pass_up_to_the_edge_of_special_ranges() {
        let table = [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
            "3fff:1000::1",
        ];
        for address in table {
            assert_eq!(check(&[], address), Ok(()), "{address}");
        }
    }

    #[test]
    fn the_allow_list_admits_only_its_networks() {
        let table: [(&[&str], &str, bool); 12] = [
            (&["127.0.0.0/8"], "127.0.0.1", true),
            (&["127.0.0.0/8"], "::ffff:127.0.0.1", true),
            (&["127.0.0.0/8"], "::127.0.0.1", false),
            (&["127.0.0.0/8"], "::1", false),
            (&["127.0.0.0/8"], "10.0.0.1", false),
            (&["127.0.0.0/8", "::1/128"], "::1", true),
            (&["10.1.0.0/16"], "10.1.2.3", true),
            (&["10.1.0.0/16"], "10.2.0.1", false),
            (&["::ffff:10.1.0.0/112"], "10.1.2.3", true),
            (&["::ffff:10.1.0.0/112"], "::ffff:10.1.2.3", true),
            (&["::ffff:10.1.0.0/112"], "10.2.0.1", false),
            (&["fc00::/7"], "fd00:ec2::254", true),
        ];
        for (allow, address, passes) in table {
            assert_eq!(check(allow, address).is_ok(), passes, "{allow:?} {address}");
        }
    }
}
