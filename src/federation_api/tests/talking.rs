//! What goes on in a room shared between servers: messages both ways, what is edited and removed, who reads, types and is there, and messages
//! from device to device.

use serde_json::{Value, json};

use super::town::{Person, device_keys, town};

/// How many answers of a sync somebody looks at before they give up.
const PATIENCE: usize = 100;

/// Somebody who syncs.
struct Client<'p> {
    who: &'p Person<'p>,
    since: String,
}

impl<'p> Client<'p> {
    /// From now on.
    async fn of(who: &'p Person<'p>) -> Self {
        let sync = who.get("/v3/sync").await.ok();
        Self {
            who,
            since: sync["next_batch"].as_str().unwrap().to_owned(),
        }
    }

    /// Syncs until something is told.
    async fn until<T>(&mut self, what: &str, found: impl Fn(&Value) -> Option<T>) -> T {
        for _ in 0..PATIENCE {
            let path = format!("/v3/sync?timeout=1000&since={}", self.since);
            let sync = self.who.get(&path).await.ok();
            self.since = sync["next_batch"].as_str().unwrap().to_owned();
            if let Some(found) = found(&sync) {
                return found;
            }
        }
        panic!("{} is not told of {what}", self.who.id);
    }

    /// Syncs until an event with such a content is in a room's timeline.
    async fn hears(&mut self, room: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until(what, |sync| {
            let events = sync["rooms"]["join"][room]["timeline"]["events"].as_array()?;
            events.iter().find(|event| fits(event)).cloned()
        })
        .await
    }
}

async fn shared_room(alice: &Person<'_>, bob: &Person<'_>, version: &str) -> String {
    let ask = json!({ "preset": "public_chat", "room_version": version });
    let told = alice.post("/v3/createRoom", ask).await.ok();
    let room = told["room_id"].as_str().unwrap().to_owned();
    let path = format!("/v3/join/{room}?via={}", alice.server.name);
    bob.post(&path, json!({})).await.ok();
    room
}

async fn send(who: &Person<'_>, room: &str, txn: &str, content: Value) -> String {
    let path = format!("/v3/rooms/{room}/send/m.room.message/{txn}");
    let told = who.put(&path, content).await.ok();
    told["event_id"].as_str().unwrap().to_owned()
}

fn says(text: &str) -> Value {
    json!({ "msgtype": "m.text", "body": text })
}

#[tokio::test]
async fn messages_reach_the_other_server_in_order() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    for version in ["6", "12"] {
        let room = shared_room(&alice, &bob, version).await;
        let (mut at_one, mut at_two) = (Client::of(&alice).await, Client::of(&bob).await);
        for number in 0..20 {
            let (here, there) = (format!("a{number}"), format!("b{number}"));
            send(&alice, &room, &here, says(&here)).await;
            at_two
                .hears(&room, &here, |event| {
                    event["content"]["body"] == here.as_str()
                })
                .await;
            send(&bob, &room, &there, says(&there)).await;
            at_one
                .hears(&room, &there, |event| {
                    event["content"]["body"] == there.as_str()
                })
                .await;
        }
        let mut told = Vec::new();
        for who in [&alice, &bob] {
            let path = format!("/v3/rooms/{room}/messages?dir=b&limit=40");
            let page = who.get(&path).await.ok();
            let events = page["chunk"].as_array().unwrap();
            let ids: Vec<Value> = events
                .iter()
                .map(|event| event["event_id"].clone())
                .collect();
            told.push(ids);
        }
        assert_eq!(
            told[0], told[1],
            "version {version}: the same events in the same order"
        );
    }
}

#[tokio::test]
async fn edits_and_redactions_reach_the_other_server() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    let room = shared_room(&alice, &bob, "11").await;
    let mut at_two = Client::of(&bob).await;
    let said = send(&alice, &room, "1", says("frist")).await;
    at_two
        .hears(&room, "the message", |event| {
            event["event_id"] == said.as_str()
        })
        .await;
    let edit = json!({
        "msgtype": "m.text", "body": "* first", "m.new_content": says("first"),
        "m.relates_to": { "rel_type": "m.replace", "event_id": said },
    });
    let edited = send(&alice, &room, "2", edit).await;
    at_two
        .hears(&room, "the edit", |event| {
            event["event_id"] == edited.as_str()
        })
        .await;
    let shown = bob
        .get(&format!("/v3/rooms/{room}/event/{said}"))
        .await
        .ok();
    assert_eq!(
        shown["unsigned"]["m.relations"]["m.replace"]["event_id"],
        edited.as_str(),
        "{shown}"
    );
    alice
        .put(&format!("/v3/rooms/{room}/redact/{said}/3"), json!({}))
        .await
        .ok();
    at_two
        .hears(&room, "the redaction", |event| {
            event["type"] == "m.room.redaction"
        })
        .await;
    let shown = bob
        .get(&format!("/v3/rooms/{room}/event/{said}"))
        .await
        .ok();
    assert_eq!(shown["content"], json!({}));
}

#[tokio::test]
async fn receipts_typing_and_presence_reach_the_other_server() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    let room = shared_room(&alice, &bob, "12").await;
    let (mut at_one, mut at_two) = (Client::of(&alice).await, Client::of(&bob).await);
    let said = send(&alice, &room, "1", says("hello")).await;
    at_two
        .hears(&room, "the message", |event| {
            event["event_id"] == said.as_str()
        })
        .await;
    bob.post(
        &format!("/v3/rooms/{room}/receipt/m.read/{said}"),
        json!({}),
    )
    .await
    .ok();
    at_one
        .until("the receipt", |sync| {
            let events = sync["rooms"]["join"][&room]["ephemeral"]["events"].as_array()?;
            events
                .iter()
                .find(|event| event["content"][&said]["m.read"][&bob.id].is_object())
                .cloned()
        })
        .await;
    let path = format!("/v3/rooms/{room}/typing/{}", bob.id);
    bob.put(&path, json!({ "typing": true, "timeout": 30_000 }))
        .await
        .ok();
    at_one
        .until("typing", |sync| {
            let events = sync["rooms"]["join"][&room]["ephemeral"]["events"].as_array()?;
            events
                .iter()
                .find(|event| event["content"]["user_ids"] == json!([bob.id]))
                .cloned()
        })
        .await;
    let path = format!("/v3/presence/{}/status", bob.id);
    bob.put(&path, json!({ "presence": "online", "status_msg": "here" }))
        .await
        .ok();
    at_one
        .until("presence", |sync| {
            let events = sync["presence"]["events"].as_array()?;
            events
                .iter()
                .find(|event| event["content"]["status_msg"] == "here")
                .cloned()
        })
        .await;
}

#[tokio::test]
async fn messages_to_devices_and_changes_of_devices_reach_the_other_server() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    shared_room(&alice, &bob, "12").await;
    let (mut at_one, mut at_two) = (Client::of(&alice).await, Client::of(&bob).await);
    for number in 0..3 {
        let messages = json!({ "messages": { &bob.id: { &bob.device: { "n": number } } } });
        for _ in 0..2 {
            alice
                .put(
                    &format!("/v3/sendToDevice/m.test/{number}"),
                    messages.clone(),
                )
                .await
                .ok();
        }
    }
    let mut got = Vec::new();
    while got.len() < 3 {
        got.extend(
            at_two
                .until("messages", |sync| {
                    let events = sync["to_device"]["events"].as_array()?;
                    (!events.is_empty()).then(|| events.clone())
                })
                .await,
        );
    }
    let numbers: Vec<&Value> = got.iter().map(|event| &event["content"]["n"]).collect();
    assert_eq!(numbers, [0, 1, 2], "each once, in order");
    let keys = device_keys(&bob);
    bob.post("/v3/keys/upload", json!({ "device_keys": keys }))
        .await
        .ok();
    at_one
        .until("the changed devices", |sync| {
            let changed = sync["device_lists"]["changed"].as_array()?;
            changed
                .iter()
                .find(|user| **user == bob.id.as_str())
                .cloned()
        })
        .await;
    let told = alice
        .post("/v3/keys/query", json!({ "device_keys": { &bob.id: [] } }))
        .await
        .ok();
    assert_eq!(
        told["device_keys"][&bob.id][&bob.device]["keys"], keys["keys"],
        "{told}"
    );
}

#[tokio::test]
async fn people_leave_come_back_and_are_thrown_out_across_servers() {
    let (_, [one, two]) = town(["one.example", "two.example"]);
    let (alice, bob) = (one.register("alice").await, two.register("bob").await);
    let room = shared_room(&alice, &bob, "12").await;
    let mut at_one = Client::of(&alice).await;
    let is = |membership: &'static str| {
        move |event: &Value| {
            event["type"] == "m.room.member" && event["content"]["membership"] == membership
        }
    };
    bob.post(&format!("/v3/rooms/{room}/leave"), json!({}))
        .await
        .ok();
    at_one.hears(&room, "the departure", is("leave")).await;
    send(&alice, &room, "1", says("while you were away")).await;
    bob.post(&format!("/v3/join/{room}?via=one.example"), json!({}))
        .await
        .ok();
    at_one.hears(&room, "the return", is("join")).await;
    let mut at_two = Client::of(&bob).await;
    send(&alice, &room, "2", says("welcome back")).await;
    at_two
        .hears(&room, "the greeting", |event| {
            event["content"]["body"] == "welcome back"
        })
        .await;
    for (verb, again) in [("kick", true), ("ban", false)] {
        let body = json!({ "user_id": bob.id, "reason": verb });
        alice
            .post(&format!("/v3/rooms/{room}/{verb}"), body)
            .await
            .ok();
        at_two
            .until(verb, |sync| {
                sync["rooms"]["leave"][&room].as_object().cloned()
            })
            .await;
        let told = bob
            .post(&format!("/v3/join/{room}?via=one.example"), json!({}))
            .await;
        assert_eq!(told.status == 200, again, "{verb}: {}", told.body);
    }
}
