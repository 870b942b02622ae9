//! Servers that behave badly cost a bounded time and a bounded amount of memory, and are told apart from good ones.

use std::time::Duration;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;

use super::super::well_known::BYTES;
use super::*;

/// As little patience as still lets a server on this machine answer.
fn short() -> Ask {
    ask().patience(
        Patience::quick()
            .time(Duration::from_millis(700))
            .bytes(10_000),
    )
}

async fn outcome(server: &Listening, ask: Ask) -> Result<Bytes> {
    peers(config(), good_example())
        .ask(&server.name(), ask)
        .await
}

/// Sends a head and then the same bytes for ever.
async fn endless(head_of_answer: &'static str, again: &'static str) -> Listening {
    listen(&[], move |mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(head_of_answer.as_bytes()).await;
        while stream.write_all(again.as_bytes()).await.is_ok() {}
    })
    .await
}

#[tokio::test]
async fn a_good_server_is_understood_in_either_version_of_http() {
    for protocols in [&["h2"][..], &["http/1.1"], &["h2", "http/1.1"], &[]] {
        let server = listen(protocols, |stream| async move {
            let echo = service_fn(|request: Request<Incoming>| async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let host = head.uri.authority().map(ToString::to_string);
                let host =
                    host.or_else(|| Some(head.headers.get("host")?.to_str().unwrap().to_owned()));
                let told = format!(
                    "{} {} {} {}",
                    head.method,
                    host.unwrap(),
                    head.uri.path_and_query().unwrap(),
                    body.len()
                );
                assert!(
                    head.headers["authorization"]
                        .to_str()
                        .unwrap()
                        .starts_with("X-Matrix origin=")
                );
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(told))))
            });
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), echo)
                .await;
        })
        .await;
        let peers = peers(config(), good_example());
        let name = server.name();
        let got = peers.ask(&name, ask()).await.unwrap();
        assert_eq!(got, format!("GET {name} /_matrix/federation/v1/x?y=z 0"));
        let body = format!("\"{}\"", "x".repeat(1_000_000));
        let put = Ask::put("/_matrix/x", body);
        assert_eq!(
            peers.ask(&name, put).await.unwrap(),
            format!("PUT {name} /_matrix/x 1000002")
        );
        assert_eq!(server.accepted(), 1, "the connection is used again");
    }
}

#[tokio::test]
async fn what_never_ends_is_given_up() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let server = endless(chunked, "5\r\nhello\r\n").await;
    assert!(matches!(
        outcome(&server, short()).await,
        Err(Error::TooLarge { .. })
    ));
    let server = endless(
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "hello",
    )
    .await;
    assert!(matches!(
        outcome(&server, short()).await,
        Err(Error::TooLarge { .. })
    ));
    let server = endless(
        "HTTP/1.1 500 Oh\r\nContent-Length: 99999999999\r\n\r\n",
        "hello",
    )
    .await;
    assert!(matches!(
        outcome(&server, ask()).await,
        Err(Error::Answered { status: 500, .. })
    ));
    let server = endless("HTTP/1.1 200 OK\r\n", "X: y\r\n").await;
    assert!(matches!(
        outcome(&server, short()).await,
        Err(Error::Unreachable { .. })
    ));
    let server = endless("", "HTTP/1.1 103 Early Hints\r\n\r\n").await;
    assert!(outcome(&server, short()).await.is_err());
}

#[tokio::test]
async fn silence_and_dripping_are_given_up() {
    let silent = listen(&[], |mut stream| async move {
        head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    assert!(matches!(
        outcome(&silent, short()).await,
        Err(Error::TimedOut { .. })
    ));
    for start in ["", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"] {
        let dripping = listen(&[], move |mut stream| async move {
            head(&mut stream).await;
            let _ = stream.write_all(start.as_bytes()).await;
            for byte in std::iter::repeat(b"H") {
                let sent = stream.write_all(byte).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                if sent.is_err() {
                    return;
                }
            }
        })
        .await;
        assert!(matches!(
            outcome(&dripping, short()).await,
            Err(Error::TimedOut { .. })
        ));
    }
    let deaf = listen_plain(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    assert!(matches!(
        outcome(&deaf, short()).await,
        Err(Error::TimedOut { .. })
    ));
}

#[tokio::test]
async fn what_breaks_off_or_is_no_http_is_no_answer() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/9.9 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "\0\0\0\0",
    ] {
        let server = answering(&[], answer).await;
        let outcome = outcome(&server, short()).await;
        assert!(
            matches!(outcome, Err(Error::Unreachable { .. })),
            "{answer:?}: {outcome:?}"
        );
    }
    // Agreed on HTTP/2, and then speaks something else.
    let server = answering(&["h2"], ok("{}")).await;
    assert!(outcome(&server, short()).await.is_err());
}

#[tokio::test]
async fn redirections_are_no_answers() {
    let elsewhere = answering(&[], ok("{}")).await;
    let server = answering(
        &[],
        format!(
            "HTTP/1.1 302 Found\r\nLocation: https://good.example:{}/\r\nContent-Length: 0\r\n\r\n",
            elsewhere.port
        ),
    )
    .await;
    assert!(matches!(
        outcome(&server, ask()).await,
        Err(Error::Answered { status: 302, .. })
    ));
    assert_eq!(
        elsewhere.accepted(),
        0,
        "a signed request goes to nobody else"
    );
}

#[tokio::test]
async fn whoever_cannot_prove_who_it_is_gets_no_request() {
    let server = listen(&[], |mut stream| async move {
        assert_eq!(head(&mut stream).await, "", "nothing was sent");
    })
    .await;
    let stranger = FakeDns::default().name("stranger.example", &["127.0.0.1"]);
    let name = ServerName::parse(format!("stranger.example:{}", server.port)).unwrap();
    let error = peers(config(), stranger)
        .ask(&name, short())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("stranger.example")
            && matches!(error, Error::Unreachable { .. }),
        "{error}"
    );
    let distrustful = FederationConfig {
        extra_root_certificates: Vec::new(),
        ..config()
    };
    let error = peers(distrustful, good_example())
        .ask(&server.name(), short())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let plain = listen_plain(|mut stream| async move {
        let _ = stream.write_all(ok("{}").as_bytes()).await;
    })
    .await;
    assert!(matches!(
        outcome(&plain, short()).await,
        Err(Error::Unreachable { .. })
    ));
}

#[tokio::test]
async fn a_dead_address_does_not_hide_a_living_one() {
    let server = answering(&[], ok("{}")).await;
    let dns = FakeDns::default().name("good.example", &["127.0.0.2", "127.0.0.3", "127.0.0.1"]);
    // Only the last of the three addresses is listened on.
    peers(config(), dns)
        .ask(&server.name(), ask())
        .await
        .unwrap();
}

#[tokio::test]
async fn one_server_gets_few_connections() {
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let server = listen(&["http/1.1"], |mut stream| async move {
        let open = OPEN.fetch_add(1, Ordering::SeqCst) + 1;
        MOST.fetch_max(open, Ordering::SeqCst);
        head(&mut stream).await;
        tokio::task::yield_now().await;
        let _ = stream
            .write_all(
                ok("{}")
                    .replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await;
        OPEN.fetch_sub(1, Ordering::SeqCst);
        let _ = stream.shutdown().await;
    })
    .await;
    let (peers, name) = (peers(config(), good_example()), server.name());
    let asks = (0..100).map(|_| peers.ask(&name, ask()));
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.unwrap(), "{}");
    }
    let most = MOST.load(Ordering::SeqCst);
    assert!(most <= AT_ONCE, "{most} connections at once");
}

#[tokio::test]
async fn well_known_files_are_fetched_within_bounds() {
    let fetch = async |server: &Listening| {
        let real = real(&config(), good_example());
        real.fetch.fetch(server.name().as_str()).await
    };
    let good = answering(
        &[],
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\nContent-Length: 2\r\n\r\n{}",
    )
    .await;
    let fetched = fetch(&good).await.unwrap();
    assert_eq!((fetched.status, &*fetched.body), (200, &b"{}"[..]));
    assert_eq!(fetched.cache_control.as_deref(), Some("max-age=5"));
    let largest = answering(&[], ok(&" ".repeat(BYTES))).await;
    assert!(fetch(&largest).await.is_ok());
    let too_large = answering(&[], ok(&" ".repeat(BYTES + 1))).await;
    assert!(
        fetch(&too_large)
            .await
            .unwrap_err()
            .contains("longer than 50 KiB")
    );
    let found =
        |to: &str| format!("HTTP/1.1 301 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let around = answering(&[], found("/.well-known/matrix/server")).await;
    assert!(
        fetch(&around)
            .await
            .unwrap_err()
            .contains("redirects more than 5 times")
    );
    assert_eq!(around.accepted(), 6);
    let onwards = answering(
        &[],
        found(&format!("https://good.example:{}/x#y", good.port)),
    )
    .await;
    assert_eq!(fetch(&onwards).await.unwrap().status, 200);
    let back = answering(&[], found("http://good.example/")).await;
    assert!(
        fetch(&back)
            .await
            .unwrap_err()
            .contains("something else than a web page")
    );
    for place in [
        "https://10.0.0.1/",
        "https://0x0a000001/",
        "https://167772161/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::1]/",
    ] {
        let inside = answering(&[], found(place)).await;
        let why = fetch(&inside).await.unwrap_err();
        assert!(why.contains("may not be connected to"), "{place}: {why}");
    }
}

#[tokio::test]
async fn roots_that_are_none_are_named() {
    for (name, content) in [
        ("missing.pem", None),
        ("empty.pem", Some("")),
        (
            "words.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ),
    ] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let config = FederationConfig {
            extra_root_certificates: vec![path],
            ..config()
        };
        let error = Real::new(&config, SystemClock::shared(), OsRandom::shared())
            .map(|_| ())
            .unwrap_err();
        let sentence = error.to_string();
        assert!(
            sentence.starts_with("federation.extra_root_certificates cannot be used: ")
                && sentence.contains(name),
            "{sentence}"
        );
    }
}
