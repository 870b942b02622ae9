//! Asking and being asked, between servers of a loopback network.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::ManualClock;
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response, StatusCode};
use ruma::server_name;

use super::*;
use crate::loopback::{Network, refusal};

async fn echo(request: Request<Bytes>) -> Response<Bytes> {
    Response::new(request.into_body())
}

/// A server that answers every signed request with who it takes the sender for.
fn whoami(network: &Network, peers: &Peers) {
    let me = peers.clone();
    network.join_as(peers, move |request| {
        let me = me.clone();
        async move {
            let header = request.headers()["authorization"].to_str().unwrap();
            let path_and_query = request.uri().to_string();
            let verified = me.verify_request(VerifyRequest {
                method: request.method().as_str(),
                path_and_query: &path_and_query,
                body: Some(request.body()),
                authorization: header,
            });
            match verified.await {
                Ok(origin) => Response::new(format!("\"{origin}\"").into()),
                Err(error) => refusal(StatusCode::UNAUTHORIZED, &error.to_string()),
            }
        }
    });
}

#[tokio::test]
async fn a_request_proves_who_sent_it() {
    let network = Network::new();
    let (a, b) = (server_name!("a.example"), server_name!("b.example"));
    let (alice, bob) = (Peers::for_tests(a, &network), Peers::for_tests(b, &network));
    network.join_as(&alice, echo);
    whoami(&network, &bob);
    for ask in [
        Ask::get("/_matrix/federation/v1/x?y=%20z"),
        Ask::put("/_matrix/federation/v1/x", r#"{"b":1,"a":[1.5,"é\u0000"]}"#),
        Ask::post("/_matrix/federation/v1/x", "{}"),
    ] {
        let told: String = alice.ask_json(b, ask).await.unwrap();
        assert_eq!(told, a.as_str());
    }
    let fetched = network
        .take_seen()
        .into_iter()
        .filter(|seen| seen.path_and_query == "/_matrix/key/v2/server");
    assert_eq!(fetched.count(), 1, "a key is fetched once");
}

#[tokio::test]
async fn a_request_that_was_changed_or_meant_for_another_proves_nothing() {
    let network = Network::new();
    let (a, b, c) = (
        server_name!("a.example"),
        server_name!("b.example"),
        server_name!("c.example"),
    );
    let (alice, bob) = (Peers::for_tests(a, &network), Peers::for_tests(b, &network));
    network.join_as(&alice, echo);
    let header = |origin: &ruma::ServerName, destination| {
        let signed = signing::Signed {
            method: "PUT",
            path_and_query: "/x?y=1",
            origin,
            destination,
            content: Some("{\"a\":1}"),
        };
        signed.header(alice.own()).unwrap()
    };
    let right = header(a, b);
    let verify = async |method, path_and_query, body: &str, authorization: &str| {
        let verified = bob.verify_request(VerifyRequest {
            method,
            path_and_query,
            body: Some(body.as_bytes()),
            authorization,
        });
        verified.await.map_err(|error| match error {
            Error::Unauthorised(_) => (),
            other => panic!("{other}"),
        })
    };
    assert_eq!(
        verify("PUT", "/x?y=1", "{\"a\":1}", &right).await,
        Ok(a.to_owned())
    );
    assert_eq!(
        verify("PUT", "/x?y=1", "{ \"a\" : 1 }", &right).await,
        Ok(a.to_owned()),
        "JSON is signed, not its spelling"
    );
    for (method, path, body) in [
        ("POST", "/x?y=1", "{\"a\":1}"),
        ("PUT", "/x?y=2", "{\"a\":1}"),
        ("PUT", "/x", "{\"a\":1}"),
        ("PUT", "/x?y=1", "{\"a\":2}"),
        ("PUT", "/x?y=1", "{\"a\":1,\"a\":1}"),
        ("PUT", "/x?y=1", "{"),
        ("PUT", "/x?y=1", ""),
    ] {
        assert_eq!(
            verify(method, path, body, &right).await,
            Err(()),
            "{method} {path} {body}"
        );
    }
    for header in [
        header(a, c),
        header(c, b),
        header(b, b),
        right.replace("ed25519:test", "ed25519:other"),
        right.replace("destination=\"b.example\"", "destination=\"c.example\""),
        right.replace("a.example", "a.example/"),
        right.replace("a.example", "nobody.example"),
        right.replace("sig=\"", "sig=\"A"),
    ] {
        assert_eq!(
            verify("PUT", "/x?y=1", "{\"a\":1}", &header).await,
            Err(()),
            "{header}"
        );
    }
    let unaddressed = right.replace("destination=\"b.example\",", "");
    assert_eq!(
        verify("PUT", "/x?y=1", "{\"a\":1}", &unaddressed).await,
        Ok(a.to_owned()),
        "old servers do not say whom they mean, and sign it nevertheless"
    );
}

#[tokio::test]
async fn a_refusal_is_told_and_is_no_reason_to_leave_the_server_alone() {
    let network = Network::new();
    let (a, b) = (server_name!("a.example"), server_name!("b.example"));
    let alice = Peers::for_tests(a, &network);
    network.join(b, |_| async {
        refusal(StatusCode::NOT_FOUND, "no such room")
    });
    let error = alice.ask(b, Ask::get("/x")).await.unwrap_err();
    assert!(error.is_remote_refusal() && !error.may_pass(), "{error}");
    assert!(
        matches!(&error, Error::Answered { status: 404, error, .. } if error == "no such room")
    );
    assert_eq!(alice.backoff().wait_until(b), None);
}

#[tokio::test]
async fn a_dead_server_is_left_alone_until_its_time_or_until_it_speaks() {
    let network = Network::new();
    let (a, b) = (server_name!("a.example"), server_name!("b.example"));
    let clock = ManualClock::plausible();
    let alice = Peers::new(Needs {
        clock: clock.shared(),
        ..Needs::for_tests(a, &network)
    })
    .unwrap();
    let error = alice.ask(b, Ask::get("/x")).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.may_pass());
    network.join(b, echo);
    let error = alice.ask(b, Ask::get("/x")).await.unwrap_err();
    assert!(matches!(error, Error::BackingOff { .. }) && error.may_pass());
    assert!(alice.status(b).unwrap().why.contains("no such server"));
    assert!(network.take_seen().is_empty());
    alice.ask(b, Ask::get("/x").insisting()).await.unwrap();
    assert_eq!(alice.status(b), None, "an answer is a sign of life");

    network.leave(b);
    alice.ask(b, Ask::get("/x")).await.unwrap_err();
    clock.advance(Duration::from_secs(3));
    network.join(b, echo);
    alice.ask(b, Ask::get("/x")).await.unwrap();
}

#[tokio::test]
async fn somebodys_web_site_is_no_matrix_server() {
    let network = Network::new();
    let (a, b) = (server_name!("a.example"), server_name!("b.example"));
    let alice = Peers::for_tests(a, &network);
    network.join(b, |_| async {
        let mut response = Response::new(Bytes::from("<h1>Not found</h1>"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    });
    let error = alice.ask(b, Ask::get("/x")).await.unwrap_err();
    assert!(!error.is_remote_refusal());
    assert!(alice.backoff().wait_until(b).is_some());
}

#[tokio::test(start_paused = true)]
async fn answers_are_bounded_in_length_and_time() {
    let network = Network::new();
    let (a, b) = (server_name!("a.example"), server_name!("b.example"));
    let alice = Peers::for_tests(a, &network);
    network.join(b, echo);
    let body = format!("\"{}\"", "x".repeat(998));
    let ask = |bytes| Ask::put("/x", body.clone()).patience(Patience::quick().bytes(bytes));
    assert_eq!(alice.ask(b, ask(1000)).await.unwrap().len(), 1000);
    assert!(matches!(
        alice.ask(b, ask(999)).await,
        Err(Error::TooLarge { limit: 999, .. })
    ));
    let mut stream = alice.ask_stream(b, ask(999)).await.unwrap();
    assert!(stream.next().await.unwrap().is_err());
    assert!(stream.next().await.is_none());

    network.join(b, |_| std::future::pending());
    assert!(matches!(
        alice.ask(b, Ask::get("/x")).await,
        Err(Error::TimedOut { .. })
    ));
    assert!(alice.backoff().wait_until(b).is_some());
}

#[tokio::test]
async fn what_makes_no_sense_is_said() {
    let network = Network::new();
    let (a, b) = (server_name!("a.example"), server_name!("b.example"));
    let mut needs = Needs::for_tests(a, &network);
    let alice = Peers::for_tests(a, &network);
    network.join(b, |_| async { Response::new(Bytes::from("[1")) });
    assert!(matches!(
        alice.ask_json::<Vec<u8>>(b, Ask::get("/x")).await,
        Err(Error::Malformed { .. })
    ));
    assert!(matches!(
        alice.ask(a, Ask::get("/x")).await,
        Err(Error::Ourselves(_))
    ));
    assert!(matches!(
        alice.ask(b, Ask::put("/x", "{")).await,
        Err(Error::Unsignable(_))
    ));
    needs.config.enabled = false;
    let hermit = Peers::new(needs).unwrap();
    assert!(matches!(
        hermit.ask(b, Ask::get("/x")).await,
        Err(Error::Disabled)
    ));
    for (key, change) in [
        (
            "old_keys",
            (|config| config.old_keys = vec!["x".to_owned()])
                as fn(&mut base::config::FederationConfig),
        ),
        ("refused_keys", |config| {
            config.refused_keys = vec!["AAAA".to_owned()];
        }),
        ("notaries", |config| {
            config.notaries = vec!["a b".to_owned()];
        }),
    ] {
        let mut needs = Needs::for_tests(a, &network);
        change(&mut needs.config);
        let sentence = Peers::new(needs).unwrap_err().to_string();
        assert!(
            sentence.starts_with(&format!("federation.{key} cannot be used: ")),
            "{sentence}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_network_of_tests_can_be_disturbed() {
    let network = Network::new();
    let (a, b) = (server_name!("a.example"), server_name!("b.example"));
    let alice = Peers::for_tests(a, &network);
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    network.join(b, |_| async {
        Response::new(COUNT.fetch_add(1, Ordering::SeqCst).to_string().into())
    });
    let ask = async || alice.ask(b, Ask::get("/x").insisting()).await;
    network.cut(b, a);
    assert!(ask().await.is_err());
    network.heal(a, b);
    network.duplicate(a, b, 2);
    assert_eq!(ask().await.unwrap(), "2");
    network.heal(a, b);
    network.delay(a, b, Duration::from_secs(20));
    let start = tokio::time::Instant::now();
    assert_eq!(ask().await.unwrap(), "3");
    assert_eq!(start.elapsed(), Duration::from_secs(20));
    network.heal(a, b);
    network.hold(a, b);
    let release = async {
        while network.held(a, b) < 2 {
            tokio::task::yield_now().await;
        }
        network.release(a, b, true);
    };
    let (first, second, ()) = tokio::join!(ask(), ask(), release);
    assert_eq!((first.unwrap(), second.unwrap()), ("5".into(), "4".into()));
}

#[tokio::test]
async fn a_server_is_examined_to_the_end() {
    let network = Network::new();
    let (a, b) = (server_name!("a.example"), server_name!("b.example"));
    let (alice, bob) = (Peers::for_tests(a, &network), Peers::for_tests(b, &network));
    let last = async || {
        let steps = alice.examine(b).await;
        let last = steps.last().unwrap().clone();
        (last.outcome, last.sentence)
    };
    let (outcome, sentence) = last().await;
    assert_eq!(outcome, Outcome::Failed, "{sentence}");
    network.join_as(&bob, |_| async {
        Response::new(Bytes::from(r#"{"server":{"name":"Bobs","version":"1"}}"#))
    });
    let (outcome, sentence) = last().await;
    assert_eq!(outcome, Outcome::Good, "{sentence}");
    assert!(
        sentence.starts_with("It signs with ed25519:test, valid until "),
        "{sentence}"
    );
    let steps = alice.examine(b).await;
    assert!(
        steps.contains(&Step::good("It says that it is Bobs 1.")),
        "{steps:?}"
    );
}
