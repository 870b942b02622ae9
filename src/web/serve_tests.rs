//! Listeners, over real sockets.

#![expect(
    clippy::disallowed_methods,
    reason = "the clients of these tests are tasks"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, put};
use base::config::{ListenConfig, TlsConfig};
use base::{ManualClock, Supervisor};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

use crate::Listeners;

struct Running {
    supervisor: Supervisor,
    addresses: Vec<SocketAddr>,
    entered: Arc<Notify>,
    leave: Arc<Notify>,
}

fn anywhere() -> Vec<SocketAddr> {
    vec![SocketAddr::from(([127, 0, 0, 1], 0))]
}

async fn run(listen: ListenConfig, tls: TlsConfig) -> Running {
    let supervisor = Supervisor::new(ManualClock::plausible().shared());
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, out) = (Arc::clone(&entered), Arc::clone(&leave));
    let slow = move || async move {
        inside.notify_one();
        out.notified().await;
        "done"
    };
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/slow", get(slow))
        .route("/deaf", put(|| async { "no, thank you" }));
    let listeners = Listeners::bind(&listen, &tls).await.unwrap();
    let addresses = listeners.addresses();
    listeners.serve(&router, &supervisor);
    Running {
        supervisor,
        addresses,
        entered,
        leave,
    }
}

async fn plain() -> Running {
    run(
        ListenConfig {
            addresses: anywhere(),
            ..ListenConfig::default()
        },
        TlsConfig::default(),
    )
    .await
}

/// Everything that is answered until the connection closes.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const ASK: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn plain_and_tls_and_unix() {
    let home = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let socket = home.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let listen = ListenConfig {
        addresses: anywhere(),
        unix_socket: Some(socket.clone()),
        ..ListenConfig::default()
    };
    let tls = TlsConfig {
        addresses: anywhere(),
        certificate: Some(certificate),
        key: Some(key),
    };
    let running = run(listen, tls).await;

    let answer = say(TcpStream::connect(running.addresses[0]).await.unwrap(), ASK).await;
    assert!(answer.ends_with("hello"), "{answer}");
    let answer = say(UnixStream::connect(&socket).await.unwrap(), ASK).await;
    assert!(answer.ends_with("hello"), "{answer}");

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(running.addresses[1]).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await
        .unwrap();
    let answer = say(stream, ASK).await;
    assert!(answer.ends_with("hello"), "{answer}");

    assert!(running.supervisor.shutdown(Duration::from_secs(5)).await);
    assert!(!socket.exists(), "the socket is tidied away");
}

#[tokio::test]
async fn stopping_answers_what_is_under_way_and_closes_what_rests() {
    let running = plain().await;
    let idle = TcpStream::connect(running.addresses[0]).await.unwrap();
    let stream = TcpStream::connect(running.addresses[0]).await.unwrap();
    let asking = tokio::spawn(say(stream, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"));
    running.entered.notified().await;
    running.supervisor.stop();
    running.leave.notify_one();
    assert!(running.supervisor.shutdown(Duration::from_secs(5)).await);
    let answer = asking.await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(say(idle, "").await, "");
    assert!(TcpStream::connect(running.addresses[0]).await.is_err());
}

#[tokio::test]
async fn there_are_only_so_many_connections_per_address() {
    let listen = ListenConfig {
        addresses: anywhere(),
        connections_per_address: 2,
        ..ListenConfig::default()
    };
    let running = run(listen, TlsConfig::default()).await;
    let connect = || async { TcpStream::connect(running.addresses[0]).await.unwrap() };
    let (first, second) = (connect().await, connect().await);
    assert_eq!(say(connect().await, ASK).await, "", "one too many");
    assert!(say(first, ASK).await.ends_with("hello"));
    assert!(say(second, ASK).await.ends_with("hello"));
    // The server notices the end of a connection on its own time.
    for _ in 0..1000 {
        if say(connect().await, ASK).await.ends_with("hello") {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("places are not given back");
}

#[tokio::test]
async fn smuggled_requests_are_refused() {
    let running = plain().await;
    for head in [
        "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "GET / HTTP/1.1\r\nhost: x\r\nfoo\rbar: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nfoo : x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n foo: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\0\r\n\r\n",
    ] {
        let stream = TcpStream::connect(running.addresses[0]).await.unwrap();
        let answer = say(stream, head).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{head:?}: {answer}"
        );
    }
    // With two lengths the safer one counts, and nothing after it is taken for another request.
    let both = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = say(
        TcpStream::connect(running.addresses[0]).await.unwrap(),
        both,
    )
    .await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    let long = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nfoo: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let answer = say(
        TcpStream::connect(running.addresses[0]).await.unwrap(),
        &long,
    )
    .await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let running = plain().await;
    let listen = ListenConfig {
        addresses: running.addresses.clone(),
        ..ListenConfig::default()
    };
    let Err(error) = Listeners::bind(&listen, &TlsConfig::default()).await else {
        panic!("bound twice")
    };
    let sentence = error.to_string();
    assert!(
        sentence.contains(&running.addresses[0].to_string()),
        "{sentence}"
    );
    assert!(sentence.contains("another server"), "{sentence}");
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_spoil_the_connection() {
    let running = plain().await;
    for head in ["GET /", "PUT /deaf", "POST /nowhere", "DELETE /deaf"] {
        let stream = TcpStream::connect(running.addresses[0]).await.unwrap();
        let body = "x".repeat(100_000);
        let text = format!(
            "{head} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}{ASK}",
            body.len()
        );
        let answer = say(stream, &text).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{head}: {answer}");
        assert!(answer.ends_with("hello"), "{head}: {answer}");
    }
}

#[tokio::test]
async fn before_a_large_body_that_nobody_reads_the_connection_is_closed_openly() {
    let running = plain().await;
    let mut stream = TcpStream::connect(running.addresses[0]).await.unwrap();
    let head = "PUT /deaf HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("no, thank you"), "{answer}");
}
