//! Which addresses may be connected to. Names are resolved first and every address is judged here, in whatever spelling it comes; the connection goes
//! to the address that was judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base::config::FederationConfig;
use ipnet::IpNet;

/// Which addresses may be connected to.
#[derive(Debug, Clone, Default)]
pub struct AddressRules {
    denied: Vec<IpNet>,
    allowed: Vec<IpNet>,
}

impl AddressRules {
    /// The rules of the configuration.
    #[must_use]
    pub fn new(config: &FederationConfig) -> Self {
        Self {
            denied: config.denied_addresses.clone(),
            allowed: config.allowed_addresses.clone(),
        }
    }

    /// Whether the address, and every other one that stands for the same machine, may be connected to.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        spellings(address).all(|address| {
            let within = |networks: &[IpNet]| networks.iter().any(|net| net.contains(&address));
            within(&self.allowed) || !within(&self.denied)
        })
    }
}

/// The addresses that an address leads to: itself, and the IPv4 addresses that gateways and stacks read out of an IPv6 address.
fn spellings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let inner = match address {
        IpAddr::V4(_) => [None, None],
        IpAddr::V6(address) => embedded(address),
    };
    // A mapped address is nothing but another spelling; the others are addresses in their own right, too.
    let itself = match address {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => None,
        address => Some(address),
    };
    itself
        .into_iter()
        .chain(inner.into_iter().flatten().map(IpAddr::V4))
}

/// The IPv4 addresses within an IPv6 address.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match [a, b, c, d, e, f] {
        // Mapped (RFC 4291), compatible (the same, obsolete), translated (RFC 2765), and the well-known prefix of NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => {
            [join(g, h), None]
        }
        // `::` and `::1` have rules of their own.
        [0, 0, 0, 0, 0, 0] if g != 0 || h > 1 => [join(g, h), None],
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => [join(high, low), None],
        // Teredo (RFC 4380): its server, and the client with every bit turned.
        [0x2001, 0, high, low, ..] => [join(high, low), join(!g, !h)],
        // ISATAP (RFC 5214) in any network.
        [_, _, _, _, 0 | 0x200, 0x5efe] => [join(g, h), None],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rules: &AddressRules, address: &str) -> bool {
        rules.allow(address.parse().unwrap())
    }

    #[test]
    fn whatever_is_not_public_is_refused_in_every_spelling() {
        let rules = AddressRules::new(&FederationConfig::default());
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::127.0.0.1",
            "::10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:a9fe:a9fe",
            "::ffff:0:0",
            "0:0:0:0:0:ffff:7f00:1",
            "::ffff:0:127.0.0.1",
            "::ffff:0:192.168.1.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::1",
            "64:ff9b:1:abcd::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:0:7f00:1::1",
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:101::",
            "2a00:1450::5efe:127.0.0.1",
            "2a00:1450::200:5efe:10.0.0.1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00::1",
            "fd12:3456:789a::1",
            "fe80::1",
            "fe80::5efe:10.0.0.1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(!allows(&rules, address), "{address}");
        }
    }

    #[test]
    fn the_public_internet_is_open() {
        let rules = AddressRules::new(&FederationConfig::default());
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001:800::200e",
            "2002:808:808::1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
        ] {
            assert!(allows(&rules, address), "{address}");
        }
    }

    #[test]
    fn exceptions_hold_for_every_spelling_that_the_system_treats_alike() {
        let rules = AddressRules::new(&FederationConfig {
            allowed_addresses: vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            ..FederationConfig::default()
        });
        assert!(allows(&rules, "127.0.0.1") && allows(&rules, "::ffff:127.0.0.1"));
        assert!(allows(&rules, "fd00::1"));
        assert!(
            !allows(&rules, "10.0.0.1") && !allows(&rules, "::1") && !allows(&rules, "fc00::1")
        );
    }
}
