//! Connections: from the name in an address to an encrypted stream. Every address has been judged before, and the connection goes to that address.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::SharedRandom;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ruma::ServerName;
use rustls::pki_types;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::dns::Dns;
use super::proxy::Proxy;
use super::targets::{self, Machine, NoAddress};
use crate::addresses::AddressRules;
use crate::error::chain;

/// How long one address is given before the next one is tried as well.
const STAGGER: Duration = Duration::from_millis(300);
/// The port of web servers.
const WEB: u16 = 443;

/// What connections need to know.
pub(crate) struct Ways {
    pub(crate) dns: Arc<dyn Dns>,
    pub(crate) rules: AddressRules,
    pub(crate) random: SharedRandom,
    pub(crate) tls: TlsConnector,
    pub(crate) proxy: Option<Proxy>,
    /// How long one address may take.
    pub(crate) patience: Duration,
}

/// What the name in an address stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A homeserver: SRV records count, and the usual port is 8448.
    Homeserver,
    /// A web server.
    Web,
}

/// Makes connections for the HTTP client.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) ways: Arc<Ways>,
    pub(crate) kind: Kind,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The name leads only where we may not go.
    Denied(IpAddr),
    /// Everything else, in a sentence.
    Nowhere(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(address) => write!(f, "{address} may not be connected to"),
            Self::Nowhere(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}

impl From<NoAddress> for Failure {
    fn from(none: NoAddress) -> Self {
        match none {
            NoAddress::Denied(address) => Self::Denied(address),
            NoAddress::Nowhere(why) => Self::Nowhere(why),
        }
    }
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<Link, Failure> {
        let nowhere = || Failure::Nowhere(format!("{uri} leads to no server"));
        if uri.scheme_str() != Some("https") {
            return Err(nowhere());
        }
        let authority = uri.authority().ok_or_else(nowhere)?.as_str();
        let name = ServerName::parse(authority).map_err(|_| nowhere())?;
        let ways = &self.ways;
        let machines = match self.kind {
            Kind::Homeserver => {
                targets::machines(&*ways.dns, &*ways.random, &name, &mut Vec::new()).await?
            }
            Kind::Web => vec![Machine {
                host: name.host().to_owned(),
                port: name.port().unwrap_or(WEB),
            }],
        };
        let mut failure = nowhere();
        for machine in &machines {
            match ways.reach(name.host(), machine).await {
                Ok(link) => return Ok(link),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Ways {
    /// An encrypted connection to a machine that proves to be `host`.
    async fn reach(&self, host: &str, machine: &Machine) -> Result<Link, Failure> {
        let addresses =
            targets::addresses(&*self.dns, &self.rules, machine, &mut Vec::new()).await?;
        let (address, stream) = self.race(addresses).await?;
        self.encrypt(host, address, stream)
            .await
            .map_err(Failure::Nowhere)
    }

    /// The first of several addresses that answers. Each gets a head start before the next one.
    async fn race(&self, addresses: Vec<SocketAddr>) -> Result<(SocketAddr, TcpStream), Failure> {
        let mut waiting = addresses.into_iter();
        let mut running = FuturesUnordered::new();
        let mut failures = Vec::new();
        loop {
            match waiting.next() {
                Some(address) => running.push(async move { (address, self.dial(address).await) }),
                None if running.is_empty() => return Err(Failure::Nowhere(failures.join("; "))),
                None => {}
            }
            tokio::select! {
                Some((address, dialled)) = running.next() => match dialled {
                    Ok(stream) => return Ok((address, stream)),
                    Err(why) => failures.push(why),
                },
                () = tokio::time::sleep(STAGGER), if waiting.len() > 0 => {}
            }
        }
    }

    /// A connection to an address, or in a sentence why there is none.
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<TcpStream, String> {
        let connecting = async {
            let stream = match &self.proxy {
                Some(proxy) => proxy.connect(address).await?,
                None => TcpStream::connect(address).await?,
            };
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        match timeout(self.patience, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(refused(address, &error)),
            Err(_) => Err(format!(
                "{address} did not answer within {} s",
                self.patience.as_secs()
            )),
        }
    }

    /// Encrypts a connection, once the other side has proved to be `host`.
    pub(crate) async fn encrypt(
        &self,
        host: &str,
        address: SocketAddr,
        stream: TcpStream,
    ) -> Result<Link, String> {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let name = pki_types::ServerName::try_from(bare.to_owned())
            .map_err(|_| format!("{host} is no name that a certificate could be for"))?;
        let handshake = self.tls.connect(name, stream);
        match timeout(self.patience, handshake).await {
            Ok(Ok(stream)) => Ok(Link::new(stream)),
            Ok(Err(error)) => Err(format!(
                "{address} could not be spoken to as {host}: {}",
                chain(&error)
            )),
            Err(_) => Err(format!(
                "{address} did not encrypt the connection within {} s",
                self.patience.as_secs()
            )),
        }
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    format!("{address} cannot be connected to: {}", chain(error))
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Link, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// An encrypted connection.
pub(crate) struct Link {
    stream: TokioIo<TlsStream<TcpStream>>,
    http2: bool,
}

impl Link {
    fn new(stream: TlsStream<TcpStream>) -> Self {
        let (_, session) = stream.get_ref();
        let http2 = session.alpn_protocol() == Some(b"h2");
        Self {
            stream: TokioIo::new(stream),
            http2,
        }
    }

    /// Whether both sides agreed on HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.http2
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.http2 {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
