//! A server that sends, others that only listen, and rooms in which users of both are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::config::{FederationConfig, RoomsConfig};
use base::{ManualClock, SeededRandom, Supervisor};
use bytes::Bytes;
use event::{Draft, Pdu, auth};
use http::{Request, Response, StatusCode};
use peers::Peers;
use peers::loopback::{Network, refusal};
use rooms::state::At;
use rooms::{FirstState, NewRoom, Rooms, Say, Stored, members, summary, timeline};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomVersionId, UserId};
use serde_json::{Map, Value, json};
use store::memory::Memory;
use store::{RoomNo, Snapshot, Store};
use tokio::sync::Notify;
use users::registration::Registration;
use users::sessions::NewSession;
use users::{Settings, Users};

use crate::{Needs, Outbox};

pub(super) fn server(name: &str) -> OwnedServerName {
    name.try_into().unwrap()
}

pub(super) fn user(id: &str) -> OwnedUserId {
    id.try_into().unwrap()
}

/// A transaction that arrived.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) id: String,
    pub(super) body: Value,
}

impl Got {
    pub(super) fn events(&self) -> Vec<Value> {
        self.body["pdus"].as_array().unwrap().clone()
    }

    pub(super) fn edus(&self, kind: &str) -> Vec<Value> {
        let edus = self.body["edus"].as_array().unwrap().iter();
        edus.filter(|edu| edu["edu_type"] == kind)
            .map(|edu| edu["content"].clone())
            .collect()
    }
}

/// Another server, as far as it listens.
#[derive(Clone, Default)]
pub(super) struct Listener {
    got: Arc<Mutex<Vec<Got>>>,
    /// What it answers instead of yes, one after the other; nothing at all for zero.
    pub(super) answers: Arc<Mutex<Vec<u16>>>,
    some: Arc<Notify>,
}

impl Listener {
    pub(super) fn join(network: &Network, name: &str) -> Self {
        let listener = Self::default();
        let own = listener.clone();
        network.join(&server(name), move |request| own.clone().answer(request));
        listener
    }

    async fn answer(self, request: Request<Bytes>) -> Response<Bytes> {
        let id = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body()).unwrap();
        self.got.lock().unwrap().push(Got { id, body });
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            if answers.is_empty() {
                200
            } else {
                answers.remove(0)
            }
        };
        self.some.notify_one();
        match answer {
            200 => Response::new(Bytes::from_static(b"{\"pdus\":{}}")),
            0 => std::future::pending().await,
            status => refusal(StatusCode::from_u16(status).unwrap(), "no"),
        }
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until what has arrived is as wanted, and gives it.
    pub(super) async fn until(&self, wanted: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        loop {
            let got = self.got();
            if wanted(&got) {
                return got;
            }
            self.some.notified().await;
        }
    }

    /// The words of the messages that have arrived, in order.
    pub(super) fn words(&self) -> Vec<String> {
        words(&self.got())
    }

    pub(super) async fn until_words(&self, count: usize) -> Vec<String> {
        words(&self.until(|got| words(got).len() >= count).await)
    }
}

pub(super) fn words(got: &[Got]) -> Vec<String> {
    let events = got.iter().flat_map(Got::events);
    events
        .filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned()))
        .collect()
}

pub(super) struct House {
    pub(super) engine: Arc<Memory>,
    pub(super) store: Store,
    pub(super) rooms: Rooms,
    pub(super) users: Users,
    pub(super) peers: Peers,
    pub(super) clock: ManualClock,
    pub(super) network: Network,
    pub(super) supervisor: Supervisor,
    pub(super) outbox: Outbox,
}

impl House {
    pub(super) fn new() -> Self {
        Self::on(
            Arc::new(Memory::new()),
            ManualClock::plausible(),
            Network::new(),
            1,
        )
    }

    fn on(engine: Arc<Memory>, clock: ManualClock, network: Network, seed: u64) -> Self {
        let store = Store::open(engine.clone()).unwrap();
        let random = SeededRandom::new(seed).shared();
        let here = server("here");
        let peers = Peers::new(peers::Needs {
            store: store.clone(),
            clock: clock.shared(),
            ..peers::Needs::for_tests(&here, &network)
        })
        .unwrap();
        let rooms = Rooms::new(
            &RoomsConfig::default(),
            store.clone(),
            peers.clone(),
            clock.shared(),
            random.clone(),
        );
        let users = Users::new(
            Settings::default(),
            &here,
            store.clone(),
            clock.shared(),
            random.clone(),
        );
        let config = FederationConfig {
            allowed_addresses: vec!["127.0.0.0/8".parse().unwrap()],
            ..FederationConfig::default()
        };
        let outbox = Outbox::new(Needs {
            store: store.clone(),
            rooms: rooms.clone(),
            users: users.clone(),
            peers: peers.clone(),
            clock: clock.shared(),
            random,
            config,
        })
        .unwrap();
        let supervisor = Supervisor::new(clock.shared());
        Self {
            engine,
            store,
            rooms,
            users,
            peers,
            clock,
            network,
            supervisor,
            outbox,
        }
    }

    pub(super) fn start(&self) {
        self.outbox.start(&self.supervisor);
    }

    /// The same server after the power was cut.
    pub(super) async fn crashed(self) -> Self {
        let engine = Arc::new(self.engine.after_crash());
        self.supervisor.shutdown(Duration::ZERO).await;
        Self::on(engine, self.clock, self.network, 2)
    }

    pub(super) fn s(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// Somebody with an account, logged in with a device.
    pub(super) async fn person(&self, name: &str, device: &str) -> OwnedUserId {
        let wanted = Registration {
            username: Some(name.to_owned()),
            session: Some(NewSession {
                device_id: Some(device.into()),
                ..NewSession::default()
            }),
            ..Registration::default()
        };
        self.users.register(wanted).await.unwrap().user_id
    }

    /// A room that alice made and everybody may join.
    pub(super) async fn room(&self) -> OwnedRoomId {
        let first = |event_type: &str, content: Value| FirstState {
            event_type: event_type.to_owned(),
            state_key: String::new(),
            content,
        };
        let creator = user("@alice:here");
        let new = NewRoom {
            version: RoomVersionId::V11,
            create: Map::new(),
            creator_content: Map::new(),
            state: vec![
                first(
                    "m.room.power_levels",
                    json!({ "users": { creator.as_str(): 100 } }),
                ),
                first("m.room.join_rules", json!({ "join_rule": "public" })),
            ],
            invite: Vec::new(),
            alias: None,
            listed: false,
            timestamp: None,
            creator,
        };
        self.rooms.create(new).await.unwrap().room_id
    }

    pub(super) fn no(&self, room: &OwnedRoomId) -> RoomNo {
        members::room(&self.s(), room).unwrap()
    }

    pub(super) async fn say(&self, room: &OwnedRoomId, words: &str) -> OwnedEventId {
        let content = json!({ "msgtype": "m.text", "body": words });
        let say = Say {
            room_id: room.clone(),
            sender: user("@alice:here"),
            event_type: "m.room.message".to_owned(),
            content: serde_json::value::to_raw_value(&content).unwrap(),
            timestamp: None,
        };
        self.rooms.send(say, None).await.unwrap().event_id
    }

    pub(super) async fn say_all(&self, room: &OwnedRoomId, words: &[String]) {
        for word in words {
            self.say(room, word).await;
        }
    }

    /// Somebody of another server says something in a room or joins it: an event of theirs is taken in.
    pub(super) async fn hear(
        &self,
        room: &OwnedRoomId,
        sender: &UserId,
        (event_type, key): (&str, Option<&str>),
        content: Value,
    ) {
        let pdu = self.elsewhere(room, sender, (event_type, key), &content);
        let (taken, _) = self.rooms.take_in(pdu).await.unwrap();
        assert!(matches!(taken, rooms::Taken::Accepted(_)), "{taken:?}");
    }

    pub(super) async fn joins(&self, room: &OwnedRoomId, who: &str) {
        let who = user(who);
        let what = ("m.room.member", Some(who.as_str()));
        self.hear(room, &who, what, json!({ "membership": "join" }))
            .await;
    }

    fn elsewhere(
        &self,
        room: &OwnedRoomId,
        sender: &UserId,
        (event_type, key): (&str, Option<&str>),
        content: &Value,
    ) -> Pdu {
        let (s, no) = (self.s(), self.no(room));
        let rules = summary::basics(&s, no).unwrap().rules;
        let (_, last) = timeline::last(&s, no).unwrap().unwrap();
        let last = Stored::get(&s, last).unwrap();
        let content = serde_json::value::to_raw_value(content).unwrap();
        let at = At::after(&last);
        let types = auth::auth_types(rules, event_type, sender, key, &content);
        let auth: Vec<Pdu> = types
            .iter()
            .filter_map(|(event_type, key)| at.get(&s, event_type, key).unwrap())
            .map(|event| event.pdu(room).unwrap())
            .collect();
        let draft = Draft {
            room_id: Some(room.clone()),
            sender: sender.to_owned(),
            event_type: event_type.to_owned(),
            state_key: key.map(str::to_owned),
            content,
            redacts: None,
            origin_server_ts: 1_750_000_000_000,
        };
        let reference = |pdu: &Pdu| pdu.reference(rules).unwrap();
        let follows = vec![reference(&last.pdu(room).unwrap())];
        let auth: Vec<_> = auth.iter().map(reference).collect();
        let own = self.peers.own();
        draft
            .seal(
                rules,
                follows,
                auth,
                last.depth() + 1,
                &own.key,
                &own.server_name,
            )
            .unwrap()
    }

    /// Lets a server speak to us: it is alive.
    pub(super) fn heard_from(&self, name: &str) {
        self.peers.backoff().heard_from(&server(name));
    }

    /// Waits until sending to a server stands as wanted.
    pub(super) async fn until(&self, name: &str, wanted: impl Fn(&crate::Status) -> bool) {
        loop {
            let status = self.outbox.status(&server(name)).await.unwrap();
            if wanted(&status) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A count of something by its name.
pub(super) fn counted(words: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word.as_str()).or_default() += 1;
    }
    counts
}

/// Words with numbers.
pub(super) fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{prefix}{number}"))
        .collect()
}
