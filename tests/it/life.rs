//! A server's life: people talk, and it stops.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::house::{House, read};

#[tokio::test]
async fn somebody_registers_makes_a_room_speaks_and_is_heard() {
    let house = House::start().await;
    let (alice, bob) = (house.register("alice").await, house.register("bob").await);
    let room = alice
        .create_room(json!({ "preset": "public_chat", "name": "Kitchen" }))
        .await;
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
        .await;
    let before = bob.get("/_matrix/client/v3/sync").await;
    let since = before["next_batch"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/sync?since={since}&timeout=15000");
    let waiting = bob.get(&path);
    let speaking = async {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
        alice
            .put(
                &path,
                json!({ "msgtype": "m.text", "body": "tea is ready" }),
            )
            .await
    };
    let (heard, said) = tokio::join!(waiting, speaking);
    let events = heard["rooms"]["join"][&room]["timeline"]["events"]
        .as_array()
        .unwrap();
    let tea = events
        .iter()
        .find(|event| event["event_id"] == said["event_id"])
        .unwrap();
    assert_eq!(tea["content"]["body"], "tea is ready");
    assert_eq!(tea["sender"], json!(alice.user_id));
}

#[tokio::test]
async fn a_stopping_server_answers_who_waits_and_takes_nobody_else() {
    let house = House::start().await;
    let alice = house.register("alice").await;
    let since = alice.get("/_matrix/client/v3/sync").await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    let waiting = alice.ask(
        Method::GET,
        &format!("/_matrix/client/v3/sync?since={since}&timeout=15000"),
    );
    let waiting = waiting.send();
    let stopping = async {
        // The long poll counts as one more task as soon as it has arrived.
        let tasks = house.wired.supervisor.tasks();
        let before = tasks.count();
        for _ in 0..500 {
            if tasks.count() > before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(
            house
                .wired
                .supervisor
                .shutdown(Duration::from_secs(10))
                .await
        );
    };
    let (waited, ()) = tokio::join!(waiting, stopping);
    let (status, told) = read(waited.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert!(
        house
            .ask(Method::GET, "/_matrix/client/versions")
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn health_and_readiness_are_told() {
    let house = House::start().await;
    for path in ["/_myelin/health", "/_myelin/ready"] {
        let (status, told) = read(house.ask(Method::GET, path).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{told}");
    }
}
