//! A small server for tests, and clients that believe what they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::config::RoomsConfig;
use base::{ManualClock, SeededRandom, Supervisor};
use peers::Peers;
use peers::loopback::Network;
use rooms::{Change, FirstState, Membership, NewRoom, Redact, Rooms, Say, Sent, SetState, Txn};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId};
use serde_json::{Map, Value, json};
use store::Store;
use users::registration::Registration;
use users::sessions::NewSession;
use users::{Identity, Settings, Users};

use crate::{Dialect, Params, Sync};

pub(super) struct House {
    pub(super) store: Store,
    pub(super) rooms: Rooms,
    pub(super) users: Users,
    pub(super) clock: ManualClock,
    pub(super) sync: Sync,
    pub(super) supervisor: Supervisor,
    pub(super) network: Network,
    epochs: u64,
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

impl House {
    /// A server where these people have accounts.
    pub(super) async fn of(names: &[&str]) -> Self {
        let (store, clock) = (Store::memory(), ManualClock::plausible());
        let network = Network::new();
        let peers = Peers::for_tests("here".try_into().unwrap(), &network);
        let random = SeededRandom::new(1).shared();
        let rooms = Rooms::new(
            &RoomsConfig::default(),
            store.clone(),
            peers,
            clock.shared(),
            random.clone(),
        );
        let here = "here".try_into().unwrap();
        let users = Users::new(
            Settings::default(),
            here,
            store.clone(),
            clock.shared(),
            random.clone(),
        );
        let sync = Sync::new(
            store.clone(),
            rooms.clone(),
            users.clone(),
            clock.shared(),
            &random,
        );
        let supervisor = Supervisor::new(clock.shared());
        sync.start(&supervisor);
        let house = Self {
            store,
            rooms,
            users,
            clock,
            sync,
            supervisor,
            network,
            epochs: 1,
        };
        for name in names {
            let wanted = Registration {
                username: Some((*name).to_owned()),
                ..Registration::default()
            };
            house.users.register(wanted).await.unwrap();
        }
        house
    }

    /// Lets everything that `sync` has in memory go, as a restart does.
    pub(super) async fn restart_sync(&mut self) {
        self.supervisor.shutdown(Duration::from_secs(5)).await;
        self.epochs += 1;
        let random = SeededRandom::new(self.epochs).shared();
        let (store, rooms, users) = (self.store.clone(), self.rooms.clone(), self.users.clone());
        self.sync = Sync::new(store, rooms, users, self.clock.shared(), &random);
        self.supervisor = Supervisor::new(self.clock.shared());
        self.sync.start(&self.supervisor);
    }

    pub(super) async fn identity(&self, name: &str, device: &str) -> Arc<Identity> {
        let wanted = NewSession {
            device_id: Some(device.into()),
            ..NewSession::default()
        };
        let tokens = self.users.open_session(&user(name), wanted).await.unwrap();
        self.users
            .authenticate(tokens.access_token.expose())
            .await
            .unwrap()
    }

    pub(super) async fn client(&self, name: &str, device: &str, asks: Asks) -> Client {
        Client::new(self.identity(name, device).await, asks)
    }

    pub(super) async fn room(
        &self,
        creator: &str,
        join_rule: &str,
        visibility: &str,
    ) -> OwnedRoomId {
        let first = |event_type: &str, content: Value| FirstState {
            event_type: event_type.to_owned(),
            state_key: String::new(),
            content,
        };
        let creator = user(creator);
        let new = NewRoom {
            version: RoomVersionId::try_from("11").unwrap(),
            create: Map::new(),
            creator_content: object(json!({ "displayname": creator.localpart() })),
            state: vec![
                first(
                    "m.room.power_levels",
                    json!({ "users": { creator.as_str(): 100 }, "invite": 0, "state_default": 0 }),
                ),
                first("m.room.join_rules", json!({ "join_rule": join_rule })),
                first(
                    "m.room.history_visibility",
                    json!({ "history_visibility": visibility }),
                ),
            ],
            invite: Vec::new(),
            alias: None,
            listed: false,
            timestamp: None,
            creator,
        };
        self.rooms.create(new).await.unwrap().room_id
    }

    pub(super) async fn send(
        &self,
        room: &OwnedRoomId,
        who: &str,
        kind: &str,
        content: Value,
    ) -> rooms::Result<Sent> {
        self.send_txn(room, who, kind, content, None).await
    }

    pub(super) async fn send_txn(
        &self,
        room: &OwnedRoomId,
        who: &str,
        kind: &str,
        content: Value,
        txn: Option<(&str, &str)>,
    ) -> rooms::Result<Sent> {
        let say = Say {
            room_id: room.clone(),
            sender: user(who),
            event_type: kind.to_owned(),
            content: serde_json::value::to_raw_value(&content).unwrap(),
            timestamp: None,
        };
        let txn = txn.map(|(device, id)| Txn {
            device: device.to_owned(),
            scope: kind.to_owned(),
            id: id.to_owned(),
        });
        self.rooms.send(say, txn).await
    }

    pub(super) async fn say(&self, room: &OwnedRoomId, who: &str, body: &str) -> OwnedEventId {
        let content = json!({ "msgtype": "m.text", "body": body });
        self.send(room, who, "m.room.message", content)
            .await
            .unwrap()
            .event_id
    }

    pub(super) async fn set(
        &self,
        room: &OwnedRoomId,
        who: &str,
        kind: &str,
        content: Value,
    ) -> rooms::Result<Sent> {
        let set = SetState::new(room.clone(), user(who), kind, "", &content).unwrap();
        self.rooms.set_state(set).await
    }

    pub(super) async fn change(
        &self,
        room: &OwnedRoomId,
        who: &str,
        target: &str,
        membership: Membership,
    ) -> rooms::Result<Sent> {
        let change = Change {
            room_id: room.clone(),
            sender: user(who),
            target: user(target),
            membership,
            only_from: &[],
            content: object(json!({ "displayname": target })),
            timestamp: None,
        };
        self.rooms.change_membership(change).await
    }

    pub(super) async fn join(&self, room: &OwnedRoomId, who: &str) -> OwnedEventId {
        self.change(room, who, who, Membership::Join)
            .await
            .unwrap()
            .event_id
    }

    pub(super) async fn redact(
        &self,
        room: &OwnedRoomId,
        who: &str,
        event: &OwnedEventId,
    ) -> rooms::Result<Sent> {
        let redact = Redact {
            room_id: room.clone(),
            sender: user(who),
            event_id: event.clone(),
            content: Map::new(),
            timestamp: None,
        };
        self.rooms.redact(redact, None).await
    }

    pub(super) async fn ask(&self, who: &Identity, params: Params) -> Value {
        let body = self.sync.classic(who, params).await.unwrap();
        serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)))
    }
}

impl House {
    /// Asks by sliding sync.
    pub(super) async fn slide(
        &self,
        who: &Identity,
        pos: Option<&str>,
        timeout: Duration,
        body: &Value,
    ) -> crate::Result<Value> {
        let params = crate::SlidingParams {
            pos: pos.map(str::to_owned),
            timeout,
            set_presence: None,
            body: body.to_string().into_bytes(),
        };
        let body = self.sync.sliding(who, params).await?;
        Ok(serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body))))
    }
}

/// How a client asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Asks {
    pub(super) filter: Value,
    pub(super) dialect: Dialect,
}

/// What a client believes of a room.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Belief {
    /// Type and state key → event.
    pub(super) state: BTreeMap<(String, String), String>,
    pub(super) notifications: u64,
    pub(super) highlights: u64,
}

/// A client that believes what it is told.
pub(super) struct Client {
    pub(super) who: Arc<Identity>,
    pub(super) asks: Asks,
    pub(super) since: Option<String>,
    pub(super) joined: BTreeMap<String, Belief>,
    pub(super) left: BTreeMap<String, Belief>,
    pub(super) invited: BTreeSet<String>,
}

impl Client {
    fn new(who: Arc<Identity>, asks: Asks) -> Self {
        Self {
            who,
            asks,
            since: None,
            joined: BTreeMap::new(),
            left: BTreeMap::new(),
            invited: BTreeSet::new(),
        }
    }

    pub(super) fn params(&self) -> Params {
        Params {
            since: self.since.clone(),
            filter: (!self.asks.filter.is_null()).then(|| self.asks.filter.to_string()),
            dialect: self.asks.dialect,
            ..Params::default()
        }
    }

    /// Asks, without waiting, and believes the answer.
    pub(super) async fn sync(&mut self, house: &House) -> Value {
        let answer = house.ask(&self.who, self.params()).await;
        self.believe(&answer);
        answer
    }

    /// Asks, and waits for something to be told.
    pub(super) async fn wait(&mut self, house: &House) -> Value {
        let params = Params {
            timeout: Duration::from_secs(30),
            ..self.params()
        };
        let answer = house.ask(&self.who, params).await;
        self.believe(&answer);
        answer
    }

    pub(super) fn believe(&mut self, answer: &Value) {
        self.since = Some(answer["next_batch"].as_str().unwrap().to_owned());
        for (room, told) in entries(&answer["rooms"]["invite"]) {
            self.invited.insert(room.clone());
            self.left.remove(room);
            self.joined.remove(room);
            assert!(told["invite_state"]["events"].is_array());
        }
        for (room, told) in entries(&answer["rooms"]["join"]) {
            self.invited.remove(room);
            self.left.remove(room);
            let dialect = self.asks.dialect;
            let belief = self.joined.entry(room.clone()).or_default();
            belief.take(told, dialect);
            let counts = &told["unread_notifications"];
            belief.notifications = counts["notification_count"].as_u64().unwrap();
            belief.highlights = counts["highlight_count"].as_u64().unwrap();
        }
        for (room, told) in entries(&answer["rooms"]["leave"]) {
            self.invited.remove(room);
            let mut belief = self.joined.remove(room).unwrap_or_default();
            belief.take(told, self.asks.dialect);
            self.left.insert(room.clone(), belief);
        }
    }
}

impl Belief {
    fn take(&mut self, told: &Value, dialect: Dialect) {
        let beside = list(&told[dialect.key()]["events"]);
        let timeline = list(&told["timeline"]["events"]);
        let applies = if dialect == Dialect::State {
            timeline
        } else {
            Vec::new()
        };
        if dialect != Dialect::State {
            assert!(told[dialect.key()]["events"].is_array(), "{told}");
            assert!(told.get("state").is_none());
        }
        for event in beside.into_iter().chain(applies) {
            if let Some(key) = event.get("state_key") {
                let key = (
                    event["type"].as_str().unwrap().to_owned(),
                    key.as_str().unwrap().to_owned(),
                );
                self.state
                    .insert(key, event["event_id"].as_str().unwrap().to_owned());
            }
        }
    }
}

pub(super) fn entries(value: &Value) -> Vec<(&String, &Value)> {
    value.as_object().into_iter().flatten().collect()
}

pub(super) fn list(value: &Value) -> Vec<&Value> {
    value.as_array().into_iter().flatten().collect()
}

/// The event IDs of a room's timeline in an answer.
pub(super) fn timeline(told: &Value) -> Vec<String> {
    let events = list(&told["timeline"]["events"]);
    events
        .into_iter()
        .map(|event| event["event_id"].as_str().unwrap().to_owned())
        .collect()
}
