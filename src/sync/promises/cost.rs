//! What an answer costs, counted in reads of the engine: a figure that no busy machine changes.

use serde_json::Value;

use super::house::{Asks, Client, House};

async fn with_rooms(count: usize) -> (House, Client) {
    let house = House::of(&["alice", "bob"]).await;
    for _ in 0..count {
        let room = house.room("alice", "public", "shared").await;
        house.join(&room, "bob").await;
        for body in 0..20 {
            house.say(&room, "alice", &body.to_string()).await;
        }
    }
    let bob = house.client("bob", "B", Asks::default()).await;
    (house, bob)
}

/// Engine reads of one sync, and its answer.
async fn cost(house: &House, client: &mut Client) -> (u64, Value) {
    let before = house.store.calls();
    let answer = client.sync(house).await;
    (house.store.calls() - before, answer)
}

#[tokio::test]
async fn nothing_new_costs_the_same_for_one_room_and_for_a_hundred() {
    let mut costs = Vec::new();
    for rooms in [1, 100] {
        let (house, mut bob) = with_rooms(rooms).await;
        bob.sync(&house).await;
        bob.sync(&house).await;
        let (calls, answer) = cost(&house, &mut bob).await;
        assert!(answer.get("rooms").is_none());
        costs.push(calls);
    }
    assert_eq!(costs[0], costs[1]);
    assert_eq!(costs[0], 0, "a bell that has not been rung says it all");
}

#[tokio::test]
async fn a_message_costs_what_concerns_its_room() {
    let (house, mut bob) = with_rooms(100).await;
    bob.sync(&house).await;
    let room = bob
        .joined
        .keys()
        .next()
        .unwrap()
        .as_str()
        .try_into()
        .unwrap();
    let mut calls = Vec::new();
    for _ in 0..3 {
        house.say(&room, "alice", "one more").await;
        let (cost, answer) = cost(&house, &mut bob).await;
        assert_eq!(answer["rooms"]["join"].as_object().unwrap().len(), 1);
        calls.push(cost);
    }
    assert!(calls.iter().all(|calls| *calls <= 7), "{calls:?}");
}

#[tokio::test]
async fn somebody_who_comes_anew_costs_a_few_reads_per_room() {
    let (house, mut bob) = with_rooms(50).await;
    let (calls, answer) = cost(&house, &mut bob).await;
    assert_eq!(answer["rooms"]["join"].as_object().unwrap().len(), 50);
    assert!(calls <= 50 * 21, "{calls}");
}
