//! Addresses that may be dialled although a stranger named them (D5.4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{constants::MIN_PUBLIC_PORT, contact_card::Endpoint};

/// Whether an address lies in the public part of the internet, at a port where
/// somebody may listen for strangers.
///
/// Everything else could make this machine knock at doors of its own network: private, loopback,
/// link-local, shared (CGNAT), multicast, documentation and reserved ranges, such addresses inside
/// IPv6 ones, and ports below 1024 other than 443.
pub fn is_public(address: &SocketAddr) -> bool {
    let public = match address.ip().to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    };
    public && is_allowed(address.port())
}

/// Whether a stranger's word is enough for this port: no service of old is meant by it.
const fn is_allowed(port: u16) -> bool {
    port >= MIN_PUBLIC_PORT || port == 443
}

/// Whether an endpoint may be worth a lookup: its port is allowed and its host, if it is an address,
/// public. A name has to be looked up, and then [`is_public`] asked about every address it has.
pub fn may_be_public(endpoint: &Endpoint) -> bool {
    match endpoint.ip() {
        Some(ip) => is_public(&SocketAddr::new(ip, endpoint.port())),
        None => is_allowed(endpoint.port()),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        // shared address space, RFC 6598
        || (a == 100 && (64..128).contains(&b))
        // protocol assignments, RFC 6890; 6to4 relays, RFC 7526
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        // benchmarking, RFC 2544
        || (a == 198 && (18..20).contains(&b));
    !special
}

/// Only 2000::/3 is given out, and of it not: documentation, 6to4, Teredo and the other special
/// ranges of 2001::/23.
fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [a, b, ..] = v6.segments();
    (0x2000..0x4000).contains(&a)
        && a != 0x2002
        && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
        && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_25_addresses_inside_are_never_dialled_for_a_stranger() {
        for inside in [
            "127.0.0.1:33399",
            "10.1.2.3:33399",
            "172.16.0.1:33399",
            "192.168.1.1:33399",
            "169.254.169.254:33399",
            "100.64.0.1:33399",
            "0.0.0.0:33399",
            "224.0.0.1:33399",
            "255.255.255.255:33399",
            "240.0.0.1:33399",
            "198.18.0.1:33399",
            "192.0.0.8:33399",
            "192.0.2.1:33399",
            "[::]:33399",
            "[::1]:33399",
            "[::ffff:10.0.0.1]:33399",
            "[fe80::1]:33399",
            "[fd00::1]:33399",
            "[ff02::1]:33399",
            "[64:ff9b::a00:1]:33399",
            "[64:ff9b:1::a00:1]:33399",
            "[::10.0.0.1]:33399",
            "[::ffff:127.0.0.1]:443",
            "[::ffff:100.64.0.1]:443",
            "[fec0::1]:33399",
            "[3fff::1]:33399",
            "[100::1]:33399",
            "[2002:a00:1::]:33399",
            "[2001:0:a00:1::]:33399",
            "[2001:db8::1]:33399",
            "1.1.1.1:25",
            "1.1.1.1:80",
            "1.1.1.1:0",
        ] {
            assert!(!is_public(&inside.parse().unwrap()), "{inside}");
        }
        for outside in ["1.1.1.1:33399", "9.9.9.9:443", "[2606:4700::1]:1024"] {
            assert!(is_public(&outside.parse().unwrap()), "{outside}");
            assert!(may_be_public(&outside.parse().unwrap()), "{outside}");
        }
        for (endpoint, may) in [
            ("10.0.0.1:33399", false),
            ("1.1.1.1:25", false),
            ("inside.example:25", false),
            ("inside.example:33399", true),
            ("inside.example:443", true),
        ] {
            assert_eq!(may_be_public(&endpoint.parse().unwrap()), may, "{endpoint}");
        }
    }
}
