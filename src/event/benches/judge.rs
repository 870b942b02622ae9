//! Judging an event, beside ruma-state-res: with the state's events in memory as a room's lane holds them, and fresh from the store.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark may stop"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use event::auth::{AuthState, judge};
use event::{Pdu, Rules};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UserId, uint};
use ruma_state_res::{Event, check_state_dependent_auth_rules};
use serde_json::value::RawValue;
use serde_json::{Value, json};

struct Theirs {
    pdu: Pdu,
    event_id: OwnedEventId,
    event_type: TimelineEventType,
}

impl Theirs {
    fn new(pdu: &Pdu) -> Self {
        Self {
            pdu: pdu.clone(),
            event_id: pdu.event_id().to_owned(),
            event_type: pdu.event_type().into(),
        }
    }
}

impl Event for Theirs {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }
    fn room_id(&self) -> Option<&RoomId> {
        Some(self.pdu.room_id())
    }
    fn sender(&self) -> &UserId {
        self.pdu.sender()
    }
    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(uint!(1))
    }
    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }
    fn content(&self) -> &RawValue {
        self.pdu.content()
    }
    fn state_key(&self) -> Option<&str> {
        self.pdu.state_key()
    }
    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.prev_events().iter())
    }
    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.pdu.auth_events().iter())
    }
    fn redacts(&self) -> Option<&OwnedEventId> {
        None
    }
    fn rejected(&self) -> bool {
        false
    }
}

fn event(sender: &str, event_type: &str, state_key: Option<&str>, content: &Value) -> Pdu {
    let id = format!("${}:one", event_type.replace('.', "_"));
    let mut json = json!({
        "type": event_type, "sender": sender, "content": content, "room_id": "!r:one", "origin_server_ts": 1, "depth": 1,
        "prev_events": ["$p:one"], "auth_events": [], "hashes": {}, "signatures": {},
    });
    if let Some(state_key) = state_key {
        json["state_key"] = json!(state_key);
    }
    Pdu::from_stored(
        EventId::parse(id).unwrap(),
        RoomId::parse("!r:one").unwrap(),
        json.to_string(),
    )
    .unwrap()
}

fn state() -> Vec<Pdu> {
    let users: Value = (0..20)
        .map(|n| (format!("@user{n}:one"), json!(50)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let levels = json!({
        "users": users, "users_default": 0, "events_default": 0, "state_default": 50, "ban": 50, "kick": 50, "redact": 50, "invite": 0,
        "events": {"m.room.name": 50, "m.room.power_levels": 100, "m.room.history_visibility": 100, "m.room.tombstone": 100},
    });
    vec![
        event(
            "@user0:one",
            "m.room.create",
            Some(""),
            &json!({"room_version": "11"}),
        ),
        event("@user0:one", "m.room.power_levels", Some(""), &levels),
        event(
            "@user0:one",
            "m.room.join_rules",
            Some(""),
            &json!({"join_rule": "public"}),
        ),
        event(
            "@user1:one",
            "m.room.member",
            Some("@user1:one"),
            &json!({"membership": "join", "displayname": "One"}),
        ),
    ]
}

fn judging(criterion: &mut Criterion) {
    let rules = Rules::named("11").unwrap();
    let theirs = rules.room_version().rules().unwrap().authorization;
    let state = state();
    let mut levels: Value = serde_json::from_str(state[1].content_str()).unwrap();
    levels["users"]["@user30:one"] = json!(10);
    for (name, incoming) in [
        (
            "message",
            event(
                "@user1:one",
                "m.room.message",
                None,
                &json!({"body": "hello", "msgtype": "m.text"}),
            ),
        ),
        (
            "join",
            event(
                "@user2:one",
                "m.room.member",
                Some("@user2:one"),
                &json!({"membership": "join"}),
            ),
        ),
        (
            "levels",
            event("@user1:one", "m.room.topic", Some(""), &levels),
        ),
    ] {
        let mut group = criterion.benchmark_group(name);
        assert!(judge(&incoming, &state, rules).is_allowed());
        group.bench_function("held", |bench| {
            bench.iter(|| judge(black_box(&incoming), &state, rules));
        });
        let copy = |pdu: &Pdu| {
            Pdu::from_stored(
                pdu.event_id().to_owned(),
                pdu.room_id().to_owned(),
                pdu.json(),
            )
            .unwrap()
        };
        group.bench_function("fresh", |bench| {
            bench.iter_batched(
                || (copy(&incoming), state.iter().map(copy).collect::<Vec<_>>()),
                |(incoming, state)| (judge(black_box(&incoming), &state, rules), incoming, state),
                criterion::BatchSize::SmallInput,
            );
        });
        let (other, others) = (
            Theirs::new(&incoming),
            state.iter().map(Theirs::new).collect::<Vec<_>>(),
        );
        let find = |event_type: &StateEventType, key: &str| {
            let wanted = TimelineEventType::from(event_type.clone());
            others
                .iter()
                .find(|event| event.event_type == wanted && event.state_key() == Some(key))
        };
        group.bench_function("ruma", |bench| {
            bench.iter(|| {
                check_state_dependent_auth_rules(&theirs, black_box(&other), find).unwrap();
            });
        });
    }
    let found = AuthState::get(&state, "m.room.member", "@user1:one");
    assert!(found.is_some());
}

criterion_group!(benches, judging);
criterion_main!(benches);
