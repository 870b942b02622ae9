//! Servers on one network, each answering what the handshake asks of it; and short ways to ask and to look.

use std::collections::HashMap;
use std::sync::Arc;

use base::config::RoomsConfig;
use base::{ManualClock, SeededRandom};
use bytes::Bytes;
use event::{Rules, UncheckedPdu};
use http::{Request, Response, StatusCode};
use peers::loopback::Network;
use peers::{Needs, Peers, VerifyRequest};
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, RoomVersionId, ServerName,
    UserId,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::handshake::{Invitation, JoinRemote, KnockRemote, Offered};
use crate::*;

/// One version of every format of events, rules and IDs.
pub(super) const VERSIONS: [&str; 7] = ["1", "3", "6", "8", "10", "11", "12"];

pub(super) struct World {
    pub(super) network: Network,
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) rooms: Rooms,
    pub(super) clock: ManualClock,
}

/// A user by first name and server.
pub(super) fn user(name: &str, server: &str) -> OwnedUserId {
    OwnedUserId::try_from(format!("@{name}:{server}")).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            network: Network::new(),
        }
    }

    pub(super) fn server(&self, name: &str) -> Server {
        self.twisted(name, |_, _| {})
    }

    /// A server whose good answers go through `twist`, with the endpoint, before anybody gets them.
    pub(super) fn twisted(
        &self,
        name: &str,
        twist: impl Fn(&str, &mut Value) + Send + Sync + 'static,
    ) -> Server {
        let name = <&ServerName>::try_from(name).unwrap();
        let clock = ManualClock::plausible();
        let needs = Needs {
            clock: clock.shared(),
            ..Needs::for_tests(name, &self.network)
        };
        let store = needs.store.clone();
        let peers = Peers::new(needs).unwrap();
        let seed = name.as_str().bytes().map(u64::from).sum();
        let rooms = Rooms::new(
            &RoomsConfig::default(),
            store,
            peers.clone(),
            clock.shared(),
            SeededRandom::new(seed).shared(),
        );
        let (answering, twist) = (rooms.clone(), Arc::new(twist));
        self.network.join_as(&peers, move |request| {
            let (rooms, twist) = (answering.clone(), twist.clone());
            async move {
                let endpoint = request
                    .uri()
                    .path()
                    .split('/')
                    .nth(4)
                    .unwrap_or_default()
                    .to_owned();
                let answer = answer(&rooms, rooms.peers(), request).await;
                if !answer.status().is_success() {
                    return answer;
                }
                answer.map(|body| {
                    let mut body = serde_json::from_slice(&body).unwrap();
                    twist(&endpoint, &mut body);
                    Bytes::from(body.to_string())
                })
            }
        });
        Server { rooms, clock }
    }
}

async fn answer(rooms: &Rooms, peers: &Peers, request: Request<Bytes>) -> Response<Bytes> {
    let path_and_query = request.uri().to_string();
    let verified = peers
        .verify_request(VerifyRequest {
            method: request.method().as_str(),
            path_and_query: &path_and_query,
            body: Some(request.body()),
            authorization: request.headers()["authorization"].to_str().unwrap(),
        })
        .await;
    match route(rooms, &verified.unwrap(), &path_and_query, request.body()).await {
        Ok(body) => Response::new(Bytes::from(body)),
        Err(error) => refused(&error),
    }
}

/// As `web/errors.rs` would have it, as far as it matters here.
fn refused(error: &Error) -> Response<Bytes> {
    let (status, code) = match error {
        Error::Forbidden(_) => (403, "M_FORBIDDEN"),
        Error::NoSuchRoom => (404, "M_NOT_FOUND"),
        Error::IncompatibleVersion(_) => (400, "M_INCOMPATIBLE_ROOM_VERSION"),
        Error::UnableToAuthorise => (400, "M_UNABLE_TO_AUTHORISE_JOIN"),
        Error::UnableToGrant => (400, "M_UNABLE_TO_GRANT_JOIN"),
        _ => (400, "M_INVALID_PARAM"),
    };
    let body = json!({ "errcode": code, "error": error.to_string() });
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            let digits = std::str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

async fn route(
    rooms: &Rooms,
    origin: &ServerName,
    path_and_query: &str,
    body: &[u8],
) -> Result<String> {
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    let segments: Vec<String> = path.split('/').skip(3).map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let versions: Vec<RoomVersionId> = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("ver="))
        .map(|version| RoomVersionId::try_from(version).unwrap())
        .collect();
    let template = |template: handshake::Template| {
        json!({ "room_version": template.room_version, "event": template.event }).to_string()
    };
    let [_, endpoint, room_id, last] = segments[..] else {
        panic!("{path}");
    };
    let room_id = <&RoomId>::try_from(room_id).unwrap();
    if let Some(kind) = endpoint.strip_prefix("make_") {
        let who = <&UserId>::try_from(last).unwrap();
        let made = match kind {
            "join" => rooms.make_join(origin, room_id, who, versions).await?,
            "knock" => rooms.make_knock(origin, room_id, who, versions).await?,
            _ => rooms.make_leave(origin, room_id, who).await?,
        };
        return Ok(template(made));
    }
    let event_id = OwnedEventId::try_from(last).unwrap();
    if endpoint == "invite" {
        return invited(rooms, origin, room_id, &event_id, body).await;
    }
    let event: Box<RawValue> = serde_json::from_slice(body).unwrap();
    let offered = Offered {
        origin,
        room_id,
        event_id: &event_id,
        event: &event,
    };
    match endpoint {
        "send_join" => {
            let omit = query.contains("omit_members=true");
            rooms.send_join(offered, omit).await?.whole().await
        }
        "send_leave" => {
            rooms.send_leave(offered).await?;
            Ok("{}".to_owned())
        }
        _ => {
            let received = rooms.send_knock(offered).await?;
            let state: Vec<Value> = received
                .room_state
                .iter()
                .map(|event| serde_json::from_str(event).unwrap())
                .collect();
            Ok(json!({ "knock_room_state": state }).to_string())
        }
    }
}

async fn invited(
    rooms: &Rooms,
    origin: &ServerName,
    room_id: &RoomId,
    event_id: &OwnedEventId,
    body: &[u8],
) -> Result<String> {
    #[derive(serde::Deserialize)]
    struct Body {
        event: Box<RawValue>,
        invite_room_state: Vec<Box<RawValue>>,
        room_version: RoomVersionId,
    }
    let body: Body = serde_json::from_slice(body).unwrap();
    let invitation = Invitation {
        origin,
        room_id,
        event_id,
        version: &body.room_version,
        event: &body.event,
        room_state: &body.invite_room_state,
    };
    let checked = rooms.check_invitation(invitation).await?;
    if checked.invitee().localpart() == "nobody" {
        return Err(Error::Forbidden("there is no such user".to_owned()));
    }
    let signed = rooms.accept_invitation(checked).await?;
    Ok(format!("{{\"event\":{signed}}}"))
}

impl Server {
    pub(super) fn name(&self) -> OwnedServerName {
        self.rooms.server_name().to_owned()
    }

    pub(super) fn user(&self, name: &str) -> OwnedUserId {
        user(name, self.rooms.server_name().as_str())
    }

    /// A room made by alice of this server.
    pub(super) async fn room(&self, version: &str, join_rules: Value) -> OwnedRoomId {
        let rules = Rules::named(version).unwrap();
        let creator = self.user("alice");
        let users = if rules.auth.supreme_creators {
            json!({})
        } else {
            json!({ creator.as_str(): 100 })
        };
        let state = |event_type: &str, content: Value| FirstState {
            event_type: event_type.to_owned(),
            state_key: String::new(),
            content,
        };
        let new = NewRoom {
            version: RoomVersionId::try_from(version).unwrap(),
            create: Map::new(),
            creator_content: object(json!({ "displayname": "Alice" })),
            state: vec![
                state(
                    "m.room.power_levels",
                    json!({ "users": users, "invite": 50 }),
                ),
                state("m.room.join_rules", join_rules),
                state("m.room.name", json!({ "name": "Meeting" })),
            ],
            invite: Vec::new(),
            alias: None,
            listed: false,
            timestamp: None,
            creator,
        };
        self.rooms.create(new).await.unwrap().room_id
    }

    pub(super) async fn join(&self, room: &RoomId, name: &str, via: &Server) -> Result<()> {
        let ask = JoinRemote {
            room_id: room.to_owned(),
            user: self.user(name),
            via: vec![via.name()],
            content: object(json!({ "displayname": name })),
        };
        self.rooms.join_remote(ask).await.map(drop)
    }

    pub(super) async fn knock(&self, room: &RoomId, name: &str, via: &Server) -> Result<()> {
        let ask = KnockRemote {
            room_id: room.to_owned(),
            user: self.user(name),
            via: vec![via.name()],
            content: object(json!({ "reason": "please" })),
        };
        self.rooms.knock_remote(ask).await
    }

    pub(super) async fn go(&self, room: &RoomId, name: &str) -> Result<()> {
        self.rooms
            .leave_remote(room, &self.user(name), Map::new())
            .await
    }

    pub(super) async fn change(
        &self,
        room: &RoomId,
        sender: &str,
        target: &UserId,
        membership: Membership,
    ) -> Result<OwnedEventId> {
        let change = Change {
            room_id: room.to_owned(),
            sender: self.user(sender),
            target: target.to_owned(),
            membership,
            only_from: &[],
            content: Map::new(),
            timestamp: None,
        };
        Ok(self.rooms.change_membership(change).await?.event_id)
    }

    pub(super) async fn say(&self, room: &RoomId, name: &str) -> Result<OwnedEventId> {
        let say = Say {
            room_id: room.to_owned(),
            sender: self.user(name),
            event_type: "m.room.message".to_owned(),
            content: RawValue::from_string(
                "{\"body\":\"hello\",\"msgtype\":\"m.text\"}".to_owned(),
            )
            .unwrap(),
            timestamp: None,
        };
        Ok(self.rooms.send(say, None).await?.event_id)
    }

    /// An event of this server's room, as servers pass it on.
    pub(super) fn json(&self, room: &RoomId, event: &OwnedEventId) -> Box<RawValue> {
        let s = self.rooms.store().snapshot();
        let room = members::room(&s, room).unwrap();
        let event = Stored::find(&s, room, event).unwrap().unwrap();
        RawValue::from_string(event.json().to_owned()).unwrap()
    }

    /// Brings an event of this server's room to another server, as a transaction would.
    pub(super) async fn carry(&self, room: &RoomId, event: &OwnedEventId, to: &Server) -> Taken {
        let s = self.rooms.store().snapshot();
        let no = members::room(&s, room).unwrap();
        let json = Stored::find(&s, no, event)
            .unwrap()
            .unwrap()
            .json()
            .to_owned();
        let rules = summary::basics(&s, no).unwrap().rules;
        let event = UncheckedPdu::parse(&json, rules).unwrap();
        let pdu = to.rooms.check(event).await.unwrap();
        to.rooms.take_in(pdu).await.unwrap().0
    }

    pub(super) fn standing(&self, room: &RoomId, user: &UserId) -> Option<members::Standing> {
        let s = self.rooms.store().snapshot();
        let (Some(room), Some(user)) = (s.room_no(room).unwrap(), s.user_no(user).unwrap()) else {
            return None;
        };
        members::standing(&s, room, user).unwrap()
    }

    pub(super) fn membership(&self, room: &RoomId, user: &UserId) -> Option<Membership> {
        self.standing(room, user)
            .map(|standing| standing.membership)
    }

    /// What an invited or knocking user sees of a room: types to contents.
    pub(super) fn preview(&self, room: &RoomId, user: &UserId) -> Option<HashMap<String, Value>> {
        let s = self.rooms.store().snapshot();
        let room = s.room_no(room).unwrap()?;
        let stripped = members::stripped(&s, room, s.user_no(user).unwrap()?).unwrap()?;
        let events: Vec<Value> = serde_json::from_str(&stripped).unwrap();
        let pairs = events.into_iter().map(|mut event| {
            assert_eq!(event.as_object().unwrap().len(), 4, "{event}");
            let event_type = event["type"].as_str().unwrap().to_owned();
            (event_type, event["content"].take())
        });
        Some(pairs.collect())
    }

    /// How many events are stored here, of whatever room.
    pub(super) fn events(&self) -> usize {
        let s = self.rooms.store().snapshot();
        s.scan(store::tables::EVENTS, .., Order::Forward).count()
    }

    /// Whether the room is here at all.
    pub(super) fn has(&self, room: &RoomId) -> bool {
        members::room(&self.rooms.store().snapshot(), room).is_ok()
    }

    /// The present state: types and keys to event IDs.
    pub(super) fn state(&self, room: &RoomId) -> HashMap<(String, String), String> {
        let s = self.rooms.store().snapshot();
        let room = members::room(&s, room).unwrap();
        let all = state::now::all(&s, room).unwrap();
        all.into_iter()
            .map(|(key, event)| {
                let pair = (*s.state_key(key).unwrap()).clone();
                (pair, Stored::get(&s, event).unwrap().event_id().to_owned())
            })
            .collect()
    }
}
