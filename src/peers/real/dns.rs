//! Looking names up: the seam to the domain name system, and the resolver behind it (the system's configuration and hosts file, own cache).

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

use crate::error::{Error, Result};

/// How long a name server has to answer, each time it is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is asked.
const ATTEMPTS: usize = 2;
/// How many answers are kept. One costs one to four kilobytes.
const KEPT: u64 = 8_192;
/// An answer is kept at least this long, so that one request does not ask twice.
const KEPT_LEAST: Duration = Duration::from_secs(10);
/// And at most.
const KEPT_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is kept that there is no answer, at most.
const NOTHING_KEPT_MOST: Duration = Duration::from_secs(5 * 60);

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    /// The name of the machine, without the dot at its end; empty if the service is not offered.
    pub(crate) target: String,
}

/// Why a name led to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DnsError {
    /// There is no such record.
    Nothing,
    /// It could not be found out whether there is.
    Failed(String),
}

/// The domain name system.
pub(crate) trait Dns: Send + Sync + 'static {
    /// The addresses of a name, through all its aliases. Never an empty list.
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>>;
    /// The SRV records of a name, in any order. Never an empty list.
    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Service>, DnsError>>;
}

/// The system's name servers and its hosts file.
pub(crate) struct SystemDns {
    resolver: TokioResolver,
}

impl SystemDns {
    pub(crate) fn new() -> Result<Self> {
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            // As the system's own resolver does without a configuration.
            tracing::warn!(%error, "no name server is configured; one on this machine is tried");
            let local = NameServerConfig::udp_and_tcp(IpAddr::from([127, 0, 0, 1]));
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![local]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        });
        let options = builder.options_mut();
        options.timeout = PATIENCE;
        options.attempts = ATTEMPTS;
        options.use_hosts_file = ResolveHosts::Always;
        options.try_tcp_on_error = true;
        options.cache_size = KEPT;
        options.positive_min_ttl = Some(KEPT_LEAST);
        options.positive_max_ttl = Some(KEPT_MOST);
        options.negative_min_ttl = Some(KEPT_LEAST);
        options.negative_max_ttl = Some(NOTHING_KEPT_MOST);
        let resolver = builder.build().map_err(|error| Error::Configuration {
            key: "enabled",
            why: format!("names cannot be looked up: {error}"),
        })?;
        Ok(Self { resolver })
    }
}

/// A name with a dot at its end is whole: no search list is tried behind it.
fn whole(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn failure(error: &NetError) -> DnsError {
    if error.is_no_records_found() || error.is_nx_domain() {
        DnsError::Nothing
    } else {
        DnsError::Failed(error.to_string())
    }
}

impl Dns for SystemDns {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(async move {
            let found = self.resolver.lookup_ip(whole(host)).await;
            let found: Vec<IpAddr> = found.map_err(|error| failure(&error))?.iter().collect();
            if found.is_empty() {
                Err(DnsError::Nothing)
            } else {
                Ok(found)
            }
        })
    }

    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Service>, DnsError>> {
        Box::pin(async move {
            let found = self.resolver.srv_lookup(whole(name)).await;
            let found = found.map_err(|error| failure(&error))?;
            let services: Vec<Service> = found
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::SRV(service) => Some(Service {
                        priority: service.priority,
                        weight: service.weight,
                        port: service.port,
                        target: service.target.to_ascii().trim_end_matches('.').to_owned(),
                    }),
                    _ => None,
                })
                .collect();
            if services.is_empty() {
                Err(DnsError::Nothing)
            } else {
                Ok(services)
            }
        })
    }
}
