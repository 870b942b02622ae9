//! What an answer costs, counted in reads of the engine: a figure that no busy machine changes.

use std::time::Duration;

use serde_json::{Value, json};

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

/// CPU time of this process so far, in ticks of ten milliseconds.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit_once(')').unwrap().1;
    let fields = after.split_whitespace();
    let fields: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
    fields[11] + fields[12]
}

/// Not run by default: `cargo test --release -p sync -- --ignored --nocapture figures`.
#[tokio::test]
#[ignore = "measures the machine"]
async fn figures() {
    let wants = [
        ("m.room.name", ""),
        ("m.room.create", ""),
        ("m.room.encryption", ""),
        ("m.room.member", "$LAZY"),
        ("m.room.member", "$ME"),
        ("m.space.child", "*"),
    ];
    for rooms in [20, 200, 1_000] {
        let (house, bob) = with_rooms(rooms).await;
        let ask = |range: u64| json!({ "lists": { "all": { "ranges": [[0, range]], "timeline_limit": 10, "required_state": wants } } });
        let room = house.room("alice", "public", "shared").await;
        house.join(&room, "bob").await;
        let now = Duration::ZERO;
        for (what, range) in [("20 rooms", 19), ("all rooms", 99_999)] {
            let times = if range == 19 { 200 } else { 5 };
            let start = cpu();
            let mut pos = String::new();
            for _ in 0..times {
                let answer = house.slide(&bob.who, None, now, &ask(range)).await.unwrap();
                pos = answer["pos"].as_str().unwrap().to_owned();
            }
            let each = (cpu() - start) * 10_000 / times;
            println!("{rooms} rooms joined, {what} from the beginning: {each} µs CPU");
            let start = cpu();
            for body in 0..300 {
                house.say(&room, "alice", &body.to_string()).await;
                let answer = house
                    .slide(&bob.who, Some(&pos), now, &ask(range))
                    .await
                    .unwrap();
                pos = answer["pos"].as_str().unwrap().to_owned();
            }
            let each = (cpu() - start) * 10_000 / 300;
            println!(
                "{rooms} rooms joined, {what} shown, one message said and told: {each} µs CPU"
            );
        }
    }
}
