//! The `[federation]` section.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::units::{Span, list, shown};
use crate::secret::Secret;

/// Other servers: whether and how they are reached, and whose word is taken for their keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct FederationConfig {
    /// Whether this server speaks with others at all. Without it, rooms are for the people of this server only.
    pub enabled: bool,
    /// Servers that are asked for the keys of servers that do not answer themselves, or no longer exist: without one, old rooms cannot be read.
    /// An empty list asks nobody.
    pub notaries: Vec<String>,
    /// Files with certificates, in PEM form, that may vouch for other servers besides those that the system trusts.
    ///
    /// Example: `["/etc/myelin/company-root.pem"]`
    pub extra_root_certificates: Vec<PathBuf>,
    /// Networks that are never connected to, whatever a name leads to. The default holds every network that is not the public internet, so that
    /// nobody can use this server to reach machines of yours. IPv6 addresses that carry an IPv4 address are judged by that one.
    #[serde(deserialize_with = "list", serialize_with = "shown")]
    pub denied_addresses: Vec<IpNet>,
    /// Exceptions from `denied_addresses`: your own networks, if servers there should be reached.
    ///
    /// Example: `["10.1.0.0/16"]`
    #[serde(deserialize_with = "list", serialize_with = "shown")]
    pub allowed_addresses: Vec<IpNet>,
    /// A proxy for all connections to other servers: `http://host:port` (CONNECT) or `socks5://host:port`, with `user:password@` if it wants them.
    /// The proxy itself may stand at any address; the servers' addresses are looked up here, and judged here.
    ///
    /// Example: `"http://proxy.example.org:3128"`
    pub proxy: Option<Secret>,
    /// How long a connection may take to be made, for each address that is tried.
    pub connect_time: Span,
    /// How long an ordinary question to another server may take in all.
    pub request_time: Span,
    /// Public keys, in Base64, that are never believed, whoever publishes them: keys whose secret half has leaked.
    ///
    /// Example: `["XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"]`
    pub refused_keys: Vec<String>,
    /// Keys that this server has signed with in the past, so that others go on believing what it said then. Each is written as
    /// `"ed25519:<version> <public key in Base64> <end of use in milliseconds since 1970>"`. Those that `myelin federation new-key` has put away
    /// are known without being named here.
    ///
    /// Example: `["ed25519:a_AbCd XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI 1760000000000"]`
    pub old_keys: Vec<String>,
}

impl Default for FederationConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            notaries: vec!["matrix.org".to_owned()],
            extra_root_certificates: Vec::new(),
            denied_addresses: NOT_PUBLIC
                .iter()
                .filter_map(|network| network.parse().ok())
                .collect(),
            allowed_addresses: Vec::new(),
            proxy: None,
            connect_time: Span::from_secs(10),
            request_time: Span::from_secs(30),
            refused_keys: Vec::new(),
            old_keys: Vec::new(),
        }
    }
}

/// What IANA's registries of special addresses say is not reached over the public internet.
const NOT_PUBLIC: [&str; 29] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "::ffff:0:0:0/96",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_of_the_default_is_one() {
        let config = FederationConfig::default();
        assert_eq!(config.denied_addresses.len(), NOT_PUBLIC.len());
    }
}
