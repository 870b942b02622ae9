//! What a server is told that asks for something beside rooms, and what is refused.

use base::random::{Random, SeededRandom};
use http::{Method, Request};
use peers::Ask;
use serde_json::{Value, json};

use super::town::{device_keys, town};

#[tokio::test]
async fn only_a_signed_request_is_answered() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let path = "/_matrix/federation/v1/publicRooms";
    one.get(path, "").await.refused(401, "M_UNAUTHORIZED");
    one.get(path, "a-users-token")
        .await
        .refused(401, "M_UNAUTHORIZED");
    let forged = Request::get(path)
        .header("authorization", "X-Matrix origin=\"two.example\",destination=\"one.example\",key=\"ed25519:test\",sig=\"AAAA\"");
    let answer = super::town::send(&one, forged).await;
    answer.refused(401, "M_UNAUTHORIZED");
    let unsigned = two.ask_server(&one, Ask::get(path).unsigned()).await;
    unsigned.refused(401, "M_UNAUTHORIZED");
    let told = two.ask_server(&one, Ask::get(path)).await.ok();
    assert_eq!(told["total_room_count_estimate"], 0);
}

#[tokio::test]
async fn everybody_may_ask_for_keys_and_version() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let version = one.get("/_matrix/federation/v1/version", "").await.ok();
    assert_eq!(version["server"]["name"], "Myelin");
    for path in [
        "/_matrix/key/v2/server",
        "/_matrix/key/v2/server/",
        "/_matrix/key/v2/server/ed25519:old",
    ] {
        let keys = one.get(path, "").await.ok();
        assert_eq!(keys["server_name"], "one.example", "{path}");
        assert!(keys["verify_keys"]["ed25519:test"]["key"].is_string());
    }
    let told = two.get("/_matrix/key/v2/query/one.example", "").await.ok();
    let document = &told["server_keys"][0];
    assert_eq!(document["server_name"], "one.example");
    assert!(
        document["signatures"]["one.example"].is_object()
            && document["signatures"]["two.example"].is_object()
    );
    let ask = json!({ "server_keys": { "one.example": { "ed25519:test": {} } } });
    let told = two.post("/_matrix/key/v2/query", "", ask).await.ok();
    assert_eq!(told["server_keys"][0]["server_name"], "one.example");
}

#[tokio::test]
async fn what_is_not_there_is_said_as_specified() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    one.get("/_matrix/federation/v1/nothing", "")
        .await
        .refused(404, "M_UNRECOGNIZED");
    one.ask(
        Method::POST,
        "/_matrix/federation/v1/version",
        "",
        &Value::Null,
    )
    .await
    .refused(405, "M_UNRECOGNIZED");
    two.ask_server(&one, Ask::get("/_matrix/federation/v1/query/weather"))
        .await
        .refused(404, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn a_profile_is_told_across_servers() {
    let (network, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    alice
        .put(
            &format!("/v3/profile/{}/displayname", alice.id),
            json!({ "displayname": "Alice" }),
        )
        .await
        .ok();
    let told = bob.get(&format!("/v3/profile/{}", alice.id)).await.ok();
    assert_eq!(told["displayname"], "Alice");
    let told = bob
        .get(&format!("/v3/profile/{}/displayname", alice.id))
        .await
        .ok();
    assert_eq!(told["displayname"], "Alice");
    bob.get(&format!("/v3/profile/{}/avatar_url", alice.id))
        .await
        .refused(404, "M_NOT_FOUND");
    bob.get("/v3/profile/@nobody:one.example")
        .await
        .refused(404, "M_NOT_FOUND");
    let ask = Ask::get("/_matrix/federation/v1/query/profile?user_id=@bob:two.example");
    two.ask_server(&one, ask)
        .await
        .refused(400, "M_INVALID_PARAM");
    network.leave("one.example".try_into().unwrap());
    bob.get(&format!("/v3/profile/{}", alice.id))
        .await
        .refused(502, "M_UNKNOWN");
}

#[tokio::test]
async fn keys_are_asked_for_and_claimed_across_servers() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    let keys = device_keys(&alice);
    let one_time = json!({ "curve25519:A": base64_key(1), "curve25519:B": base64_key(2) });
    alice
        .post(
            "/v3/keys/upload",
            json!({ "device_keys": keys, "one_time_keys": one_time }),
        )
        .await
        .ok();
    let ask = json!({ "device_keys": { &alice.id: [] } });
    let told = bob.post("/v3/keys/query", ask).await.ok();
    let device = &told["device_keys"][&alice.id][&alice.device];
    assert_eq!(device["keys"], keys["keys"], "{told}");
    assert_eq!(told["failures"], json!({}));
    let ask = json!({ "one_time_keys": { &alice.id: { &alice.device: "curve25519" } } });
    let mut given = Vec::new();
    for _ in 0..3 {
        let told = bob.post("/v3/keys/claim", ask.clone()).await.ok();
        let device = told["one_time_keys"][&alice.id][&alice.device]
            .as_object()
            .cloned();
        given.extend(device.unwrap_or_default().into_iter().map(|(id, _)| id));
    }
    given.sort();
    assert_eq!(
        given,
        ["curve25519:A", "curve25519:B"],
        "each key is given once"
    );
    let path = format!("/_matrix/federation/v1/user/devices/{}", alice.id);
    let list = two.ask_server(&one, Ask::get(path)).await.ok();
    assert_eq!(list["devices"][0]["device_id"], alice.device.as_str());
    assert!(list["stream_id"].as_u64().unwrap() > 0);
    let ask = json!({ "device_keys": { "@x:gone.example": [] } });
    let told = bob.post("/v3/keys/query", ask).await.ok();
    assert!(told["failures"]["gone.example"].is_object());
}

fn base64_key(seed: u64) -> String {
    let mut bytes = [0; 32];
    SeededRandom::new(seed).fill(&mut bytes);
    ruma::serde::Base64::<ruma::serde::base64::Standard>::new(bytes.to_vec()).encode()
}

#[tokio::test]
async fn an_openid_token_says_who_its_owner_is() {
    let (_, [one]) = town(["one.example"]);
    let alice = one.register("alice").await;
    let path = format!("/v3/user/{}/openid/request_token", alice.id);
    let token = alice.post(&path, json!({})).await.ok();
    let path = |token: &str| format!("/_matrix/federation/v1/openid/userinfo?access_token={token}");
    let told = one
        .get(&path(token["access_token"].as_str().unwrap()), "")
        .await
        .ok();
    assert_eq!(told, json!({ "sub": alice.id }));
    one.get(&path("x"), "")
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
    one.get("/_matrix/federation/v1/openid/userinfo", "")
        .await
        .refused(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn public_rooms_and_aliases_are_found_from_elsewhere() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    let ask = json!({ "preset": "public_chat", "visibility": "public", "name": "Square", "room_alias_name": "square" });
    let room = alice.post("/v3/createRoom", ask).await.ok()["room_id"].clone();
    let told = bob
        .get("/v3/publicRooms?server=one.example&limit=10")
        .await
        .ok();
    assert_eq!(told["chunk"][0]["room_id"], room);
    let search = |term: &str| json!({ "filter": { "generic_search_term": term } });
    for (term, found) in [("squ", 1), ("round", 0)] {
        let told = bob
            .post("/v3/publicRooms?server=one.example", search(term))
            .await
            .ok();
        assert_eq!(told["chunk"].as_array().unwrap().len(), found, "{term}");
    }
    let ask = Ask::get("/_matrix/federation/v1/query/directory?room_alias=%23square:one.example");
    let told = two.ask_server(&one, ask).await.ok();
    assert_eq!(told["room_id"], room);
    assert_eq!(told["servers"], json!(["one.example"]));
    let ask = Ask::get("/_matrix/federation/v1/query/directory?room_alias=%23other:one.example");
    two.ask_server(&one, ask).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_file_is_seen_on_another_server() {
    let (network, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    let file: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let upload = Request::post("/_matrix/media/v3/upload?filename=a%20cat.bin")
        .header("authorization", format!("Bearer {}", alice.token))
        .header("content-type", "application/x-cat");
    let told = super::town::send_bytes(&one, upload, file.clone()).await;
    let uri: Value = serde_json::from_slice(told.body()).unwrap();
    let address = uri["content_uri"]
        .as_str()
        .unwrap()
        .strip_prefix("mxc://")
        .unwrap()
        .to_owned();
    for round in 0..2 {
        let path = format!("/_matrix/client/v1/media/download/{address}");
        let ask = Request::get(path).header("authorization", format!("Bearer {}", bob.token));
        let told = super::town::send_bytes(&two, ask, Vec::new()).await;
        assert_eq!(told.status(), 200, "{:?}", told.body());
        assert_eq!(told.headers()["content-type"], "application/x-cat");
        assert_eq!(
            told.headers()["content-disposition"],
            "attachment; filename=\"a cat.bin\""
        );
        assert!(told.body()[..] == file[..], "the same bytes");
        // The second time it is here already.
        if round == 0 {
            network.leave("one.example".try_into().unwrap());
        }
    }
    bob.get("/v1/media/download/two.example/none")
        .await
        .refused(404, "M_NOT_FOUND");
    bob.get("/v1/media/download/one.example/none")
        .await
        .refused(502, "M_UNKNOWN");
}
