//! The network in earnest, on this machine's own addresses: a domain name system that says what a test wants, and servers that behave as badly.

mod finding;
mod hostile;
mod proxies;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use base::{OsRandom, SystemClock};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::dns::{DnsError, Service};
use super::*;
use crate::{Ask, Needs, Patience, Peers};

/// A domain name system of what a test says.
#[derive(Default)]
struct FakeDns {
    addresses: Mutex<HashMap<String, Vec<IpAddr>>>,
    services: Mutex<HashMap<String, Vec<Service>>>,
    /// Whether what is not known is a failure.
    fails: bool,
}

impl FakeDns {
    fn name(self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        self.addresses
            .lock()
            .unwrap()
            .insert(name.to_owned(), addresses.collect());
        self
    }

    fn service(self, name: &str, target: &str, (priority, weight, port): (u16, u16, u16)) -> Self {
        let service = Service {
            priority,
            weight,
            port,
            target: target.to_owned(),
        };
        self.services
            .lock()
            .unwrap()
            .entry(name.to_owned())
            .or_default()
            .push(service);
        self
    }

    fn missing(&self) -> DnsError {
        if self.fails {
            DnsError::Failed("SERVFAIL".to_owned())
        } else {
            DnsError::Nothing
        }
    }
}

impl Dns for FakeDns {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        let found = self.addresses.lock().unwrap().get(host).cloned();
        let found = found.ok_or_else(|| self.missing());
        Box::pin(async move { found })
    }

    fn services<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Service>, DnsError>> {
        let found = self.services.lock().unwrap().get(name).cloned();
        let found = found.ok_or_else(|| self.missing());
        Box::pin(async move { found })
    }
}

/// A certificate for the names that tests use, and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    /// Where the certificate lies, to be trusted.
    file: PathBuf,
    _home: tempfile::TempDir,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let names = ["good.example", "other.example", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("root.pem");
        std::fs::write(&file, made.cert.pem()).unwrap();
        Identity {
            certificate: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
            file,
            _home: home,
        }
    })
}

/// A configuration that trusts the tests' certificate and lets this machine be connected to.
fn config() -> FederationConfig {
    FederationConfig {
        extra_root_certificates: vec![identity().file.clone()],
        allowed_addresses: vec!["127.0.0.0/8".parse().unwrap()],
        notaries: Vec::new(),
        ..FederationConfig::default()
    }
}

fn real(config: &FederationConfig, dns: FakeDns) -> Real {
    Real::over(
        config,
        Arc::new(dns),
        SystemClock::shared(),
        OsRandom::shared(),
    )
    .unwrap()
}

fn peers(config: FederationConfig, dns: FakeDns) -> Peers {
    let network = crate::loopback::Network::new();
    let us = ruma::server_name!("us.example");
    Peers::new(Needs {
        transport: Arc::new(real(&config, dns)),
        config,
        ..Needs::for_tests(us, &network)
    })
    .unwrap()
}

fn good_example() -> FakeDns {
    FakeDns::default().name("good.example", &["127.0.0.1"])
}

type Tls = tokio_rustls::server::TlsStream<TcpStream>;

/// A TLS server that does with each connection what `serve` says. Counts connections.
struct Listening {
    port: u16,
    accepted: Arc<AtomicUsize>,
}

impl Listening {
    fn name(&self) -> OwnedServerName {
        ServerName::parse(format!("good.example:{}", self.port)).unwrap()
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn listen<F, Fut>(protocols: &[&str], serve: F) -> Listening
where
    F: Fn(Tls) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let identity = identity();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![identity.certificate.clone()],
            PrivateKeyDer::try_from(identity.key.clone()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    listen_plain(move |stream| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream).await;
            }
        }
    })
    .await
}

#[expect(clippy::disallowed_methods, reason = "servers of a test end with it")]
async fn listen_plain<F, Fut>(serve: F) -> Listening
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = accepted.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream));
        }
    });
    Listening { port, accepted }
}

/// Reads the head of a request of HTTP/1.1.
async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Answers the first request of a connection with these bytes and hangs up.
async fn answering(protocols: &[&str], answer: impl Into<String>) -> Listening {
    let answer: Arc<str> = answer.into().into();
    listen(protocols, move |mut stream| {
        let answer = answer.clone();
        async move {
            head(&mut stream).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn ask() -> Ask {
    Ask::get("/_matrix/federation/v1/x?y=z").insisting()
}
