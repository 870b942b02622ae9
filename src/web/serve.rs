//! Listeners: plain and TLS ports and a Unix socket; how many connections there may be, and how they end.
//!
//! A connection is served in HTTP/1 or HTTP/2 as the client likes. When the server stops, no more are taken, idle ones are closed, and requests under
//! way are answered; waiting handlers see the same sign and answer early.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn;
use base::config::{ListenConfig, TlsConfig};
use base::{Supervisor, Tasks};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::leftover;
use crate::limits::{Peer, network};
use crate::patience::{Patience, Patient};
use crate::tls::{self, Certificate};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection without a request is kept open.
const IDLE: Duration = Duration::from_secs(75);
/// The largest head of a request.
const HEAD: usize = 64 << 10;
/// How long to wait when the system has no file descriptors left.
const BREATH: Duration = Duration::from_millis(100);

/// The server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be had.
    #[error("cannot listen on {address}: {error}{}", hint(error))]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {}: {error}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] tls::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (is another server running?)",
        io::ErrorKind::PermissionDenied => {
            " (ports below 1024 need a privilege, such as CAP_NET_BIND_SERVICE)"
        }
        _ => "",
    }
}

/// Listeners that hold their addresses, and take no connections yet.
pub struct Listeners {
    tcp: Vec<(TcpListener, Option<TlsAcceptor>)>,
    unix: Option<(UnixListener, PathBuf)>,
    certificate: Option<Certificate>,
    door: Arc<Door>,
}

impl Listeners {
    /// Takes the addresses.
    ///
    /// # Errors
    /// If one of them cannot be had, or the certificate cannot be used.
    pub async fn bind(listen: &ListenConfig, tls: &TlsConfig) -> Result<Self, Error> {
        let certificate = Certificate::read(tls)?;
        let mut tcp = Vec::new();
        for address in &listen.addresses {
            tcp.push((bind(*address).await?, None));
        }
        if let Some(certificate) = &certificate {
            let acceptor = TlsAcceptor::from(certificate.server_config()?);
            for address in &tls.addresses {
                tcp.push((bind(*address).await?, Some(acceptor.clone())));
            }
        }
        let unix = match &listen.unix_socket {
            Some(path) => Some((bind_unix(path, 0o660)?, path.clone())),
            None => None,
        };
        Ok(Self {
            tcp,
            unix,
            certificate,
            door: Arc::new(Door::new(listen)),
        })
    }

    /// A Unix socket that only the server's own user can open.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn private(path: &Path) -> Result<Self, Error> {
        let unix = Some((bind_unix(path, 0o600)?, path.to_owned()));
        let door = Arc::new(Door::new(&ListenConfig::default()));
        Ok(Self {
            tcp: Vec::new(),
            unix,
            certificate: None,
            door,
        })
    }

    /// The addresses, with the ports that the system chose where 0 was asked for: plain ones first.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp
            .iter()
            .filter_map(|(listener, _)| listener.local_addr().ok())
            .collect()
    }

    /// Begins to serve, until the supervisor stops.
    pub fn serve(self, router: &Router, supervisor: &Supervisor) {
        let tasks = supervisor.tasks();
        let router = router.clone().layer(from_fn(leftover::clear));
        if let Some(certificate) = &self.certificate {
            supervisor.start(certificate.reloader());
        }
        for (listener, acceptor) in self.tcp {
            let connections = Connections {
                router: router.clone(),
                door: Arc::clone(&self.door),
                tasks: tasks.clone(),
            };
            tasks.spawn("listener", connections.accept_tcp(listener, acceptor));
        }
        if let Some((listener, path)) = self.unix {
            let connections = Connections {
                router: router.clone(),
                door: Arc::clone(&self.door),
                tasks: tasks.clone(),
            };
            tasks.spawn("listener", connections.accept_unix(listener, path));
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Error::Address { address, error })
}

/// A socket left by a server that is no more is replaced; one that somebody answers on is not, and neither is a file.
fn bind_unix(path: &Path, mode: u32) -> Result<UnixListener, Error> {
    let failed = |error| Error::Socket {
        path: path.to_owned(),
        error,
    };
    let left = fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket());
    if left && std::os::unix::net::UnixStream::connect(path).is_err() {
        fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    Ok(listener)
}

/// Ends when the server is asked to stop, by SIGTERM or SIGINT.
///
/// # Errors
/// If the system does not let us listen for signals.
pub async fn asked_to_stop() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Who is let in.
struct Door {
    places: Arc<Semaphore>,
    per_address: usize,
    trusted: Vec<IpNet>,
    inside: Mutex<HashMap<IpAddr, usize>>,
}

/// A place inside, given back when the connection ends.
struct Place {
    door: Arc<Door>,
    counted: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

impl Door {
    fn new(listen: &ListenConfig) -> Self {
        let places = listen.connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            per_address: listen.connections_per_address,
            trusted: listen.trusted_proxies.clone(),
            inside: Mutex::default(),
        }
    }

    /// A place for the next connection, as soon as there is one. Nothing is accepted before, so that the rest waits in the system's queue.
    async fn place(self: &Arc<Self>) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Lets somebody in, unless there are too many of them inside.
    fn enter(self: &Arc<Self>, peer: Peer, permit: OwnedSemaphorePermit) -> Option<Place> {
        let counted = match peer {
            Peer::Unix => None,
            Peer::Address(address)
                if self
                    .trusted
                    .iter()
                    .any(|proxies| proxies.contains(&address)) =>
            {
                None
            }
            Peer::Address(address) => Some(network(address)),
        };
        if let Some(address) = counted {
            let mut inside = self.inside();
            let count = inside.entry(address).or_default();
            if *count >= self.per_address {
                return None;
            }
            *count += 1;
        }
        Some(Place {
            door: Arc::clone(self),
            counted,
            _permit: permit,
        })
    }

    fn inside(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.counted else { return };
        let mut inside = self.door.inside();
        if let Some(count) = inside.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&address);
            }
        }
    }
}

/// What every connection of a listener needs.
#[derive(Clone)]
struct Connections {
    router: Router,
    door: Arc<Door>,
    tasks: Tasks,
}

impl Connections {
    async fn accept_tcp(self, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
        while let Some(((stream, address), permit)) = self.next(|| listener.accept()).await {
            let peer = Peer::Address(address.ip().to_canonical());
            let Some(place) = self.door.enter(peer, permit) else {
                debug!(address = %address.ip(), "too many connections from one address");
                continue;
            };
            let connections = self.clone();
            self.tasks.spawn(
                "connection",
                connections.greet(stream, acceptor.clone(), peer, place),
            );
        }
    }

    async fn accept_unix(self, listener: UnixListener, path: PathBuf) {
        while let Some(((stream, _), permit)) = self.next(|| listener.accept()).await {
            let Some(place) = self.door.enter(Peer::Unix, permit) else {
                continue;
            };
            let connections = self.clone();
            self.tasks.spawn("connection", async move {
                connections.talk(stream, Peer::Unix, place).await;
            });
        }
        let _ = fs::remove_file(path);
    }

    /// The next connection and its place; nothing when the server stops.
    async fn next<T, F>(&self, accept: impl Fn() -> F) -> Option<(T, OwnedSemaphorePermit)>
    where
        F: Future<Output = io::Result<T>>,
    {
        let stopping = self.tasks.context();
        let permit = stopping.unless_stopping(self.door.place()).await??;
        loop {
            match stopping.unless_stopping(accept()).await? {
                Ok(accepted) => return Some((accepted, permit)),
                Err(error) if gave_up(&error) => {}
                Err(error) => {
                    warn!(%error, "cannot take a connection");
                    stopping.unless_stopping(tokio::time::sleep(BREATH)).await?;
                }
            }
        }
    }

    async fn greet(
        self,
        stream: TcpStream,
        acceptor: Option<TlsAcceptor>,
        peer: Peer,
        place: Place,
    ) {
        // Answers are written in one piece; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor else {
            return self.talk(stream, peer, place).await;
        };
        match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.talk(stream, peer, place).await,
            Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
            Err(_) => debug!("TLS handshake took too long"),
        }
    }

    async fn talk<S>(self, stream: S, peer: Peer, place: Place)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let patience = Patience::new();
        let io = TokioIo::new(Patient::new(stream, patience.clone()));
        let service = Visit {
            router: self.router,
            peer,
            patience,
        };
        let builder = builder();
        let connection = builder.serve_connection(io, service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.tasks.context().stopping() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "connection ended");
        }
        drop(place);
    }
}

/// Whether the other side went away before it was let in, which is no trouble of ours.
fn gave_up(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused
    )
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(200)
        .max_header_list_size(HEAD as u32)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(200)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// One connection's way into the router.
struct Visit {
    router: Router,
    peer: Peer,
    patience: Patience,
}

impl Service<http::Request<Incoming>> for Visit {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = crate::patience::Busy<axum::routing::future::RouteFuture<Infallible>>;

    fn call(&self, mut request: http::Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let answer = tower::Service::call(&mut self.router.clone(), request);
        self.patience.busy(answer)
    }
}
