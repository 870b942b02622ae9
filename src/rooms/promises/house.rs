//! A small server for tests: its rooms, its people by first name, and short ways to ask and to look.

use base::config::RoomsConfig;
use base::{ManualClock, SeededRandom};
use peers::Peers;
use peers::loopback::Network;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId};
use serde_json::{Map, Value, json};
use store::{Order, Pos, RoomNo, Snapshot, Store};

use crate::visibility::Viewer;
use crate::*;

pub(super) struct House {
    pub(super) rooms: Rooms,
    pub(super) store: Store,
    pub(super) clock: ManualClock,
}

pub(super) fn user(name: &str) -> OwnedUserId {
    OwnedUserId::try_from(format!("@{name}:here")).unwrap()
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub(super) fn first(event_type: &str, content: Value) -> FirstState {
    FirstState {
        event_type: event_type.to_owned(),
        state_key: String::new(),
        content,
    }
}

/// The beginning of a room as `actions` would plan it.
pub(super) fn new_room(version: &str, creator: &str, join_rule: &str) -> NewRoom {
    let rules = event::Rules::named(version).unwrap();
    let creator = user(creator);
    let users = if rules.auth.supreme_creators {
        json!({})
    } else {
        json!({ creator.as_str(): 100 })
    };
    NewRoom {
        version: RoomVersionId::try_from(version).unwrap(),
        create: Map::new(),
        creator_content: object(json!({ "displayname": creator.localpart() })),
        state: vec![
            first(
                "m.room.power_levels",
                json!({ "users": users, "invite": 0 }),
            ),
            first("m.room.join_rules", json!({ "join_rule": join_rule })),
            first(
                "m.room.history_visibility",
                json!({ "history_visibility": "shared" }),
            ),
            first("m.room.guest_access", json!({ "guest_access": "can_join" })),
        ],
        invite: Vec::new(),
        alias: None,
        listed: false,
        timestamp: None,
        creator,
    }
}

impl House {
    pub(super) fn new() -> Self {
        Self::on(Store::memory())
    }

    pub(super) fn on(store: Store) -> Self {
        let clock = ManualClock::plausible();
        let peers = Peers::for_tests("here".try_into().unwrap(), &Network::new());
        let rooms = Rooms::new(
            &RoomsConfig::default(),
            store.clone(),
            peers,
            clock.shared(),
            SeededRandom::new(1).shared(),
        );
        Self {
            rooms,
            store,
            clock,
        }
    }

    pub(super) async fn room(&self, version: &str, creator: &str, join_rule: &str) -> OwnedRoomId {
        let new = new_room(version, creator, join_rule);
        self.rooms.create(new).await.unwrap().room_id
    }

    pub(super) fn s(&self) -> Snapshot {
        self.store.snapshot()
    }

    pub(super) fn no(&self, room: &OwnedRoomId) -> RoomNo {
        members::room(&self.s(), room).unwrap()
    }

    pub(super) async fn say(
        &self,
        room: &OwnedRoomId,
        who: &str,
        body: &str,
    ) -> Result<OwnedEventId> {
        self.send(
            room,
            who,
            "m.room.message",
            json!({ "msgtype": "m.text", "body": body }),
        )
        .await
    }

    pub(super) async fn send(
        &self,
        room: &OwnedRoomId,
        who: &str,
        event_type: &str,
        content: Value,
    ) -> Result<OwnedEventId> {
        Ok(self
            .send_txn(room, who, event_type, content, None)
            .await?
            .event_id)
    }

    pub(super) async fn send_txn(
        &self,
        room: &OwnedRoomId,
        who: &str,
        event_type: &str,
        content: Value,
        txn: Option<&str>,
    ) -> Result<Sent> {
        let say = Say {
            room_id: room.clone(),
            sender: user(who),
            event_type: event_type.to_owned(),
            content: serde_json::value::to_raw_value(&content).unwrap(),
            timestamp: None,
        };
        let txn = txn.map(|id| Txn {
            device: "DEVICE".to_owned(),
            scope: event_type.to_owned(),
            id: id.to_owned(),
        });
        self.rooms.send(say, txn).await
    }

    pub(super) async fn set(
        &self,
        room: &OwnedRoomId,
        who: &str,
        event_type: &str,
        state_key: &str,
        content: Value,
    ) -> Result<OwnedEventId> {
        let set = SetState::new(room.clone(), user(who), event_type, state_key, &content)?;
        Ok(self.rooms.set_state(set).await?.event_id)
    }

    pub(super) async fn change(
        &self,
        room: &OwnedRoomId,
        who: &str,
        target: &str,
        membership: Membership,
    ) -> Result<OwnedEventId> {
        let change = Change {
            room_id: room.clone(),
            sender: user(who),
            target: user(target),
            membership,
            only_from: &[],
            content: object(json!({ "displayname": target })),
            timestamp: None,
        };
        Ok(self.rooms.change_membership(change).await?.event_id)
    }

    pub(super) async fn join(&self, room: &OwnedRoomId, who: &str) -> Result<OwnedEventId> {
        self.change(room, who, who, Membership::Join).await
    }

    pub(super) async fn leave(&self, room: &OwnedRoomId, who: &str) -> Result<OwnedEventId> {
        self.change(room, who, who, Membership::Leave).await
    }

    pub(super) async fn redact(
        &self,
        room: &OwnedRoomId,
        who: &str,
        event: &OwnedEventId,
    ) -> Result<Sent> {
        let redact = Redact {
            room_id: room.clone(),
            sender: user(who),
            event_id: event.clone(),
            content: object(json!({ "reason": "spam" })),
            timestamp: None,
        };
        self.rooms.redact(redact, None).await
    }

    pub(super) fn event(&self, room: &OwnedRoomId, event: &OwnedEventId) -> Stored {
        Stored::find(&self.s(), self.no(room), event)
            .unwrap()
            .unwrap()
    }

    /// The event as a client gets it.
    pub(super) fn client(&self, room: &OwnedRoomId, event: &OwnedEventId) -> Value {
        let mut out = String::new();
        self.event(room, event)
            .write_client(Some(room), "", &mut out);
        serde_json::from_str(&out).unwrap()
    }

    /// The whole timeline, oldest first: positions and IDs.
    pub(super) fn timeline(&self, room: &OwnedRoomId) -> Vec<(Pos, String)> {
        let s = self.s();
        let page =
            timeline::page(&s, self.no(room), Pos::ZERO, None, Order::Forward, 100_000).unwrap();
        let place = |event: &Stored| (event.pos().unwrap(), event.event_id().to_owned());
        page.events.iter().map(place).collect()
    }

    pub(super) fn types(&self, room: &OwnedRoomId) -> Vec<String> {
        let s = self.s();
        let page =
            timeline::page(&s, self.no(room), Pos::ZERO, None, Order::Forward, 100_000).unwrap();
        page.events
            .iter()
            .map(|event| event.event_type().into_owned())
            .collect()
    }

    pub(super) fn sees(&self, room: &OwnedRoomId, who: &str, event: &OwnedEventId) -> bool {
        let s = self.s();
        let viewer = Viewer::new(&s, self.no(room), s.user_no(&user(who)).unwrap()).unwrap();
        viewer.sees(&self.event(room, event)).unwrap()
    }

    pub(super) fn standing(&self, room: &OwnedRoomId, who: &str) -> Option<members::Standing> {
        members::standing_of(&self.s(), self.no(room), &user(who)).unwrap()
    }

    pub(super) fn state(&self, room: &OwnedRoomId, event_type: &str, key: &str) -> Option<Value> {
        let event = state::now::get(&self.s(), self.no(room), event_type, key).unwrap()?;
        event.content()
    }
}
