//! The network in earnest: finding a server (server-server API, *Server discovery*), connecting with TLS, speaking HTTP.
//!
//! `well_known.rs` says under which name a server is reached, `targets.rs` which machines that is, `dns.rs` looks names up, `connect.rs` connects. What is
//! sent and how long an answer may take is the business of whoever asks.

mod connect;
mod dns;
mod proxy;
mod targets;
#[cfg(test)]
mod tests;
mod tls;
mod web;
mod well_known;

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::config::FederationConfig;
use base::{SharedClock, SharedRandom};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;

use crate::addresses::AddressRules;
use crate::error::{Error, Result, chain};
use crate::trace::Step;
use crate::transport::{Body, Transport};
use connect::{Connector, Failure, Kind, Ways};
use dns::{Dns, SystemDns};
use proxy::Proxy;
use web::Web;
use well_known::{Fetch, WellKnown};

/// How many requests to one server may be under way at once; further ones wait, and their patience runs meanwhile. Without HTTP/2, each needs a
/// connection.
const AT_ONCE: usize = 16;
/// For how many servers that is counted.
const COUNTED: usize = 10_000;
/// How many connections to one server are kept when nothing is to be said, and how long.
const IDLE: (usize, Duration) = (2, Duration::from_secs(60));
/// How long the head of an answer may be.
const HEAD_BYTES: u32 = 64 << 10;
/// How much of an answer may be on its way: of one, and of all over one connection. Large enough for a fast line to a distant server.
const WINDOW: (u32, u32) = (2 << 20, 8 << 20);
/// How often a silent connection is asked for a sign of life, and how long it has for it.
const SIGN_OF_LIFE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// The network.
pub struct Real {
    client: Client<Connector, Full<Bytes>>,
    fetch: Arc<dyn Fetch>,
    well_known: WellKnown,
    ways: Arc<Ways>,
    turns: Cache<OwnedServerName, Arc<Semaphore>>,
}

impl Real {
    /// The network as the configuration wants it to be used.
    ///
    /// # Errors
    /// If a certificate or the proxy of the configuration cannot be used.
    pub fn new(
        config: &FederationConfig,
        clock: SharedClock,
        random: SharedRandom,
    ) -> Result<Self> {
        Self::over(config, Arc::new(SystemDns::new()?), clock, random)
    }

    /// The network, ready to be handed around.
    #[must_use]
    pub fn shared(self) -> Arc<dyn Transport> {
        Arc::new(self)
    }

    fn over(
        config: &FederationConfig,
        dns: Arc<dyn Dns>,
        clock: SharedClock,
        random: SharedRandom,
    ) -> Result<Self> {
        let proxy = config.proxy.as_ref();
        let ways = Arc::new(Ways {
            dns,
            rules: AddressRules::new(config),
            random,
            tls: TlsConnector::from(tls::config(&config.extra_root_certificates)?),
            proxy: proxy
                .map(|proxy| Proxy::parse(proxy.expose()))
                .transpose()?,
            patience: config.connect_time.duration(),
        });
        let connector = Connector {
            ways: ways.clone(),
            kind: Kind::Homeserver,
        };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE.0)
            .pool_idle_timeout(IDLE.1)
            .http1_max_buf_size(HEAD_BYTES as usize)
            .http2_max_header_list_size(HEAD_BYTES)
            .http2_initial_stream_window_size(WINDOW.0)
            .http2_initial_connection_window_size(WINDOW.1)
            .http2_keep_alive_interval(SIGN_OF_LIFE.0)
            .http2_keep_alive_timeout(SIGN_OF_LIFE.1)
            .build(connector);
        Ok(Self {
            client,
            fetch: Arc::new(Web::new(ways.clone())),
            well_known: WellKnown::new(clock),
            ways,
            turns: Cache::new(COUNTED),
        })
    }

    /// The name under which a server is reached.
    async fn reached_as(&self, server: &ServerName) -> OwnedServerName {
        if !may_delegate(server) {
            return server.to_owned();
        }
        let found = self.well_known.look_up(&*self.fetch, server.host()).await;
        found.unwrap_or_else(|| server.to_owned())
    }

    async fn turn(&self, name: &ServerName) -> Option<OwnedSemaphorePermit> {
        let turns = match self.turns.get(name) {
            Some(turns) => turns,
            None => {
                let turns = Arc::new(Semaphore::new(AT_ONCE));
                self.turns.insert(name.to_owned(), turns.clone());
                turns
            }
        };
        // The semaphore is never closed.
        turns.acquire_owned().await.ok()
    }

    async fn deliver(
        &self,
        server: &ServerName,
        mut request: Request<Bytes>,
    ) -> Result<Response<Body>> {
        let name = self.reached_as(server).await;
        *request.uri_mut() = address(&name, request.uri()).map_err(|error| Error::Unreachable {
            server: server.to_owned(),
            why: error.to_string(),
        })?;
        let turn = self.turn(&name).await;
        match self.client.request(request.map(Full::new)).await {
            Ok(answer) => {
                let server = server.to_owned();
                Ok(answer.map(|body| read(server, body, turn)))
            }
            Err(error) => {
                if error.is_connect() {
                    self.well_known.doubt(server.host());
                }
                Err(failure(server, &error))
            }
        }
    }

    async fn explain_steps(&self, server: &ServerName) -> Vec<Step> {
        let mut trace = Vec::new();
        let mut name = server.to_owned();
        if may_delegate(server) {
            let found = self
                .well_known
                .look_up_now(&*self.fetch, server.host(), &mut trace)
                .await;
            name = found.unwrap_or(name);
        }
        let ways = &self.ways;
        let machines = targets::machines(&*ways.dns, &*ways.random, &name, &mut trace).await;
        for machine in machines.iter().flatten() {
            let found = targets::addresses(&*ways.dns, &ways.rules, machine, &mut trace).await;
            for address in found.into_iter().flatten() {
                trace.push(self.try_address(&name, address).await);
            }
        }
        trace
    }

    /// Connects to one address and hangs up.
    async fn try_address(&self, name: &ServerName, address: SocketAddr) -> Step {
        let connected = async {
            let stream = self.ways.dial(address).await?;
            self.ways.encrypt(name.host(), address, stream).await
        };
        match connected.await {
            Ok(link) => {
                let version = if link.is_http2() { "2" } else { "1.1" };
                Step::good(format!(
                    "{address} answers, with a good certificate for {} and HTTP/{version}.",
                    name.host()
                ))
            }
            Err(why) => Step::failed(format!("{why}.")),
        }
    }
}

/// Whether a name may lead elsewhere: not if it is an address or names a port.
fn may_delegate(server: &ServerName) -> bool {
    server.port().is_none() && targets::literal(server.host()).is_none()
}

/// The whole address of a request, whose own is a path only.
fn address(name: &ServerName, path: &Uri) -> Result<Uri, http::Error> {
    let path = path.path_and_query().cloned();
    Uri::builder()
        .scheme(Scheme::HTTPS)
        .authority(name.as_str())
        .path_and_query(path.unwrap_or(PathAndQuery::from_static("/")))
        .build()
}

/// The body of an answer; the request's turn ends with it.
fn read(server: OwnedServerName, body: Incoming, turn: Option<OwnedSemaphorePermit>) -> Body {
    let reading = (body, turn, server);
    Body::new(stream::unfold(reading, |(mut body, turn, server)| async {
        loop {
            let next = match body.frame().await? {
                Err(error) => Err(Error::Unreachable {
                    server: server.clone(),
                    why: format!("its answer broke off: {}", chain(&error)),
                }),
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    // Trailers say nothing to us.
                    Err(_) => continue,
                },
            };
            return Some((next, (body, turn, server)));
        }
    }))
}

/// Why a request failed, told from the innermost reason.
fn failure(server: &ServerName, error: &hyper_util::client::legacy::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<Failure>() {
            Some(Failure::Denied(address)) => {
                return Error::Denied {
                    server: server.to_owned(),
                    address: *address,
                };
            }
            Some(Failure::Nowhere(why)) => {
                return Error::Unreachable {
                    server: server.to_owned(),
                    why: why.clone(),
                };
            }
            None => cause = error.source(),
        }
    }
    Error::Unreachable {
        server: server.to_owned(),
        why: chain(error),
    }
}

impl Transport for Real {
    fn send<'a>(
        &'a self,
        server: &'a ServerName,
        request: Request<Bytes>,
    ) -> BoxFuture<'a, Result<Response<Body>>> {
        Box::pin(self.deliver(server, request))
    }

    fn explain<'a>(&'a self, server: &'a ServerName) -> BoxFuture<'a, Vec<Step>> {
        Box::pin(self.explain_steps(server))
    }
}
