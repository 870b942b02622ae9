//! Whose keys are believed, for how long, and on whose word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Clock, ManualClock};
use bytes::Bytes;
use event::sign::{Keys as _, verify_json};
use event::{KeyPair, Rules};
use http::{Response, StatusCode};
use ruma::canonical_json::to_canonical_value;
use ruma::{CanonicalJsonValue, server_name};
use serde_json::{Value, json};

use super::*;
use crate::loopback::{Network, refusal};
use crate::{Needs, Peers};

const DAY: u64 = 24 * 60 * 60 * 1000;

fn pair(seed: u8, version: &str) -> KeyPair {
    KeyPair::from_seed(&[seed; 32], version).unwrap()
}

fn signed(document: Value, server: &str, keys: &[&KeyPair]) -> String {
    let Ok(CanonicalJsonValue::Object(mut object)) = to_canonical_value(document) else {
        panic!("a document is an object");
    };
    for key in keys {
        event::sign::sign_json(&mut object, server, key).unwrap();
    }
    serde_json::to_string(&object).unwrap()
}

fn plain(server: &str, key: &KeyPair, valid_until: u64) -> Value {
    json!({
        "server_name": server,
        "valid_until_ts": valid_until,
        "verify_keys": { key.id(): { "key": key.public().to_base64() } },
        "old_verify_keys": {},
    })
}

/// A network with us in it, and a clock.
struct Bench {
    network: Network,
    clock: ManualClock,
    us: Peers,
}

fn bench_with(change: impl FnOnce(&mut Needs)) -> Bench {
    let (network, clock) = (Network::new(), ManualClock::plausible());
    let mut needs = Needs {
        clock: clock.shared(),
        ..Needs::for_tests(server_name!("us.example"), &network)
    };
    change(&mut needs);
    let us = Peers::new(needs).unwrap();
    Bench { network, clock, us }
}

fn bench() -> Bench {
    bench_with(|_| {})
}

impl Bench {
    fn now(&self) -> u64 {
        self.clock.now().millis()
    }

    /// From now on the server answers every request with this.
    fn answers(&self, server: &ServerName, body: impl Into<Bytes>) {
        let body = body.into();
        self.network.join(server, move |_| {
            std::future::ready(Response::new(body.clone()))
        });
    }

    async fn key(
        &self,
        server: &ServerName,
        key_id: &str,
        at: u64,
    ) -> Option<event::sign::VerifyKey> {
        let wanted = Wanted {
            server: server.to_owned(),
            key_id: key_id.to_owned(),
            at,
        };
        self.us.keys().gather([wanted]).await.key(server, key_id)
    }

    fn requests(&self) -> usize {
        self.network.take_seen().len()
    }
}

fn them() -> &'static ServerName {
    server_name!("them.example")
}

#[tokio::test]
async fn a_key_is_fetched_once_and_again_when_it_may_have_changed() {
    let bench = bench();
    let key = pair(1, "k");
    let rules = Rules::named("10").unwrap();
    let start = bench.now();
    bench.answers(
        them(),
        signed(
            plain("them.example", &key, start + DAY),
            "them.example",
            &[&key],
        ),
    );
    let found = bench.key(them(), "ed25519:k", start).await.unwrap();
    assert_eq!(found.public(), key.public());
    assert!(found.is_good_at(start + DAY, rules) && !found.is_good_at(start + DAY + 1, rules));
    for at in [0, start, start + DAY] {
        assert!(bench.key(them(), "ed25519:k", at).await.is_some());
    }
    assert_eq!(bench.requests(), 1);
    // Signed later than the document says: it may have been renewed. Not asked again at once, though.
    let found = bench
        .key(them(), "ed25519:k", start + 2 * DAY)
        .await
        .unwrap();
    assert!(!found.is_good_at(start + 2 * DAY, rules));
    assert_eq!(bench.requests(), 0);
    bench.clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
    bench.answers(
        them(),
        signed(
            plain("them.example", &key, start + 3 * DAY),
            "them.example",
            &[&key],
        ),
    );
    let found = bench
        .key(them(), "ed25519:k", start + 2 * DAY)
        .await
        .unwrap();
    assert!(found.is_good_at(start + 2 * DAY, rules));
    assert_eq!(bench.requests(), 1);
}

#[tokio::test]
async fn what_is_known_survives_a_restart_and_the_servers_end() {
    let (network, store) = (Network::new(), Store::memory());
    let key = pair(1, "k");
    let us = || {
        let us = server_name!("us.example");
        Peers::new(Needs {
            store: store.clone(),
            ..Needs::for_tests(us, &network)
        })
        .unwrap()
    };
    let document = signed(
        plain("them.example", &key, u64::MAX >> 12),
        "them.example",
        &[&key],
    );
    network.join(them(), move |_| {
        std::future::ready(Response::new(document.clone().into()))
    });
    let wanted = |at| Wanted {
        server: them().to_owned(),
        key_id: "ed25519:k".to_owned(),
        at,
    };
    us().keys().gather([wanted(1)]).await;
    network.leave(them());
    let ring = us().keys().gather([wanted(1)]).await;
    let found = ring.key(them(), "ed25519:k").unwrap();
    assert_eq!(found.public(), key.public());
    let now = ManualClock::plausible().now().millis();
    assert!(
        found.is_current_at(now + 7 * DAY) && !found.is_current_at(now + 7 * DAY + 1),
        "nobody is believed for more than a week"
    );
}

#[tokio::test]
async fn keys_that_are_rotated_keep_what_they_signed() {
    let bench = bench();
    let (first, second) = (pair(1, "first"), pair(2, "second"));
    let start = bench.now();
    bench.answers(
        them(),
        signed(
            plain("them.example", &first, start + DAY),
            "them.example",
            &[&first],
        ),
    );
    bench.key(them(), "ed25519:first", start).await.unwrap();
    bench.clock.advance(Duration::from_secs(3600));
    let mut document = plain("them.example", &second, start + DAY);
    document["old_verify_keys"] =
        json!({ "ed25519:first": { "key": first.public().to_base64(), "expired_ts": start + 10 } });
    bench.answers(them(), signed(document, "them.example", &[&second]));
    assert!(bench.key(them(), "ed25519:second", start).await.is_some());
    let old = bench.key(them(), "ed25519:first", start).await.unwrap();
    for rules in Rules::all() {
        assert!(old.is_good_at(start + 10, rules) && !old.is_good_at(start + 11, rules));
    }
    assert!(!old.is_current_at(start), "an old key signs no requests");
    // A document from before does not bring it back.
    bench.clock.advance(Duration::from_secs(2 * 24 * 3600));
    bench.answers(
        them(),
        signed(
            plain("them.example", &first, bench.now() + DAY),
            "them.example",
            &[&first],
        ),
    );
    bench.key(them(), "ed25519:second", bench.now()).await;
    let old = bench.key(them(), "ed25519:first", start).await.unwrap();
    assert!(!old.is_current_at(bench.now()));
}

#[tokio::test]
async fn a_name_is_not_given_to_another_key() {
    let bench = bench();
    let (first, second) = (pair(1, "k"), pair(2, "k"));
    let start = bench.now();
    bench.answers(
        them(),
        signed(
            plain("them.example", &first, start + 1),
            "them.example",
            &[&first],
        ),
    );
    bench.key(them(), "ed25519:k", start).await.unwrap();
    bench.clock.advance(Duration::from_secs(3600));
    bench.answers(
        them(),
        signed(
            plain("them.example", &second, start + DAY),
            "them.example",
            &[&second],
        ),
    );
    let found = bench.key(them(), "ed25519:k", bench.now()).await.unwrap();
    assert_eq!(found.public(), first.public());
    assert!(!found.is_current_at(bench.now()));
}

#[tokio::test]
async fn documents_that_lie_are_not_believed() {
    let (key, other) = (pair(1, "k"), pair(2, "k"));
    let name = "them.example";
    let far = u64::MAX >> 12;
    let right = || plain(name, &key, far);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut document = right();
        change(&mut document);
        signed(document, name, &[&key])
    };
    let many: serde_json::Map<_, _> = (0..100_000)
        .map(|n| {
            (
                format!("ed25519:k{n}"),
                json!({ "key": key.public().to_base64() }),
            )
        })
        .collect();
    let retired = with(&|document| {
        document["old_verify_keys"] = document["verify_keys"].take();
        document["verify_keys"] = json!({});
        document["old_verify_keys"]["ed25519:k"]["expired_ts"] = json!(5);
    });
    let doubled =
        signed(right(), name, &[&key]).replacen('{', "{\"server_name\":\"them.example\",", 1);
    for (what, document) in [
        ("unsigned", right().to_string()),
        ("signed by another key", signed(right(), name, &[&other])),
        (
            "signed by another server",
            signed(right(), "evil.example", &[&key]),
        ),
        (
            "of another server",
            signed(plain("evil.example", &key, far), "evil.example", &[&key]),
        ),
        (
            "changed",
            signed(right(), name, &[&key]).replace("\"valid_until_ts\":4", "\"valid_until_ts\":3"),
        ),
        (
            "with a word for a time",
            with(&|document| document["valid_until_ts"] = json!("soon")),
        ),
        (
            "with a negative time",
            with(&|document| document["valid_until_ts"] = json!(-1)),
        ),
        (
            "with a list of keys",
            with(&|document| document["verify_keys"] = json!([])),
        ),
        (
            "with a number for a key",
            with(&|document| document["verify_keys"]["ed25519:k"] = json!(1)),
        ),
        ("with nothing but old keys", retired),
        ("with a key twice", doubled),
        (
            "with 300 keys",
            with(&|document| {
                document["old_verify_keys"] = (0..300)
                    .map(|n| {
                        (
                            format!("ed25519:o{n}"),
                            json!({ "key": key.public().to_base64(), "expired_ts": 1 }),
                        )
                    })
                    .collect::<serde_json::Map<_, _>>()
                    .into();
            }),
        ),
        (
            "with 100,000 keys",
            with(&|document| document["verify_keys"] = many.clone().into()),
        ),
        ("no JSON", "<html>".to_owned()),
        ("a list", "[]".to_owned()),
        ("nested deeply", "[".repeat(100_000)),
        ("empty", String::new()),
    ] {
        let bench = bench();
        bench.answers(them(), document);
        assert!(bench.key(them(), "ed25519:k", 1).await.is_none(), "{what}");
    }
}

#[tokio::test]
async fn keys_of_other_kinds_do_not_spoil_a_document() {
    let bench = bench();
    let key = pair(1, "k");
    let mut document = plain("them.example", &key, bench.now() + DAY);
    document["verify_keys"]["falcon:1"] = json!({ "key": "AAAA" });
    document["verify_keys"]["ed25519:short"] = json!({ "key": "AAAA" });
    document["future"] = json!({ "a": [1, null] });
    bench.answers(them(), signed(document, "them.example", &[&key]));
    assert!(bench.key(them(), "ed25519:k", 1).await.is_some());
    assert!(bench.key(them(), "ed25519:short", 1).await.is_none());
}

#[tokio::test]
async fn a_leaked_key_is_believed_from_nobody() {
    let (leaked, fresh) = (pair(1, "leaked"), pair(2, "fresh"));
    let bench = bench_with(|needs| {
        needs.config.refused_keys = vec![pair(1, "x").public().to_base64() + "="];
    });
    let until = bench.now() + DAY;
    bench.answers(
        them(),
        signed(
            plain("them.example", &leaked, until),
            "them.example",
            &[&leaked],
        ),
    );
    assert!(bench.key(them(), "ed25519:leaked", 1).await.is_none());
    let evil = server_name!("evil.example");
    let mut document = plain("evil.example", &fresh, until);
    document["verify_keys"]["ed25519:leaked"] = json!({ "key": leaked.public().to_base64() });
    bench.answers(evil, signed(document.clone(), "evil.example", &[&leaked]));
    assert!(bench.key(evil, "ed25519:fresh", 1).await.is_none());
    bench.clock.advance(Duration::from_secs(3600));
    bench.answers(evil, signed(document, "evil.example", &[&fresh]));
    assert!(bench.key(evil, "ed25519:fresh", 1).await.is_some());
    assert!(bench.key(evil, "ed25519:leaked", 1).await.is_none());
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_asked_once() {
    let bench = bench();
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    bench.network.join(them(), move |_| {
        assert!(!seen.swap(true, Ordering::SeqCst), "asked twice");
        std::future::ready(refusal(StatusCode::NOT_FOUND, "no"))
    });
    let wanted = (0..100).map(|n| Wanted {
        server: them().to_owned(),
        key_id: format!("ed25519:k{n}"),
        at: 1,
    });
    let gathering = wanted.map(|wanted| bench.us.keys().gather([wanted]));
    futures_util::future::join_all(gathering).await;
    assert!(asked.load(Ordering::SeqCst));
}

#[tokio::test]
async fn notaries_are_believed_if_they_and_the_server_have_signed() {
    let notary = server_name!("notary.example");
    let (key, theirs, stranger) = (pair(1, "k"), pair(2, "n"), pair(3, "n"));
    let name = "them.example";
    let far = u64::MAX >> 12;
    let both = signed(plain(name, &key, far), name, &[&key]);
    let with_notary = |json: &str, key: &KeyPair| {
        let mut object = document::object(json).unwrap();
        event::sign::sign_json(&mut object, "notary.example", key).unwrap();
        serde_json::to_string(&object).unwrap()
    };
    let unsigned = plain(name, &key, far).to_string();
    let unasked = signed(plain("other.example", &key, far), "other.example", &[&key]);
    for (what, document, believed) in [
        ("both", with_notary(&both, &theirs), true),
        ("the server only", both.clone(), false),
        (
            "a stranger as the notary",
            with_notary(&both, &stranger),
            false,
        ),
        ("the notary only", with_notary(&unsigned, &theirs), false),
        (
            "about another server",
            with_notary(&unasked, &theirs),
            false,
        ),
    ] {
        let bench = bench_with(|needs| needs.config.notaries = vec![notary.to_string()]);
        let own = signed(
            plain("notary.example", &theirs, bench.now() + DAY),
            "notary.example",
            &[&theirs],
        );
        let answer = format!("{{\"server_keys\":[{{}},{document},{document}]}}");
        bench.network.join(notary, move |request| {
            let body = if request.uri().path() == "/_matrix/key/v2/server" {
                own.clone()
            } else {
                answer.clone()
            };
            std::future::ready(Response::new(Bytes::from(body)))
        });
        assert_eq!(
            bench.key(them(), "ed25519:k", 1).await.is_some(),
            believed,
            "{what}"
        );
        let other = bench.us.keys().known(server_name!("other.example"));
        assert!(other.is_none(), "nobody asked for it");
    }
}

#[tokio::test]
async fn for_many_servers_a_notary_is_asked_once() {
    let (network, servers) = (Network::new(), 40);
    let notary = Peers::for_tests(server_name!("notary.example"), &network);
    let answering = notary.clone();
    network.join_as(&notary, move |request| {
        let (notary, body) = (answering.clone(), request.into_body());
        async move {
            let body: Value = serde_json::from_slice(&body).unwrap();
            let queries = body["server_keys"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(server, keys)| {
                    let keys = keys.as_object().unwrap().iter();
                    let keys = keys.map(|(key_id, criteria)| {
                        (key_id.clone(), criteria["minimum_valid_until_ts"].as_u64())
                    });
                    (
                        ServerName::parse(server).unwrap(),
                        KeyQuery {
                            keys: keys.collect(),
                        },
                    )
                });
            let documents = notary.keys().as_notary(queries.collect()).await.unwrap();
            Response::new(json!({ "server_keys": documents }).to_string().into())
        }
    });
    let mut needs = Needs::for_tests(server_name!("us.example"), &network);
    needs.config.notaries = vec!["notary.example".to_owned()];
    let us = Peers::new(needs).unwrap();
    let names: Vec<_> = (0..servers)
        .map(|n| ServerName::parse(format!("s{n}.example")).unwrap())
        .collect();
    for name in &names {
        let peers = Peers::for_tests(name, &network);
        network.join_as(&peers, |_| {
            std::future::ready(refusal(StatusCode::NOT_FOUND, "no"))
        });
    }
    let wanted = names.iter().map(|name| Wanted {
        server: name.clone(),
        key_id: "ed25519:test".to_owned(),
        at: 1,
    });
    let ring = us.keys().gather(wanted).await;
    assert!(
        names
            .iter()
            .all(|name| ring.key(name, "ed25519:test").is_some())
    );
    let ours = network
        .take_seen()
        .into_iter()
        .filter(|seen| seen.from == "us.example");
    assert_eq!(ours.count(), 2, "the notary's own key, and one question");
}

#[tokio::test]
async fn our_own_document_is_one_that_we_would_believe() {
    let old = pair(9, "old");
    let bench = bench_with(|needs| {
        needs.config.old_keys = vec![format!("ed25519:old {} 1234", old.public().to_base64())];
    });
    let us = server_name!("us.example");
    let json = bench.us.keys().own_document().unwrap();
    let document = document::Document::check(&json, us, &HashSet::new()).unwrap();
    assert_eq!(document.valid_until, bench.now() + DAY);
    let old_one = document
        .keys
        .iter()
        .find(|key| key.key_id == "ed25519:old")
        .unwrap();
    assert_eq!((old_one.key, old_one.expired), (old.public(), Some(1234)));
    bench.clock.advance(Duration::from_secs(23 * 3600));
    let renewed = bench.us.keys().own_document().unwrap();
    let renewed = document::Document::check(&renewed, us, &HashSet::new()).unwrap();
    assert_eq!(renewed.valid_until, bench.now() + DAY);
    let found = bench.key(us, "ed25519:test", bench.now()).await.unwrap();
    assert!(found.is_current_at(bench.now() + 1000 * DAY));
    assert!(
        !bench
            .key(us, "ed25519:old", 1)
            .await
            .unwrap()
            .is_current_at(1)
    );
    assert_eq!(bench.requests(), 0);
}

#[tokio::test]
async fn as_a_notary_we_answer_for_the_dead_and_sign_what_we_say() {
    let bench = bench();
    let key = pair(1, "k");
    let document = signed(
        plain("them.example", &key, bench.now() + DAY),
        "them.example",
        &[&key],
    );
    bench.answers(them(), document);
    let query = || {
        let servers = ["them.example", "us.example", "nobody.example"];
        servers.map(|server| (ServerName::parse(server).unwrap(), KeyQuery::default()))
    };
    for dead in [false, true] {
        if dead {
            bench.network.leave(them());
            bench.clock.advance(Duration::from_secs(10 * 24 * 3600));
        }
        let answers = bench.us.keys().as_notary(query().into()).await.unwrap();
        let about: Vec<_> = answers
            .iter()
            .map(|json| document::subject(json.get()).unwrap())
            .collect();
        assert_eq!(about, ["them.example", "us.example"]);
        let ours = bench.us.own().key.public();
        for json in &answers {
            assert_eq!(
                verify_json(json.get(), "us.example", "ed25519:test", ours),
                Ok(true)
            );
        }
        assert_eq!(
            verify_json(answers[0].get(), "them.example", "ed25519:k", key.public()),
            Ok(true)
        );
    }
}
