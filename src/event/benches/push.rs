//! One message judged for a thousand users by the default rules, with `ruma` on the same input in the same run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench")]

use criterion::{Criterion, criterion_group, criterion_main};
use event::push::{Context, FlatEvent, Outcome, Parts, evaluate};
use ruma::push::{PushConditionRoomCtx, Ruleset};
use ruma::serde::Raw;
use ruma::{UserId, event_id, room_id, uint, user_id};
use serde_json::{Value, json};
use std::hint::black_box;
use std::pin::pin;
use std::task::Poll;

const USERS: usize = 1_000;

fn thousand_users(criterion: &mut Criterion) {
    let content = json!({ "msgtype": "m.text", "body": "What about tea? The usual place, at four.", "m.mentions": { "user_ids": ["@u7:example.org"] } });
    let sender = user_id!("@sender:example.org");
    let users: Vec<_> = (0..USERS)
        .map(|at| UserId::parse(format!("@u{at}:example.org")).unwrap())
        .collect();
    let rules: Vec<_> = users
        .iter()
        .map(|user| Ruleset::server_default(user))
        .collect();
    let mut group = criterion.benchmark_group("a message for 1,000 users");
    group.sample_size(20);

    let raw_content = serde_json::value::to_raw_value(&content).unwrap();
    group.bench_function("ours", |bench| {
        bench.iter(|| {
            let event = FlatEvent::new(Parts {
                event_id: event_id!("$it"),
                room_id: room_id!("!room:example.org"),
                event_type: "m.room.message",
                sender,
                state_key: None,
                origin_server_ts: 5,
                content: &raw_content,
            });
            let notified = users.iter().zip(&rules).filter(|(user, rules)| {
                let cx = Context {
                    user_id: user,
                    display_name: None,
                    member_count: 1_001,
                    may_notify: &|_| false,
                    follows_thread: None,
                };
                Outcome::of(evaluate(rules, &event, &cx)).notify
            });
            assert_eq!(black_box(notified.count()), USERS);
        });
    });

    let json = json!({ "event_id": "$it", "room_id": "!room:example.org", "type": "m.room.message", "sender": sender, "origin_server_ts": 5, "content": content });
    let raw: Raw<Value> = Raw::new(&json).unwrap();
    group.bench_function("ruma", |bench| {
        let rooms: Vec<_> = users
            .iter()
            .map(|user| {
                PushConditionRoomCtx::new(
                    room_id!("!room:example.org").to_owned(),
                    uint!(1001),
                    user.clone(),
                    String::new(),
                )
            })
            .collect();
        bench.iter(|| {
            let notified = rooms.iter().zip(&rules).filter(|(cx, rules)| {
                let actions = pin!(rules.get_actions(&raw, cx))
                    .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                let Poll::Ready(actions) = actions else {
                    panic!("ruma only waits for thread subscriptions")
                };
                actions.iter().any(ruma::push::Action::should_notify)
            });
            assert_eq!(black_box(notified.count()), USERS);
        });
    });
    group.finish();
}

criterion_group!(benches, thousand_users);
criterion_main!(benches);
