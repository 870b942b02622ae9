//! What nobody should send, sent to every endpoint: never a fault of the server's own, never a hang, always an answer that says what is wrong.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::house::{House, Person, read};

/// Paths with each argument replaced by something that fits it.
fn filled(path: &str, person: &Person<'_>, room: &str) -> String {
    let fill = |part: &str| match part {
        "{room_id}" | "{roomId}" | "{room_id_or_alias}" => room.to_owned(),
        "{user_id}" | "{userId}" => person.user_id.clone(),
        "{event_type}" => "m.room.topic".to_owned(),
        "{event_id}" | "{eventId}" => "$event".to_owned(),
        "{room_alias}" => "%23alias:localhost".to_owned(),
        "{server_name}" => "localhost".to_owned(),
        "{txn_id}" => "1".to_owned(),
        other if other.starts_with('{') => "x".to_owned(),
        other => other.to_owned(),
    };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// Every endpoint, once.
fn endpoints() -> Vec<(Method, &'static str)> {
    let routes = client_api::routes();
    // What ends the session or the account would take the others' tokens away.
    let ends = |path: &str| {
        ["/logout", "/deactivate", "/delete_devices"]
            .iter()
            .any(|end| path.contains(end))
    };
    routes
        .list()
        .iter()
        .filter(|(_, path)| !ends(path))
        .cloned()
        .collect()
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let object = |value: Value| value.to_string().into_bytes();
    let wrong = json!({
        "type": 7, "auth": [], "user": {}, "password": [], "content": 1, "room_version": {}, "invite": "x", "events": {}, "device_keys": [],
        "one_time_keys": 1, "messages": [[]], "search_categories": 1, "identifier": 5, "creation_content": [], "initial_state": [null, 7],
        "power_level_content_override": "x", "session": {}, "topic": {}, "name": [], "displayname": {}, "avatar_url": 1, "ids": "x", "limit": "x",
        "pushers": 1, "actions": "notify", "enabled": "yes", "room": [], "event_fields": 7, "filter": [], "reason": [], "user_id": 1, "lists": 1
    });
    vec![
        ("nothing", Vec::new()),
        ("no JSON", b"nonsense".to_vec()),
        ("half an object", b"{\"a\":".to_vec()),
        ("not UTF-8", b"{\"a\":\"\xff\xfe\"}".to_vec()),
        ("null", b"null".to_vec()),
        ("a list", b"[1,2]".to_vec()),
        ("a number", b"1e999".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("wrong types", object(wrong)),
        (
            "a lone surrogate",
            b"{\"msgtype\":\"m.text\",\"body\":\"\\ud800\"}".to_vec(),
        ),
        (
            "numbers beyond reason",
            b"{\"a\":123456789012345678901234567890,\"b\":1.5e300}".to_vec(),
        ),
        (
            "a key twice",
            b"{\"type\":\"m.login.dummy\",\"type\":\"x\"}".to_vec(),
        ),
        (
            "10,000 deep",
            [
                b"{\"a\":".repeat(10_000),
                b"1".to_vec(),
                b"}".repeat(10_000),
            ]
            .concat(),
        ),
        ("10,000 lists deep", b"[".repeat(10_000)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_brings_any_endpoint_down() {
    let house = House::start().await;
    let alice = house.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut faults = Vec::new();
    for (method, path) in endpoints() {
        let filled = filled(path, &alice, &room);
        for (what, body) in bodies() {
            let ask = alice
                .ask(method.clone(), &filled)
                .header("content-type", "application/json")
                .body(body);
            match ask.send().await {
                Ok(reply) if reply.status().is_server_error() => faults.push(format!(
                    "{method} {path}, {what}: {}",
                    reply.text().await.unwrap()
                )),
                Ok(reply) if reply.status().is_client_error() => {
                    let (status, told) = read(reply).await;
                    if !told["errcode"].is_string() && status != StatusCode::UNAUTHORIZED {
                        faults.push(format!(
                            "{method} {path}, {what}: {status} without a code: {told}"
                        ));
                    }
                }
                Ok(_) => {}
                Err(error) => faults.push(format!("{method} {path}, {what}: {error:?}")),
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(alice.get("/_matrix/client/v3/account/whoami").await["user_id"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_or_query_brings_any_endpoint_down() {
    let house = House::start().await;
    let alice = house.register("alice").await;
    let long = "x".repeat(3_000);
    let arguments = [
        "%00",
        "%ff",
        "..%2f..",
        "%2e%2e",
        "%F0%9F%AB%96",
        "!",
        "@",
        "%23",
        "$",
        "@:",
        "!x:",
        "@x:y:z:99999999",
        "-1",
        "0",
        "18446744073709551616",
        "{}",
        "%7B%7D",
        "a%20b",
        "%0d%0aX:%20y",
        &long,
    ];
    let queries = [
        "?from=nonsense&to=nonsense&dir=x&limit=-1",
        "?since=%00&timeout=99999999999999999999&filter=%7B&set_presence=x",
        "?limit=18446744073709551616&dir=b",
        "?since=s0_0_0&timeout=0&filter=%7B%22room%22%3A5%7D",
        "?%ff=%ff&a=b=c&&&=",
        "?width=-1&height=0&method=x",
        "?via=%00&server_name=x&ts=x&at=x",
    ];
    let mut faults = Vec::new();
    for (method, path) in endpoints() {
        let mut asks: Vec<String> = queries
            .iter()
            .map(|query| filled(path, &alice, "!room:localhost") + query)
            .collect();
        if path.contains('{') {
            let fill = |argument: &str| {
                path.split('/')
                    .map(|part| {
                        if part.starts_with('{') {
                            argument
                        } else {
                            part
                        }
                    })
                    .collect::<Vec<_>>()
                    .join("/")
            };
            asks.extend(arguments.iter().map(|argument| fill(argument)));
        }
        for ask in asks {
            let shown = &ask[..ask.len().min(200)];
            match alice.ask(method.clone(), &ask).body("{}").send().await {
                // A file of a server that does not exist: 502 says that the fault is there.
                Ok(reply)
                    if reply.status() == StatusCode::BAD_GATEWAY && ask.contains("/media/") => {}
                Ok(reply) if reply.status().is_server_error() => {
                    faults.push(format!("{method} {shown}: {}", reply.text().await.unwrap()));
                }
                Ok(_) => {}
                Err(error) => faults.push(format!("{method} {shown}: {error:?}")),
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[tokio::test]
async fn what_needs_a_token_says_so_everywhere() {
    let house = House::start().await;
    let alice = house.register("alice").await;
    let mut open = Vec::new();
    for (method, path) in endpoints() {
        let path = filled(path, &alice, "!room:localhost");
        let reply = house
            .ask(method.clone(), &path)
            .bearer_auth("nonsense")
            .body("{}")
            .send()
            .await
            .unwrap();
        let (status, told) = read(reply).await;
        if status == StatusCode::UNAUTHORIZED && told["errcode"] == "M_UNKNOWN_TOKEN" {
            let (status, told) = read(
                house
                    .ask(method.clone(), &path)
                    .body("{}")
                    .send()
                    .await
                    .unwrap(),
            )
            .await;
            let missing =
                status == StatusCode::UNAUTHORIZED && told["errcode"] == "M_MISSING_TOKEN";
            // What answers without a token may not like a wrong one.
            if !missing {
                open.push(format!("{method} {path}"));
            }
        } else {
            open.push(format!("{method} {path}"));
        }
    }
    let guarded = [
        "/sync",
        "/send/",
        "/state",
        "/keys/",
        "/devices",
        "/account_data/",
        "/createRoom",
        "/join",
        "/pushrules",
        "/admin/",
    ];
    let wrong: Vec<&String> = open
        .iter()
        .filter(|ask| guarded.iter().any(|part| ask.contains(part)))
        .collect();
    assert!(wrong.is_empty(), "these answer strangers: {wrong:?}");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let house = House::start().await;
    let alice = house.register("alice").await;
    let body = json!({ "topic": "x".repeat(5 << 20) }).to_string();
    let reply = alice
        .ask(Method::POST, "/_matrix/client/v3/createRoom")
        .body(body)
        .send()
        .await;
    // The server may close before all of it has been sent.
    if let Ok(reply) = reply {
        let (status, told) = read(reply).await;
        assert_eq!(
            (status, &told["errcode"]),
            (StatusCode::PAYLOAD_TOO_LARGE, &json!("M_TOO_LARGE"))
        );
    }
}
