//! A request to a push gateway. Where it may go is decided by the addresses that its name leads to, when the connection is made: users choose these URLs, and
//! none of them may reach a machine that only this server can reach.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base::config::FederationConfig;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};
use serde::Deserialize;

use super::notification::Notification;
use crate::error::{Error, Result};

/// How long a request may take in all.
const TIME: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read.
const ANSWER: usize = 64 * 1024;
/// The path that a pusher's URL must have.
const PATH: &str = "/_matrix/push/v1/notify";

/// The way to push gateways.
pub(super) struct Gateway {
    client: Client,
    guard: Arc<Guard>,
}

/// Which addresses may be connected to.
struct Guard {
    denied: Vec<IpNet>,
    allowed: Vec<IpNet>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    rejected: Vec<String>,
}

impl Gateway {
    pub(super) fn new(config: &FederationConfig) -> Result<Self> {
        let guard = Arc::new(Guard {
            denied: config.denied_addresses.clone(),
            allowed: config.allowed_addresses.clone(),
        });
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(TIME)
            .connect_timeout(config.connect_time.duration())
            .dns_resolver(Arc::new(Guarded(guard.clone())));
        for path in &config.extra_root_certificates {
            let unreadable = |error: &dyn std::fmt::Display| {
                Error::Configuration(format!("{}: {error}", path.display()))
            };
            let pem = std::fs::read(path).map_err(|error| unreadable(&error))?;
            let found = Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(&error))?;
            for certificate in found {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder
            .build()
            .map_err(|error| Error::Configuration(error.to_string()))?;
        Ok(Self { client, guard })
    }

    /// Tells a gateway, and gives the push keys that it does not want to hear of again.
    pub(super) async fn tell(&self, notification: &Notification) -> Result<Vec<String>> {
        let url = self.judged(&notification.url)?;
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(notification.body.clone());
        let failed = |error: reqwest::Error| Error::Gateway(said(&error));
        let mut answer = request.send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(Error::Gateway(format!("it answered {}", answer.status())));
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > ANSWER {
                return Err(Error::Gateway("its answer is too long".to_owned()));
            }
            body.extend_from_slice(&piece);
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| Error::Gateway(format!("its answer makes no sense: {error}")))?;
        Ok(answer.rejected)
    }

    /// A URL that may be asked, as far as that can be said before its name is looked up.
    fn judged(&self, url: &str) -> Result<Url> {
        let refused = |why: &str| Error::Gateway(format!("{url} {why}"));
        let parsed = Url::parse(url).map_err(|_| refused("is no URL"))?;
        if parsed.path() != PATH {
            return Err(refused("does not end in /_matrix/push/v1/notify"));
        }
        let host = parsed.host_str().ok_or_else(|| refused("names no host"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = bare.parse().ok();
        if address.is_some_and(|address| !self.guard.permits(address)) {
            return Err(refused("leads to an address that may not be connected to"));
        }
        // Without encryption only to machines that the operator has named.
        let is_plain = parsed.scheme() == "http";
        let is_own = address.is_some_and(|address| self.guard.names(address));
        if parsed.scheme() == "https" || (is_plain && is_own) {
            Ok(parsed)
        } else {
            Err(refused("is not https"))
        }
    }
}

impl Guard {
    fn permits(&self, address: IpAddr) -> bool {
        self.names(address) || {
            let meant = meant(address);
            !self.denied.iter().any(|network| network.contains(&meant))
                && !self.denied.iter().any(|network| network.contains(&address))
        }
    }

    /// Whether the operator has named the address as one that may be connected to.
    fn names(&self, address: IpAddr) -> bool {
        let meant = meant(address);
        self.allowed.iter().any(|network| network.contains(&meant))
    }
}

/// The IPv4 address that an IPv6 address stands for, if it stands for one: mapped, translated (NAT64) or tunnelled (6to4).
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    if let Some(four) = six.to_ipv4_mapped() {
        return IpAddr::V4(four);
    }
    match six.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => four(high, low),
        _ => IpAddr::V6(six),
    }
}

fn four(high: u16, low: u16) -> IpAddr {
    let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// Looks names up, and leaves out where they may not lead.
struct Guarded(Arc<Guard>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<SocketAddr> = found
                .filter(|address| guard.permits(address.ip()))
                .collect();
            if permitted.is_empty() {
                let why = format!("{} leads nowhere that may be connected to", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
            }
            let addresses: Addrs = Box::new(permitted.into_iter());
            Ok(addresses)
        })
    }
}

/// An error and everything that caused it, without the URL, which may hold a secret of the user's.
fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(allowed: &[&str]) -> Gateway {
        let allowed_addresses = allowed.iter().map(|net| net.parse().unwrap()).collect();
        Gateway::new(&FederationConfig {
            allowed_addresses,
            ..FederationConfig::default()
        })
        .unwrap()
    }

    #[test]
    fn only_public_gateways_over_https_are_told() {
        let (strict, lenient) = (gateway(&[]), gateway(&["127.0.0.0/8"]));
        let asks = |gateway: &Gateway, host: &str| {
            gateway
                .judged(&format!("{host}/_matrix/push/v1/notify"))
                .is_ok()
        };
        assert!(asks(&strict, "https://push.example"));
        assert!(asks(&strict, "https://8.8.8.8:8443"));
        assert!(!asks(&strict, "http://push.example"));
        assert!(!asks(&strict, "ftp://push.example"));
        for host in [
            "127.0.0.1",
            "169.254.169.254",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "0x7f000001",
        ] {
            assert!(!asks(&strict, &format!("https://{host}")), "{host}");
        }
        assert!(asks(&lenient, "http://127.0.0.1:9000"));
        assert!(!asks(&lenient, "https://10.0.0.1"));
        assert!(strict.judged("https://push.example/other").is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_denied_address_is_not_connected_to() {
        let name: Name = "localhost".parse().unwrap();
        let guarded = Guarded(gateway(&[]).guard);
        assert!(guarded.resolve(name).await.is_err());
    }
}
