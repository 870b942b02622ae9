//! What things cost, on the memory engine. Not run by default: `cargo test --release -p rooms -- --ignored --nocapture figures`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use store::{Order, Pos};

use super::house::{House, new_room, user};
use crate::visibility::Viewer;
use crate::*;

/// CPU time of this process so far, in hundredths of a second.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<u64> = after
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    fields[11] + fields[12]
}

struct Watch(u64, Instant);

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "this measures the machine")]
    fn start() -> Self {
        Self(cpu(), Instant::now())
    }

    fn tell(&self, what: &str, times: u64) {
        let wall = self.1.elapsed();
        let each = (cpu() - self.0) * 10_000 / times;
        println!(
            "{what}: {each} µs CPU, {:.0} µs wall each, {:.0} per second",
            micros(wall) / times as f64,
            times as f64 / wall.as_secs_f64()
        );
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures the machine"]
async fn figures() {
    let house = Arc::new(House::new());
    let room = house.room("12", "alice", "public").await;

    let watch = Watch::start();
    for n in 0..5_000_u64 {
        house
            .send_txn(
                &room,
                "alice",
                "m.room.message",
                json!({ "msgtype": "m.text", "body": "hello there" }),
                Some(&n.to_string()),
            )
            .await
            .unwrap();
    }
    watch.tell("send, one sender", 5_000);

    for one_room in [true, false] {
        let mut senders = Vec::new();
        for n in 0..64 {
            let name = format!("u{n}");
            let room = if one_room {
                house.join(&room, &name).await.unwrap();
                room.clone()
            } else {
                house.room("12", &name, "public").await
            };
            senders.push((name, room));
        }
        let watch = Watch::start();
        let tasks = senders.into_iter().map(|(name, room)| {
            let house = house.clone();
            async move {
                for n in 0..500 {
                    house
                        .send_txn(
                            &room,
                            &name,
                            "m.room.message",
                            json!({ "msgtype": "m.text", "body": "hello there" }),
                            Some(&format!("b{n}")),
                        )
                        .await
                        .unwrap();
                }
            }
        });
        let tasks: Vec<_> = tasks
            .map(|task| {
                let handle = tokio::runtime::Handle::current();
                handle.spawn(task)
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        watch.tell(
            if one_room {
                "send, 64 senders in one room"
            } else {
                "send, 64 senders in 64 rooms"
            },
            32_000,
        );
    }

    let watch = Watch::start();
    for _ in 0..500 {
        house.clock.advance(Duration::from_millis(1));
        house
            .rooms
            .create(new_room("12", "alice", "public"))
            .await
            .unwrap();
    }
    watch.tell("create a room of six events", 500);

    let big = house.room("12", "alice", "public").await;
    for n in 0..3 {
        let watch = Watch::start();
        for m in 0..1_000 {
            house.join(&big, &format!("m{n}x{m}")).await.unwrap();
        }
        watch.tell(&format!("join a room of {}", n * 1_000), 1_000);
    }
    let watch = Watch::start();
    for _ in 0..2_000 {
        house.say(&big, "m0x5", "hello there").await.unwrap();
    }
    watch.tell("send in a room of 3,000", 2_000);

    let s = house.s();
    for (what, room, from) in [
        ("messages", &room, Pos::MAX),
        (
            "joins",
            &big,
            house
                .event(&big, &house.join(&big, "late").await.unwrap())
                .pos()
                .unwrap(),
        ),
    ] {
        let from = if what == "joins" {
            timeline::page(&s, house.no(room), from, None, Order::Backward, 2_010)
                .unwrap()
                .next
                .unwrap()
        } else {
            from
        };
        let watch = Watch::start();
        for _ in 0..300 {
            let viewer =
                Viewer::new(&s, house.no(room), s.user_no(&user("alice")).unwrap()).unwrap();
            let page =
                timeline::page(&s, house.no(room), from, None, Order::Backward, 100).unwrap();
            let events = viewer.filter(page.events).unwrap();
            let bundles =
                relations::bundles(&s, viewer.user(), &events, &Default::default()).unwrap();
            let mut out = String::new();
            for event in &events {
                event.write_client(Some(room), "", &mut out);
            }
            assert_eq!(bundles.len(), 100);
        }
        watch.tell(&format!("a page of 100 {what}"), 300);
    }
}
