//! Several servers in one process, and what passes between them.

#![expect(
    clippy::too_many_arguments,
    clippy::needless_pass_by_value,
    reason = "an event has many parts, and they are written where they are used"
)]

mod gaps;
mod heals;
mod lies;
mod reads;

use std::collections::BTreeSet;
use std::sync::Arc;

use base::config::RoomsConfig;
use base::{ManualClock, SeededRandom, Supervisor};
use bytes::Bytes;
use event::{Draft, Pdu, auth};
use http::{Request, Response, StatusCode};
use peers::loopback::{Network, refusal};
use peers::{Peers, VerifyRequest};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomVersionId};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use store::memory::Memory;
use store::{Order, Pos, Snapshot, Store};

use crate::intake::Import;
use crate::state::At;
use crate::*;

/// A server with the rooms it has.
pub(super) struct Server {
    pub(super) rooms: Rooms,
    pub(super) store: Store,
    pub(super) engine: Arc<Memory>,
    pub(super) clock: ManualClock,
    pub(super) supervisor: Supervisor,
    pub(super) peers: Peers,
    pub(super) network: Network,
    /// What it does not answer: parts of paths.
    pub(super) deaf: Arc<std::sync::Mutex<BTreeSet<&'static str>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.supervisor.stop();
    }
}

pub(super) fn user(name: &str) -> OwnedUserId {
    name.try_into().unwrap()
}

impl Server {
    pub(super) fn new(name: &str, network: &Network) -> Self {
        let engine = Arc::new(Memory::new());
        let name: OwnedServerName = name.try_into().unwrap();
        let server = Self::on(engine, &name, network, ManualClock::plausible());
        server.start();
        server
    }

    /// A server that has not begun to work on what waits.
    pub(super) fn on(
        engine: Arc<Memory>,
        name: &OwnedServerName,
        network: &Network,
        clock: ManualClock,
    ) -> Self {
        let store = Store::open(engine.clone()).unwrap();
        let peers = Peers::for_tests(name, network);
        let rooms = Rooms::new(
            &RoomsConfig::default(),
            store.clone(),
            peers.clone(),
            clock.shared(),
            SeededRandom::new(1).shared(),
        );
        let deaf: Arc<std::sync::Mutex<BTreeSet<&'static str>>> = Arc::default();
        let (answering, ears, own) = (rooms.clone(), deaf.clone(), peers.clone());
        network.join_as(&peers, move |request| {
            let (rooms, ears, own) = (answering.clone(), ears.clone(), own.clone());
            async move {
                let path = request.uri().path();
                if ears.lock().unwrap().iter().any(|part| path.contains(part)) {
                    return refusal(StatusCode::NOT_FOUND, "not told");
                }
                answer(&rooms, &own, request).await
            }
        });
        Self {
            rooms,
            store,
            engine,
            supervisor: Supervisor::new(clock.shared()),
            clock,
            peers,
            network: network.clone(),
            deaf,
        }
    }

    pub(super) fn start(&self) {
        self.rooms.start(&self.supervisor);
    }

    /// What is left of the server after the power failed, as it starts again.
    pub(super) async fn crashed(self) -> Self {
        self.supervisor
            .shutdown(std::time::Duration::from_secs(5))
            .await;
        let engine = Arc::new(self.engine.after_crash());
        let name = self.peers.server_name().to_owned();
        Self::on(engine, &name, &self.network, self.clock.clone())
    }

    pub(super) fn name(&self) -> &ruma::ServerName {
        self.peers.server_name()
    }

    pub(super) fn s(&self) -> Snapshot {
        self.store.snapshot()
    }

    pub(super) fn no(&self, room: &OwnedRoomId) -> RoomNo {
        members::room(&self.s(), room).unwrap()
    }

    pub(super) fn not_answering(&self, part: &'static str) {
        self.deaf.lock().unwrap().insert(part);
    }

    pub(super) fn answering_again(&self) {
        self.deaf.lock().unwrap().clear();
    }

    pub(super) async fn room(&self, version: &str, creator: &str) -> OwnedRoomId {
        let rules = event::Rules::named(version).unwrap();
        let creator = user(creator);
        let users = if rules.auth.supreme_creators {
            json!({})
        } else {
            json!({ creator.as_str(): 100 })
        };
        let first = |event_type: &str, content: Value| FirstState {
            event_type: event_type.to_owned(),
            state_key: String::new(),
            content,
        };
        let new = NewRoom {
            version: RoomVersionId::try_from(version).unwrap(),
            create: Map::new(),
            creator_content: Map::new(),
            state: vec![
                first(
                    "m.room.power_levels",
                    json!({ "users": users, "state_default": 0 }),
                ),
                first("m.room.join_rules", json!({ "join_rule": "public" })),
                first(
                    "m.room.history_visibility",
                    json!({ "history_visibility": "shared" }),
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

    pub(super) async fn say(&self, room: &OwnedRoomId, who: &str, body: &str) -> OwnedEventId {
        let say = Say {
            room_id: room.clone(),
            sender: user(who),
            event_type: "m.room.message".to_owned(),
            content: compose::raw(&json!({ "msgtype": "m.text", "body": body })).unwrap(),
            timestamp: None,
        };
        self.rooms.send(say, None).await.unwrap().event_id
    }

    pub(super) async fn set(
        &self,
        room: &OwnedRoomId,
        who: &str,
        (event_type, key): (&str, &str),
        content: Value,
    ) -> OwnedEventId {
        let set = SetState::new(room.clone(), user(who), event_type, key, &content).unwrap();
        self.rooms.set_state(set).await.unwrap().event_id
    }

    /// The event as it is federated.
    pub(super) fn raw(&self, room: &OwnedRoomId, event: &OwnedEventId) -> Box<RawValue> {
        let s = self.s();
        let stored = Stored::find_any(&s, self.no(room), event).unwrap().unwrap();
        RawValue::from_string(stored.json().to_owned()).unwrap()
    }

    /// Sends events of ours to another server, and waits until it has looked at them.
    pub(super) async fn deliver(
        &self,
        to: &Self,
        room: &OwnedRoomId,
        events: &[OwnedEventId],
    ) -> Vec<Received> {
        let raws = events.iter().map(|event| self.raw(room, event)).collect();
        let answer = to.rooms.receive(self.name(), raws).await.unwrap();
        to.rooms.settled(room).await.unwrap();
        answer
    }

    /// Events accepted into the timeline, oldest first.
    pub(super) fn timeline(&self, room: &OwnedRoomId) -> Vec<String> {
        let s = self.s();
        let page =
            timeline::page(&s, self.no(room), Pos::ZERO, None, Order::Forward, 100_000).unwrap();
        let ids = page.events.iter().map(|event| event.event_id().to_owned());
        ids.collect()
    }

    pub(super) fn has(&self, room: &OwnedRoomId, event: &OwnedEventId) -> bool {
        self.timeline(room).iter().any(|id| id == event.as_str())
    }

    pub(super) fn fate(&self, event: &OwnedEventId) -> Option<explain::Fate> {
        let explained = explain::event(&self.s(), event);
        explained.ok().map(|explained| explained.fate)
    }

    /// The present state as IDs; told in three ways, but alike.
    pub(super) fn state(&self, room: &OwnedRoomId) -> BTreeSet<String> {
        let (s, no) = (self.s(), self.no(room));
        let ids = |list: Vec<(StateKeyNo, EventNo)>| -> BTreeSet<String> {
            let ids = list
                .into_iter()
                .map(|(_, event)| s.event_id(event).unwrap());
            ids.map(|id| id.to_string()).collect()
        };
        let now = ids(state::now::all(&s, no).unwrap());
        assert_eq!(now, ids(At::now(&s, no).unwrap().all(&s).unwrap()));
        let mut joined = BTreeSet::new();
        for member in members::list(&s, no, Membership::Join) {
            let user = s.user_id(member.unwrap().user).unwrap();
            joined.insert(user.server_name().to_owned());
        }
        let servers: BTreeSet<_> = servers::in_room(&s, no).unwrap().into_iter().collect();
        assert_eq!(servers, joined);
        now
    }

    /// An event that follows `prev`, written by a server of ours that does not store it.
    pub(super) fn forge(
        &self,
        room: &OwnedRoomId,
        prev: &[Pdu],
        at: &At,
        who: &str,
        (event_type, key): (&str, Option<&str>),
        content: Value,
    ) -> Pdu {
        let s = self.s();
        let rules = summary::basics(&s, self.no(room)).unwrap().rules;
        let content = compose::raw(&content).unwrap();
        let sender = user(who);
        let types = auth::auth_types(rules, event_type, &sender, key, &content);
        let auth: Vec<Pdu> = types
            .iter()
            .filter_map(|(event_type, key)| at.get(&s, event_type, key).unwrap())
            .map(|event| event.pdu(room).unwrap())
            .collect();
        self.seal(room, prev, &auth, who, (event_type, key), content)
    }

    pub(super) fn seal(
        &self,
        room: &OwnedRoomId,
        prev: &[Pdu],
        auth: &[Pdu],
        who: &str,
        (event_type, key): (&str, Option<&str>),
        content: Box<RawValue>,
    ) -> Pdu {
        let s = self.s();
        let rules = summary::basics(&s, self.no(room)).unwrap().rules;
        let draft = Draft {
            room_id: Some(room.clone()),
            sender: user(who),
            event_type: event_type.to_owned(),
            state_key: key.map(str::to_owned),
            content,
            redacts: None,
            origin_server_ts: self.rooms.now(),
        };
        let refs = |pdus: &[Pdu]| {
            let refs = pdus.iter().map(|pdu| pdu.reference(rules).unwrap());
            refs.collect::<Vec<_>>()
        };
        let depth = prev.iter().map(Pdu::depth).max().unwrap_or_default() + 1;
        let own = self.peers.own();
        draft
            .seal(
                rules,
                refs(prev),
                refs(auth),
                depth,
                &own.key,
                &own.server_name,
            )
            .unwrap()
    }

    pub(super) fn tips(&self, room: &OwnedRoomId) -> Vec<Pdu> {
        let s = self.s();
        let head = s
            .get(store::tables::ROOM_HEADS, &self.no(room))
            .unwrap()
            .unwrap();
        let tips = Stored::get_many(&s, &head.tips).unwrap();
        tips.iter().map(|tip| tip.pdu(room).unwrap()).collect()
    }

    /// Lets a user of `joiner` into a room of ours, as a join over federation would.
    pub(super) async fn let_in(&self, joiner: &Self, room: &OwnedRoomId, who: &str) {
        let (s, no) = (self.s(), self.no(room));
        let at = At::now(&s, no).unwrap();
        let rules = summary::basics(&s, no).unwrap().rules;
        let pdu = |no: EventNo| Stored::get(&s, no).unwrap().pdu(room).unwrap();
        let state: Vec<Pdu> = at
            .all(&s)
            .unwrap()
            .into_iter()
            .map(|(_, no)| pdu(no))
            .collect();
        let mut chain: Vec<Pdu> = state.clone();
        let mut at_chain = 0;
        while let Some(next) = chain.get(at_chain).cloned() {
            for id in next.auth_events() {
                if !chain.iter().any(|known| known.event_id() == id) {
                    chain.push(pdu(s.event_no(id).unwrap().unwrap()));
                }
            }
            at_chain += 1;
        }
        let content = compose::raw(&json!({ "membership": "join" })).unwrap();
        let sender = user(who);
        let target = sender.clone();
        let types = auth::auth_types(rules, "m.room.member", &target, Some(who), &content);
        let auth: Vec<Pdu> = types
            .iter()
            .filter_map(|(event_type, key)| at.get(&s, event_type, key).unwrap())
            .map(|event| event.pdu(room).unwrap())
            .collect();
        let draft = Draft {
            room_id: Some(room.clone()),
            sender,
            event_type: "m.room.member".to_owned(),
            state_key: Some(who.to_owned()),
            content,
            redacts: None,
            origin_server_ts: joiner.rooms.now(),
        };
        let refs = |pdus: &[Pdu]| {
            let refs = pdus.iter().map(|pdu| pdu.reference(rules).unwrap());
            refs.collect::<Vec<_>>()
        };
        let tips = self.tips(room);
        let depth = tips.iter().map(Pdu::depth).max().unwrap() + 1;
        let own = joiner.peers.own();
        let join = draft
            .seal(
                rules,
                refs(&tips),
                refs(&auth),
                depth,
                &own.key,
                &own.server_name,
            )
            .unwrap();
        let (taken, _) = self.rooms.take_in(join.clone()).await.unwrap();
        assert!(matches!(taken, Taken::Accepted(_)), "{taken:?}");
        let import = Import {
            room_id: room.clone(),
            version: rules.room_version(),
            auth_chain: chain,
            state,
            event: join,
        };
        joiner.rooms.import(import).await.unwrap();
    }
}

/// Two servers that share a room.
pub(super) async fn pair(version: &str) -> (Server, Server, OwnedRoomId) {
    let network = Network::new();
    let (a, b) = (Server::new("a", &network), Server::new("b", &network));
    let room = a.room(version, "@alice:a").await;
    a.let_in(&b, &room, "@bob:b").await;
    (a, b, room)
}

async fn answer(rooms: &Rooms, own: &Peers, request: Request<Bytes>) -> Response<Bytes> {
    let uri = request.uri().clone();
    let target = uri.path_and_query().unwrap().as_str().to_owned();
    let header = request.headers().get("authorization");
    let asked = VerifyRequest {
        method: request.method().as_str(),
        path_and_query: &target,
        body: Some(request.body()),
        authorization: header.unwrap().to_str().unwrap(),
    };
    let origin = own.verify_request(asked).await.unwrap();
    let segments: Vec<String> = uri.path().split('/').skip(4).map(decode).collect();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let query: Vec<(String, String)> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    let told = tell(
        &rooms.store().snapshot(),
        &origin,
        &parts,
        &query,
        request.body(),
    );
    match told {
        Ok(body) => Response::new(body.into()),
        Err(error) => refusal(StatusCode::FORBIDDEN, &error.to_string()),
    }
}

fn tell(
    s: &Snapshot,
    origin: &ruma::ServerName,
    parts: &[&str],
    query: &[(String, String)],
    body: &[u8],
) -> Result<String> {
    let list = |events: Vec<String>| format!("[{}]", events.join(","));
    let all = |name: &str| -> Vec<OwnedEventId> {
        let named = query.iter().filter(|(key, _)| key == name);
        named
            .map(|(_, value)| value.as_str().try_into().unwrap())
            .collect()
    };
    let room = |id: &str| OwnedRoomId::try_from(id).unwrap();
    Ok(match parts {
        ["event", id] => {
            let id: OwnedEventId = (*id).try_into().unwrap();
            format!("{{\"pdus\":[{}]}}", answers::event(s, origin, &id)?)
        }
        ["event_auth", room_id, id] => {
            let id: OwnedEventId = (*id).try_into().unwrap();
            let chain = answers::event_auth(s, origin, &room(room_id), &id)?;
            format!("{{\"auth_chain\":{}}}", list(chain))
        }
        ["state", room_id] => {
            let state = answers::state(s, origin, &room(room_id), &all("event_id")[0])?;
            let (pdus, chain) = (list(state.pdus), list(state.auth_chain));
            format!("{{\"pdus\":{pdus},\"auth_chain\":{chain}}}")
        }
        ["state_ids", room_id] => {
            let ids = answers::state_ids(s, origin, &room(room_id), &all("event_id")[0])?;
            json!({ "pdu_ids": ids.pdu_ids, "auth_chain_ids": ids.auth_chain_ids }).to_string()
        }
        ["backfill", room_id] => {
            let limit = query.iter().find(|(key, _)| key == "limit").unwrap();
            let limit = limit.1.parse().unwrap();
            let pdus = answers::backfill(s, origin, &room(room_id), &all("v"), limit)?;
            format!("{{\"pdus\":{}}}", list(pdus))
        }
        ["get_missing_events", room_id] => {
            let body: Value = serde_json::from_slice(body).unwrap();
            let ids = |name: &str| -> Vec<OwnedEventId> {
                serde_json::from_value(body[name].clone()).unwrap()
            };
            let missing = answers::Missing {
                latest: &ids("latest_events"),
                earliest: &ids("earliest_events"),
                limit: usize::try_from(body["limit"].as_u64().unwrap()).unwrap(),
                min_depth: body["min_depth"].as_u64().unwrap(),
            };
            let events = answers::missing_events(s, origin, &room(room_id), &missing)?;
            format!("{{\"events\":{}}}", list(events))
        }
        _ => return Err(Error::NoSuchEvent),
    })
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let hex: Vec<u8> = bytes.by_ref().take(2).collect();
            let hex = std::str::from_utf8(&hex).unwrap();
            out.push(u8::from_str_radix(hex, 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap()
}
