//! The `[listen]` section.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::units::{list, shown};

/// Where the server listens, in plain HTTP: behind a reverse proxy, or for trying it out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenConfig {
    /// Addresses and ports. `"0.0.0.0:8008"` and `"[::]:8008"` mean every address of the machine; an empty list, none.
    #[serde(deserialize_with = "list")]
    pub addresses: Vec<SocketAddr>,
    /// A Unix socket to listen on as well.
    ///
    /// Example: `"/run/myelin/myelin.sock"`
    pub unix_socket: Option<PathBuf>,
    /// Reverse proxies whose `X-Forwarded-For` header is believed. Without it, everybody behind a proxy shares the proxy's rate limits. A proxy on the
    /// same machine is `["127.0.0.1/32", "::1/128"]`; what comes through the Unix socket is believed always.
    #[serde(deserialize_with = "list", serialize_with = "shown")]
    pub trusted_proxies: Vec<IpNet>,
    /// How many connections may be open at once.
    pub connections: usize,
    /// How many of them may come from one address (IPv6: from one /64 network). Does not concern trusted proxies.
    pub connections_per_address: usize,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8008))],
            unix_socket: None,
            trusted_proxies: Vec::new(),
            connections: 32_768,
            connections_per_address: 4_096,
        }
    }
}
