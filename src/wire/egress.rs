//! Where the gateway's own calls may go: never to some addresses, and else where the operator says. Owns the judgement
//! on one address, in every form an IPv4 address can take; asking it for the connection that is really made is left to
//! [`crate::wire::connect`].

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use ipnet::IpNet;

/// Why an address may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Only neighbours on the same link answer there; clouds put machine credentials there.
    #[error("link-local, always refused (cloud metadata lives there)")]
    LinkLocal,
    /// A known address of a cloud's metadata service.
    #[error("a metadata service, always refused")]
    Metadata,
    /// Many machines at once.
    #[error("multicast or broadcast, always refused")]
    Multicast,
    /// No machine at all.
    #[error("the unspecified address, always refused")]
    Unspecified,
    /// The operator has closed this network.
    #[error("{0} is in {1} of `egress.deny`")]
    Denied(IpAddr, IpNet),
    /// The operator has opened others only.
    #[error("{0} is in no network of `egress.allow`")]
    NotAllowed(IpAddr),
}

/// What the operator says of where hooks may be called. An address in which an IPv4 address is embedded counts as that
/// one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    /// The only networks, if any are named.
    pub allow: Option<Vec<IpNet>>,
    /// Networks that are closed whatever else is said.
    pub deny: Vec<IpNet>,
}

impl Networks {
    /// Judges a host that is an address, in whatever notation; nothing is known here about where names lead.
    ///
    /// # Errors
    /// [`Refused`] with the rule.
    pub fn judge_literal(&self, host: &str) -> Result<(), Refused> {
        literal(host).map_or(Ok(()), |address| self.judge(address))
    }

    /// Judges an address that a rule file's hook would be called at.
    ///
    /// # Errors
    /// [`Refused`] with the rule.
    pub fn judge(&self, address: IpAddr) -> Result<(), Refused> {
        let led_to = led_to(address);
        // In one that leads to an IPv4 address as well: a link-local one may, too.
        never(address)?;
        never(led_to)?;
        let closes = |net: &&IpNet| net.contains(&led_to) || net.contains(&address);
        if let Some(net) = self.deny.iter().find(closes) {
            return Err(Refused::Denied(led_to, *net));
        }
        match &self.allow {
            Some(nets) if !nets.iter().any(|net| net.contains(&led_to)) => {
                Err(Refused::NotAllowed(led_to))
            }
            _ => Ok(()),
        }
    }
}

/// The address that a host spells out, in whatever notation: `127.1` and `0x7f000001` are addresses too.
fn literal(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    match url::Host::parse(host) {
        Ok(url::Host::Ipv4(address)) => Some(address.into()),
        _ => None,
    }
}

/// The address that is reached in the end.
fn led_to(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(outer) => embedded_v4(outer).map_or(address, IpAddr::V4),
    }
}

/// Refuses what is never called, whatever the operator says.
fn never(address: IpAddr) -> Result<(), Refused> {
    match address {
        IpAddr::V4(address) => judge_v4(address),
        IpAddr::V6(address) => judge_v6(address),
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

    fn at(address: &str) -> IpAddr {
        address.parse().expect("an address")
    }

    fn networks(allow: Option<&[&str]>, deny: &[&str]) -> Networks {
        let nets = |nets: &[&str]| {
            let nets = nets.iter().map(|net| net.parse().expect("a network"));
            nets.collect()
        };
        Networks {
            allow: allow.map(nets),
            deny: nets(deny),
        }
    }

    #[test]
    fn what_the_operator_says_holds_in_every_form() {
        let own = networks(
            Some(&["10.0.0.0/8", "2001:db8::/32"]),
            &["10.9.0.0/16", "64:ff9b::/96", "2001:db8:bad::/48"],
        );
        for good in [
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "2002:a01:203::1",
            "2001:db8::1",
        ] {
            assert_eq!(own.judge(at(good)), Ok(()), "{good}");
        }
        let denied = |address, net: &str| {
            Err(Refused::Denied(
                at(address),
                net.parse().expect("a network"),
            ))
        };
        for (bad, expected) in [
            ("10.9.1.1", denied("10.9.1.1", "10.9.0.0/16")),
            ("::ffff:10.9.1.1", denied("10.9.1.1", "10.9.0.0/16")),
            ("::10.9.1.1", denied("10.9.1.1", "10.9.0.0/16")),
            ("2002:a09:101::1", denied("10.9.1.1", "10.9.0.0/16")),
            // A way that is closed as such, wherever it leads.
            ("64:ff9b::a01:203", denied("10.1.2.3", "64:ff9b::/96")),
            (
                "2001:db8:bad::1",
                denied("2001:db8:bad::1", "2001:db8:bad::/48"),
            ),
            ("192.168.1.1", Err(Refused::NotAllowed(at("192.168.1.1")))),
            (
                "::ffff:127.0.0.1",
                Err(Refused::NotAllowed(at("127.0.0.1"))),
            ),
            ("::1", Err(Refused::NotAllowed(at("::1")))),
            ("169.254.169.254", Err(Refused::LinkLocal)),
        ] {
            assert_eq!(own.judge(at(bad)), expected, "{bad}");
        }
    }

    #[test]
    fn addresses_are_seen_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
        ] {
            assert_eq!(literal(host), Some(IpAddr::from([127, 0, 0, 1])), "{host}");
        }
        assert_eq!(literal("::1"), Some(IpAddr::from(Ipv6Addr::LOCALHOST)));
        assert_eq!(literal("example.org"), None);
        assert_eq!(literal("1.example"), None);
    }

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
            "fe80::5efe:a00:1",
            "ff02::5efe:a00:1",
            "fd12::200:5efe:a9fe:a9fe",
            "2001:0:1234::5601:5601",
            "239.255.255.250",
            "ff0e::1",
            "100.100.100.200",
            "::ffff:0.0.0.0",
        ] {
            // Even if everything is allowed.
            let everywhere = networks(Some(&["0.0.0.0/0", "::/0"]), &[]);
            assert!(everywhere.judge(at(address)).is_err(), "{address}");
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
            assert_eq!(Networks::default().judge(at(address)), Ok(()), "{address}");
        }
    }
}
