//! What people do in rooms.

use serde_json::{Value, json};

use super::Server;

fn texts(chunk: &Value) -> Vec<&str> {
    let events = chunk.as_array().unwrap();
    events
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

#[tokio::test]
async fn two_people_talk() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = server
        .room(
            &alice,
            json!({ "preset": "public_chat", "name": "Tea", "room_alias_name": "tea" }),
        )
        .await;
    let since = server.get("/v3/sync", &bob).await.ok()["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();

    assert_eq!(
        server
            .post(
                "/v3/join/%23tea:localhost",
                &bob,
                json!({ "hat": "bowler" })
            )
            .await
            .ok()["room_id"],
        *room
    );
    // Once more, and by somebody who sends no body at all: nothing changes.
    server
        .post("/v3/join/%23tea:localhost", &bob, Value::Null)
        .await
        .ok();
    let member = format!("/v3/rooms/{room}/state/m.room.member/@bob:localhost");
    let content = server.get(&member, &alice).await.ok();
    assert_eq!(
        (
            &content["membership"],
            &content["hat"],
            &content["displayname"]
        ),
        (&json!("join"), &json!("bowler"), &json!("bob"))
    );

    let said = server.say(&alice, &room, "1", "hello").await;
    assert_eq!(
        server.say(&alice, &room, "1", "hello").await,
        said,
        "the same transaction is the same event"
    );
    let news = server
        .get(&format!("/v3/sync?since={since}"), &bob)
        .await
        .ok();
    let timeline = &news["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(texts(timeline), ["hello"]);
    let own = server
        .get(&format!("/v3/rooms/{room}/event/{said}"), &alice)
        .await
        .ok();
    assert_eq!(own["unsigned"]["transaction_id"], "1");

    let joined = server
        .get(&format!("/v3/rooms/{room}/joined_members"), &bob)
        .await
        .ok();
    assert_eq!(joined["joined"].as_object().unwrap().len(), 2);
    assert_eq!(
        server.get("/v3/joined_rooms", &bob).await.ok()["joined_rooms"],
        json!([room])
    );
}

#[tokio::test]
async fn history_is_read_in_pages_both_ways() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let room = server.room(&alice, json!({})).await;
    let mut middle = String::new();
    for number in 0..10 {
        let event = server
            .say(&alice, &room, &number.to_string(), &number.to_string())
            .await;
        if number == 5 {
            middle = event;
        }
    }
    let filter = "filter=%7B%22types%22%3A%5B%22m.room.message%22%5D%7D";
    let path = format!("/v3/rooms/{room}/messages?dir=b&limit=4&{filter}");
    let first = server.get(&path, &alice).await.ok();
    assert_eq!(texts(&first["chunk"]), ["9", "8", "7", "6"]);
    let second = server
        .get(
            &format!("{path}&from={}", first["end"].as_str().unwrap()),
            &alice,
        )
        .await
        .ok();
    assert_eq!(texts(&second["chunk"]), ["5", "4", "3", "2"]);
    let back = format!(
        "/v3/rooms/{room}/messages?dir=f&limit=4&{filter}&from={}",
        second["end"].as_str().unwrap()
    );
    assert_eq!(
        texts(&server.get(&back, &alice).await.ok()["chunk"]),
        ["2", "3", "4", "5"]
    );

    let context = server
        .get(
            &format!("/v3/rooms/{room}/context/{middle}?limit=4"),
            &alice,
        )
        .await
        .ok();
    assert_eq!(context["event"]["event_id"], *middle);
    assert_eq!(
        (
            texts(&context["events_before"]),
            texts(&context["events_after"])
        ),
        (vec!["4", "3"], vec!["6", "7"])
    );
    server
        .get(
            &format!("/v3/rooms/{room}/messages?dir=b&from=nonsense"),
            &alice,
        )
        .await
        .refused(400, "M_INVALID_PARAM");
    server
        .get(&format!("/v3/rooms/{room}/messages"), &alice)
        .await
        .refused(400, "M_MISSING_PARAM");
    let bob = server.register("bob").await;
    server
        .get(&format!("/v3/rooms/{room}/messages"), &bob)
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn history_can_be_read_by_how_events_relate() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let room = server.room(&alice, json!({})).await;
    let root = server.say(&alice, &room, "1", "root").await;
    for (txn, kind) in [("2", "m.thread"), ("3", "m.reference")] {
        let content = json!({ "msgtype": "m.text", "body": kind, "m.relates_to": { "rel_type": kind, "event_id": root } });
        let path = format!("/v3/rooms/{room}/send/m.room.message/{txn}");
        server.put(&path, &alice, content).await.ok();
    }
    let filter = "%7B%22org.matrix.msc3874.rel_types%22%3A%5B%22m.thread%22%5D%7D";
    let path = format!("/v3/rooms/{room}/messages?dir=b&filter={filter}");
    let told = server.get(&path, &alice).await.ok();
    assert_eq!(texts(&told["chunk"]), ["m.thread"]);
    // There may be more that the filter chooses, until a page says otherwise.
    let path = format!("{path}&from={}", told["end"].as_str().unwrap());
    let told = server.get(&path, &alice).await.ok();
    assert_eq!(
        (texts(&told["chunk"]), &told["end"]),
        (vec![], &Value::Null)
    );
}

#[tokio::test]
async fn members_are_told_as_they_were_at_a_place() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = server
        .room(&alice, json!({ "preset": "public_chat" }))
        .await;
    let told = server.get("/v3/sync", &alice).await.ok();
    let (beginning, then) = (
        told["rooms"]["join"][&room]["timeline"]["prev_batch"].clone(),
        told["next_batch"].clone(),
    );
    server
        .post(&format!("/v3/join/{room}"), &bob, json!({}))
        .await
        .ok();
    for (place, members) in [(&beginning, 1), (&then, 1), (&Value::Null, 2)] {
        let at = place
            .as_str()
            .map_or(String::new(), |at| format!("?at={at}"));
        let path = format!("/v3/rooms/{room}/members{at}");
        let told = server.get(&path, &alice).await.ok();
        assert_eq!(told["chunk"].as_array().unwrap().len(), members, "{path}");
    }
}

#[tokio::test]
async fn a_search_says_how_much_there_is_on_every_page() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let room = server.room(&alice, json!({})).await;
    for number in 0..5 {
        server
            .say(
                &alice,
                &room,
                &number.to_string(),
                &format!("cake {number}"),
            )
            .await;
    }
    let ask = json!({ "search_categories": { "room_events": { "search_term": "cake", "order_by": "recent", "filter": { "limit": 3 } } } });
    let mut from = String::new();
    for wanted in [vec!["cake 4", "cake 3", "cake 2"], vec!["cake 1", "cake 0"]] {
        let path = format!("/v3/search?next_batch={from}");
        let told = server.post(&path, &alice, ask.clone()).await.ok();
        let found = &told["search_categories"]["room_events"];
        let results = found["results"].as_array().unwrap();
        let bodies: Vec<&str> = results
            .iter()
            .map(|found| found["result"]["content"]["body"].as_str().unwrap())
            .collect();
        assert_eq!((bodies, &found["count"]), (wanted, &json!(5)));
        from = found["next_batch"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!(from, "");
    server
        .post("/v3/search?next_batch=t1.x", &alice, ask)
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_room_does_not_call_itself_by_an_alias_that_is_gone() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let room = server
        .room(&alice, json!({ "room_alias_name": "one" }))
        .await;
    let two = "/v3/directory/room/%23two:localhost";
    server
        .put(two, &alice, json!({ "room_id": room }))
        .await
        .ok();
    let names = format!("/v3/rooms/{room}/state/m.room.canonical_alias");
    let both = json!({ "alias": "#one:localhost", "alt_aliases": ["#two:localhost"] });
    server.put(&names, &alice, both).await.ok();
    server
        .put(&names, &alice, json!({ "alias": "#no alias" }))
        .await
        .refused(400, "M_INVALID_PARAM");
    server.delete(two, &alice, Value::Null).await.ok();
    assert_eq!(
        server.get(&names, &alice).await.ok(),
        json!({ "alias": "#one:localhost" })
    );
    let one = "/v3/directory/room/%23one:localhost";
    server.delete(one, &alice, Value::Null).await.ok();
    assert_eq!(server.get(&names, &alice).await.ok(), json!({}));
}

#[tokio::test]
async fn state_is_set_and_read_under_every_spelling() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let room = server.room(&alice, json!({ "name": "Old" })).await;
    for (number, path) in ["m.room.name", "m.room.name/"].iter().enumerate() {
        let path = format!("/v3/rooms/{room}/state/{path}");
        server
            .put(&path, &alice, json!({ "name": format!("New {number}") }))
            .await
            .ok();
        assert_eq!(
            server.get(&path, &alice).await.ok()["name"],
            format!("New {number}")
        );
    }
    let event = server
        .get(
            &format!("/v3/rooms/{room}/state/m.room.name?format=event"),
            &alice,
        )
        .await
        .ok();
    assert_eq!(
        (&event["type"], &event["state_key"], &event["sender"]),
        (
            &json!("m.room.name"),
            &json!(""),
            &json!("@alice:localhost")
        )
    );
    server
        .get(&format!("/v3/rooms/{room}/state/m.room.avatar"), &alice)
        .await
        .refused(404, "M_NOT_FOUND");
    let create = format!("/v3/rooms/{room}/state/m.room.create");
    assert!(
        server
            .put(&create, &alice, json!({}))
            .await
            .status
            .is_client_error()
    );
    let all = server
        .get(&format!("/v3/rooms/{room}/state"), &alice)
        .await
        .ok();
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .any(|event| event["type"] == "m.room.create")
    );
    let bob = server.register("bob").await;
    server
        .get(&format!("/v3/rooms/{room}/state"), &bob)
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn memberships_go_their_ways_and_no_others() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = server.room(&alice, json!({})).await;
    let path = |verb: &str| format!("/v3/rooms/{room}/{verb}");
    let bobs = json!({ "user_id": "@bob:localhost", "reason": "because" });

    server
        .post(&path("join"), &bob, json!({}))
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .post(&path("invite"), &alice, bobs.clone())
        .await
        .ok();
    server.post(&path("join"), &bob, json!({})).await.ok();
    server
        .post(&path("unban"), &alice, bobs.clone())
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .post(
            &path("kick"),
            &bob,
            json!({ "user_id": "@alice:localhost" }),
        )
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .post(&path("forget"), &bob, json!({}))
        .await
        .refused(400, "M_UNKNOWN");
    server.post(&path("kick"), &alice, bobs.clone()).await.ok();
    server
        .post(&path("kick"), &alice, bobs.clone())
        .await
        .refused(403, "M_FORBIDDEN");
    server.post(&path("ban"), &alice, bobs.clone()).await.ok();
    // A kick would lift the ban.
    server
        .post(&path("kick"), &alice, bobs.clone())
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .post(&path("invite"), &alice, bobs.clone())
        .await
        .refused(403, "M_FORBIDDEN");
    server.post(&path("unban"), &alice, bobs.clone()).await.ok();
    server.post(&path("forget"), &bob, json!({})).await.ok();
    server.post(&path("invite"), &alice, bobs).await.ok();
    server.post(&path("leave"), &bob, json!({})).await.ok();
    let members = server
        .get(&path("members?membership=leave"), &alice)
        .await
        .ok();
    assert_eq!(members["chunk"][0]["state_key"], "@bob:localhost");
    server
        .get(&path("members?membership=nonsense"), &alice)
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn an_invite_that_is_not_wanted_does_not_arrive() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let path = "/v3/user/@bob:localhost/account_data/m.invite_permission_config";
    server
        .put(path, &bob, json!({ "default_action": "block" }))
        .await
        .ok();
    let room = server.room(&alice, json!({})).await;
    let invite = json!({ "user_id": "@bob:localhost" });
    server
        .post(&format!("/v3/rooms/{room}/invite"), &alice, invite)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    server
        .post(
            "/v3/createRoom",
            &alice,
            json!({ "invite": ["@bob:localhost"] }),
        )
        .await
        .refused(403, "M_INVITE_BLOCKED");
}

#[tokio::test]
async fn rooms_begin_as_they_are_asked_to_or_not_at_all() {
    let server = Server::open();
    let alice = server.register("alice").await;
    for (ask, status, code) in [
        (
            json!({ "room_version": "nonsense" }),
            400,
            "M_UNSUPPORTED_ROOM_VERSION",
        ),
        (json!({ "room_version": 1 }), 400, "M_BAD_JSON"),
        (json!({ "name": 1 }), 400, "M_BAD_JSON"),
        (json!({ "preset": "nonsense" }), 400, "M_INVALID_PARAM"),
        (json!({ "room_alias_name": "a b" }), 400, "M_INVALID_PARAM"),
        (
            json!({ "power_level_content_override": { "users": { "@alice:localhost": 1 } } }),
            400,
            "M_INVALID_PARAM",
        ),
        (
            json!({ "initial_state": [{ "type": "m.room.member", "content": {} }] }),
            400,
            "M_INVALID_ROOM_STATE",
        ),
    ] {
        server
            .post("/v3/createRoom", &alice, ask)
            .await
            .refused(status, code);
    }
    server
        .room(&alice, json!({ "room_alias_name": "taken" }))
        .await;
    server
        .post(
            "/v3/createRoom",
            &alice,
            json!({ "room_alias_name": "taken" }),
        )
        .await
        .refused(400, "M_ROOM_IN_USE");
    for version in 1..=12 {
        let room = server
            .room(
                &alice,
                json!({ "room_version": version.to_string(), "topic": "T" }),
            )
            .await;
        let create = server
            .get(&format!("/v3/rooms/{room}/state/m.room.create"), &alice)
            .await
            .ok();
        assert_eq!(create["room_version"], version.to_string());
        let topic = server
            .get(&format!("/v3/rooms/{room}/state/m.room.topic"), &alice)
            .await
            .ok();
        assert_eq!(topic["m.topic"]["m.text"][0]["body"], "T");
    }
}

#[tokio::test]
async fn what_is_taken_back_is_gone() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = server
        .room(&alice, json!({ "preset": "public_chat" }))
        .await;
    server
        .post(&format!("/v3/rooms/{room}/join"), &bob, json!({}))
        .await
        .ok();
    let said = server.say(&alice, &room, "1", "regrettable").await;
    server
        .put(
            &format!("/v3/rooms/{room}/redact/{said}/2"),
            &bob,
            json!({}),
        )
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .put(
            &format!("/v3/rooms/{room}/redact/{said}/2"),
            &alice,
            json!({ "reason": "oops" }),
        )
        .await
        .ok();
    let event = server
        .get(&format!("/v3/rooms/{room}/event/{said}"), &bob)
        .await
        .ok();
    assert_eq!(event["content"], json!({}));
    assert_eq!(
        event["unsigned"]["redacted_because"]["content"]["reason"],
        "oops"
    );
    let found = server
        .post(
            "/v3/search",
            &bob,
            json!({ "search_categories": { "room_events": { "search_term": "regrettable" } } }),
        )
        .await
        .ok();
    assert_eq!(
        found["search_categories"]["room_events"]["results"],
        json!([])
    );
}

#[tokio::test]
async fn relations_threads_and_search_find_what_was_said() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let room = server.room(&alice, json!({})).await;
    let root = server
        .say(&alice, &room, "1", "the beginning of a thread")
        .await;
    let reply = json!({ "msgtype": "m.text", "body": "an answer", "m.relates_to": { "rel_type": "m.thread", "event_id": root } });
    server
        .put(
            &format!("/v3/rooms/{room}/send/m.room.message/2"),
            &alice,
            reply,
        )
        .await
        .ok();
    for path in ["", "/m.thread", "/m.thread/m.room.message"] {
        let told = server
            .get(&format!("/v1/rooms/{room}/relations/{root}{path}"), &alice)
            .await
            .ok();
        assert_eq!(texts(&told["chunk"]), ["an answer"], "{path}");
    }
    let threads = server
        .get(&format!("/v1/rooms/{room}/threads"), &alice)
        .await
        .ok();
    assert_eq!(threads["chunk"][0]["event_id"], *root);
    let ask = json!({ "search_categories": { "room_events": { "search_term": "answer", "order_by": "recent" } } });
    let found = server.post("/v3/search", &alice, ask).await.ok();
    let results = &found["search_categories"]["room_events"]["results"];
    assert_eq!(results[0]["result"]["content"]["body"], "an answer");
    assert_eq!(
        texts(&results[0]["context"]["events_before"]),
        ["the beginning of a thread"]
    );
}

#[tokio::test]
async fn public_rooms_are_listed_found_and_summarised() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let tea = server
        .room(
            &alice,
            json!({ "visibility": "public", "name": "Tea house", "room_alias_name": "tea" }),
        )
        .await;
    server
        .room(
            &alice,
            json!({ "visibility": "public", "name": "Coffee house" }),
        )
        .await;
    let all = server.get("/v3/publicRooms?limit=1", "").await.ok();
    assert_eq!(
        (
            all["chunk"].as_array().unwrap().len(),
            &all["total_room_count_estimate"]
        ),
        (1, &json!(2))
    );
    let rest = server
        .get(
            &format!(
                "/v3/publicRooms?limit=1&since={}",
                all["next_batch"].as_str().unwrap()
            ),
            "",
        )
        .await
        .ok();
    assert!(rest["next_batch"].is_null());
    let found = server
        .post(
            "/v3/publicRooms",
            &bob,
            json!({ "filter": { "generic_search_term": "tea" } }),
        )
        .await
        .ok();
    assert_eq!(found["chunk"][0]["room_id"], *tea);
    assert_eq!(found["chunk"][0]["canonical_alias"], "#tea:localhost");
    for path in [
        "/v1/room_summary/%23tea:localhost",
        "/unstable/im.nheko.summary/summary/%23tea:localhost",
        "/unstable/im.nheko.summary/rooms/%23tea:localhost/summary",
    ] {
        let summary = server.get(path, &bob).await.ok();
        assert_eq!(
            (&summary["room_id"], &summary["membership"]),
            (&json!(tea), &json!("leave")),
            "{path}"
        );
    }
    assert_eq!(
        server
            .get(&format!("/v3/directory/list/room/{tea}"), "")
            .await
            .ok()["visibility"],
        "public"
    );
    server
        .put(
            &format!("/v3/directory/list/room/{tea}"),
            &bob,
            json!({ "visibility": "private" }),
        )
        .await
        .refused(403, "M_FORBIDDEN");
    server
        .get("/v3/directory/room/%23nothing:localhost", "")
        .await
        .refused(404, "M_NOT_FOUND");
    server
        .put(
            "/v3/directory/room/%23tea:localhost",
            &alice,
            json!({ "room_id": tea }),
        )
        .await
        .refused(409, "M_UNKNOWN");
    let people = server
        .post(
            "/v3/user_directory/search",
            &bob,
            json!({ "search_term": "ali" }),
        )
        .await
        .ok();
    assert_eq!(people["results"][0]["user_id"], "@alice:localhost");
}

#[tokio::test]
async fn a_room_moves_to_another_version() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let old = server
        .room(
            &alice,
            json!({ "room_version": "10", "name": "Movers", "room_alias_name": "movers" }),
        )
        .await;
    server
        .post(
            &format!("/v3/rooms/{old}/upgrade"),
            &alice,
            json!({ "new_version": "nonsense" }),
        )
        .await
        .refused(400, "M_UNSUPPORTED_ROOM_VERSION");
    let rule_of = |room: &str| format!("/v3/pushrules/global/room/{room}");
    server
        .put(
            &rule_of(&old),
            &alice,
            json!({ "actions": ["dont_notify"] }),
        )
        .await
        .ok();
    let tag = format!("/v3/user/@alice:localhost/rooms/{old}/tags/m.favourite");
    server.put(&tag, &alice, json!({})).await.ok();
    let told = server
        .post(
            &format!("/v3/rooms/{old}/upgrade"),
            &alice,
            json!({ "new_version": "12" }),
        )
        .await
        .ok();
    let new = told["replacement_room"].as_str().unwrap();
    for (rule, replaced) in [(&rule_of(&old), &old), (&rule_of(new), &new.to_owned())] {
        let told = server.get(rule, &alice).await.ok();
        assert_eq!(told["actions"], json!(["dont_notify"]), "{replaced}");
    }
    let tags = format!("/v3/user/@alice:localhost/rooms/{new}/tags");
    assert_eq!(
        server.get(&tags, &alice).await.ok()["tags"],
        json!({ "m.favourite": {} })
    );
    assert_eq!(
        server
            .get(&format!("/v3/rooms/{old}/state/m.room.tombstone"), &alice)
            .await
            .ok()["replacement_room"],
        *new
    );
    assert_eq!(
        server
            .get(&format!("/v3/rooms/{new}/state/m.room.create"), &alice)
            .await
            .ok()["predecessor"]["room_id"],
        *old
    );
    assert_eq!(
        server
            .get("/v3/directory/room/%23movers:localhost", "")
            .await
            .ok()["room_id"],
        *new
    );
}

#[tokio::test]
async fn a_space_shows_its_rooms() {
    let server = Server::open();
    let alice = server.register("alice").await;
    let space = server
        .room(
            &alice,
            json!({ "creation_content": { "type": "m.space" }, "name": "S" }),
        )
        .await;
    let child = server.room(&alice, json!({ "name": "C" })).await;
    server
        .put(
            &format!("/v3/rooms/{space}/state/m.space.child/{child}"),
            &alice,
            json!({ "via": ["localhost"] }),
        )
        .await
        .ok();
    let tree = server
        .get(&format!("/v1/rooms/{space}/hierarchy"), &alice)
        .await
        .ok();
    let names: Vec<_> = tree["rooms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|room| room["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["S", "C"]);
    assert_eq!(tree["rooms"][0]["children_state"][0]["state_key"], *child);
    let first = server
        .get(&format!("/v1/rooms/{space}/hierarchy?limit=1"), &alice)
        .await
        .ok();
    let from = first["next_batch"].as_str().unwrap();
    let second = server
        .get(
            &format!("/v1/rooms/{space}/hierarchy?limit=1&from={from}"),
            &alice,
        )
        .await
        .ok();
    assert_eq!(second["rooms"][0]["name"], "C");
    server
        .get(
            &format!("/v1/rooms/{space}/hierarchy?suggested_only=true&from={from}"),
            &alice,
        )
        .await
        .refused(400, "M_INVALID_PARAM");
    let bob = server.register("bob").await;
    server
        .get(&format!("/v1/rooms/{space}/hierarchy"), &bob)
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn an_event_can_be_put_off_and_sent_by_whoever_knows_its_id() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = server.room(&alice, json!({})).await;
    let delayed = "/unstable/org.matrix.msc4140/delayed_events";
    let path = format!("/v3/rooms/{room}/state/org.example.call/k");
    let put_off = format!("{path}?org.matrix.msc4140.delay=60000");
    let told = server.put(&put_off, &alice, json!({ "a": 1 })).await.ok();
    let id = told["delay_id"].as_str().unwrap();
    let told = server.get(delayed, &alice).await.ok();
    let waiting = &told["delayed_events"][0];
    assert_eq!(
        (
            &waiting["delay_id"],
            &waiting["state_key"],
            &waiting["content"]
        ),
        (&json!(id), &json!("k"), &json!({ "a": 1 }))
    );
    assert_eq!(
        server.get(delayed, &bob).await.ok(),
        json!({ "delayed_events": [] })
    );
    let update = |action: &str| format!("{delayed}/{id}/{action}");
    server
        .post(&update("oops"), "", json!({}))
        .await
        .refused(404, "M_NOT_FOUND");
    server.post(&update("restart"), "", json!({})).await.ok();
    server.get(&path, &alice).await.refused(404, "M_NOT_FOUND");
    server.post(&update("send"), "", json!({})).await.ok();
    assert_eq!(server.get(&path, &alice).await.ok(), json!({ "a": 1 }));
    server
        .post(
            &format!("{delayed}/{id}"),
            "",
            json!({ "action": "cancel" }),
        )
        .await
        .refused(404, "M_NOT_FOUND");

    let say = format!("/v3/rooms/{room}/send/m.room.message/1?org.matrix.msc4140.delay=60000");
    let first = server
        .put(&say, &alice, json!({ "body": "later" }))
        .await
        .ok();
    assert_eq!(server.put(&say, &alice, Value::Null).await.ok(), first);
    server
        .put(&say, &bob, json!({ "body": "later" }))
        .await
        .refused(403, "M_FORBIDDEN");
    let year = format!("{path}?org.matrix.msc4140.delay=31536000000");
    let told = server.put(&year, &alice, json!({})).await;
    assert_eq!(told.body["org.matrix.msc4140.max_delay"], 86_400_000);
    told.refused(400, "M_UNKNOWN");
    let member =
        format!("/v3/rooms/{room}/state/m.room.member/@alice:localhost?org.matrix.msc4140.delay=1");
    server
        .put(&member, &alice, json!({ "membership": "leave" }))
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn reading_and_typing_is_told() {
    let server = Server::open();
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = server
        .room(&alice, json!({ "preset": "public_chat" }))
        .await;
    server
        .post(&format!("/v3/rooms/{room}/join"), &bob, json!({}))
        .await
        .ok();
    let said = server.say(&alice, &room, "1", "read this").await;
    server
        .post(
            &format!("/v3/rooms/{room}/receipt/m.read/{said}"),
            &bob,
            json!({}),
        )
        .await
        .ok();
    server
        .post(
            &format!("/v3/rooms/{room}/receipt/m.nonsense/{said}"),
            &bob,
            json!({}),
        )
        .await
        .refused(400, "M_INVALID_PARAM");
    server
        .post(
            &format!("/v3/rooms/{room}/read_markers"),
            &bob,
            json!({ "m.fully_read": said }),
        )
        .await
        .ok();
    server
        .put(
            &format!("/v3/rooms/{room}/typing/@bob:localhost"),
            &bob,
            json!({ "typing": true, "timeout": 10_000 }),
        )
        .await
        .ok();
    server
        .put(
            &format!("/v3/rooms/{room}/typing/@alice:localhost"),
            &bob,
            json!({ "typing": true, "timeout": 10_000 }),
        )
        .await
        .refused(403, "M_FORBIDDEN");
    let told = server.get("/v3/sync", &alice).await.ok();
    let ephemeral = told["rooms"]["join"][&room]["ephemeral"]["events"]
        .as_array()
        .unwrap();
    let kinds: Vec<_> = ephemeral
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"m.typing") && kinds.contains(&"m.receipt"),
        "{kinds:?}"
    );
    let data = server
        .get(
            &format!("/v3/user/@bob:localhost/rooms/{room}/account_data/m.fully_read"),
            &bob,
        )
        .await
        .ok();
    assert_eq!(data["event_id"], *said);
}
