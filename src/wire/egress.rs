//! Where the gateway's own calls may go. Owns the judgement on one address, in every form an IPv4 address can take;
//! asking it for the connection that is really made is left to [`crate::wire::connect`].

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Why an address may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Only neighbours on the same link answer there; clouds put machine credentials there.
    #[error("link-local addresses are never called (cloud metadata lives there)")]
    LinkLocal,
    /// A known address of a cloud's metadata service.
    #[error("metadata addresses are never called")]
    Metadata,
    /// Many machines at once.
    #[error("multicast and broadcast addresses are never called")]
    Multicast,
    /// No machine at all.
    #[error("the unspecified address is never called")]
    Unspecified,
}

/// Judges an address that a rule file's hook would be called at.
///
/// # Errors
/// [`Refused`] with the rule.
pub fn judge(address: IpAddr) -> Result<(), Refused> {
    match address {
        IpAddr::V4(address) => judge_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => judge_v4(inner),
            None => judge_v6(address),
        },
    }
}

/// Metadata services outside the link-local range: Alibaba Cloud, Oracle Cloud, Azure's platform.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// The same over IPv6: Amazon, Google Cloud.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn judge_v4(address: Ipv4Addr) -> Result<(), Refused> {
    if address.octets()[0] == 0 {
        Err(Refused::Unspecified)
    } else if address.is_link_local() {
        Err(Refused::LinkLocal)
    } else if METADATA_V4.contains(&address) {
        Err(Refused::Metadata)
    } else if address.is_multicast() || address.is_broadcast() {
        Err(Refused::Multicast)
    } else {
        Ok(())
    }
}

fn judge_v6(address: Ipv6Addr) -> Result<(), Refused> {
    if address.is_unspecified() {
        Err(Refused::Unspecified)
    } else if address.is_unicast_link_local() {
        Err(Refused::LinkLocal)
    } else if METADATA_V6.contains(&address) {
        Err(Refused::Metadata)
    } else if address.is_multicast() {
        Err(Refused::Multicast)
    } else {
        Ok(())
    }
}

/// The IPv4 address inside an IPv6 one, where such a one is carried to it: mapped, compatible, translated (RFC 2765),
/// NAT64 (RFC 6052 and, for local prefixes, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP (RFC 5214).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let joined = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(joined(high, low)),
        [0x2002, high, low, ..] => Some(joined(high, low)),
        // Teredo hides the address of the machine behind its complement.
        [0x2001, 0, .., high, low] => Some(joined(!high, !low)),
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(joined(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_form() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "168.63.129.16",
            "::ffff:168.63.129.16",
            "::ffff:0:169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:abcd::a9fe:a9fe",
            "fd12::5efe:a9fe:a9fe",
            "fd12::200:5efe:a9fe:a9fe",
            "2001:0:1234::5601:5601",
            "239.255.255.250",
            "ff0e::1",
            "100.100.100.200",
            "::ffff:0.0.0.0",
        ] {
            assert!(
                judge(address.parse().expect("an address")).is_err(),
                "{address}"
            );
        }
        for address in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "203.0.113.9",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "fd00::1",
        ] {
            assert_eq!(
                judge(address.parse().expect("an address")),
                Ok(()),
                "{address}"
            );
        }
    }
}
