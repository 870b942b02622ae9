//! Rooms that this server is not in: what a client is told of an invitation to one, and of its end.

use std::time::Duration;

use base::config::RoomsConfig;
use base::{ManualClock, SeededRandom};
use bytes::Bytes;
use http::{Request, Response};
use peers::Peers;
use rooms::handshake::Invitation;
use rooms::{Change, FirstState, Membership, NewRoom, Rooms};
use ruma::{OwnedEventId, OwnedRoomId, RoomVersionId, ServerName, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use store::Store;

use super::house::{House, user};
use crate::Params;

#[derive(Deserialize)]
struct Body {
    event: Box<RawValue>,
    invite_room_state: Vec<Box<RawValue>>,
    room_version: RoomVersionId,
}

/// Answers `PUT /invite` as the house does for everybody.
async fn invited(rooms: Rooms, request: Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path().replace("%21", "!").replace("%24", "$");
    let path = path.replace("%3A", ":");
    let mut segments = path.rsplit('/');
    let event_id = OwnedEventId::try_from(segments.next().unwrap()).unwrap();
    let room_id = OwnedRoomId::try_from(segments.next().unwrap()).unwrap();
    let body: Body = serde_json::from_slice(request.body()).unwrap();
    let invitation = Invitation {
        origin: <&ServerName>::try_from("there").unwrap(),
        room_id: &room_id,
        event_id: &event_id,
        version: &body.room_version,
        event: &body.event,
        room_state: &body.invite_room_state,
    };
    let checked = rooms.check_invitation(invitation).await.unwrap();
    let signed = rooms.accept_invitation(checked).await.unwrap();
    Response::new(Bytes::from(format!("{{\"event\":{signed}}}")))
}

/// What a client of bob's is told, at once.
async fn told(house: &House, since: Option<&str>) -> Value {
    let bob = house.identity("bob", "PHONE").await;
    let params = Params {
        since: since.map(str::to_owned),
        ..Params::default()
    };
    house.ask(&bob, params).await
}

/// The same by sliding sync: where it came to, and what it tells of a room.
async fn slid(house: &House, pos: Option<&str>, room: &OwnedRoomId) -> (String, Value) {
    let bob = house.identity("bob", "SLIDING").await;
    let body = json!({ "lists": { "all": {
        "ranges": [[0, 9]], "timeline_limit": 5, "required_state": [["m.room.member", "$ME"]],
    } } });
    let answer = house.slide(&bob, pos, Duration::ZERO, &body).await.unwrap();
    let pos = answer["pos"].as_str().unwrap().to_owned();
    (pos, answer["rooms"][room.as_str()].clone())
}

/// Another server with a room of its carol's, which nobody may join uninvited.
async fn there(house: &House) -> (Rooms, OwnedRoomId) {
    let name = <&ServerName>::try_from("there").unwrap();
    let peers = Peers::for_tests(name, &house.network);
    house.network.join_as(&peers, |_| async {
        peers::loopback::refusal(http::StatusCode::NOT_FOUND, "nothing here")
    });
    let rooms = Rooms::new(
        &RoomsConfig::default(),
        Store::memory(),
        peers,
        ManualClock::plausible().shared(),
        SeededRandom::new(2).shared(),
    );
    let state = |event_type: &str, content: Value| FirstState {
        event_type: event_type.to_owned(),
        state_key: String::new(),
        content,
    };
    let new = NewRoom {
        creator: <&UserId>::try_from("@carol:there").unwrap().to_owned(),
        version: rooms.default_version(),
        create: Map::new(),
        creator_content: Map::new(),
        state: vec![state("m.room.name", json!({ "name": "Elsewhere" }))],
        invite: Vec::new(),
        alias: None,
        listed: false,
        timestamp: None,
    };
    let room = rooms.create(new).await.unwrap().room_id;
    (rooms, room)
}

#[tokio::test]
async fn an_invitation_from_another_server_is_told_and_so_is_its_end() {
    let house = House::of(&["bob"]).await;
    let answering = house.rooms.clone();
    house.network.join_as(house.rooms.peers(), move |request| {
        invited(answering.clone(), request)
    });
    let (there, room) = there(&house).await;
    let first = told(&house, None).await;
    let since = first["next_batch"].as_str().unwrap().to_owned();
    let (pos, nothing) = slid(&house, None, &room).await;
    assert!(nothing.is_null());
    let change = Change {
        room_id: room.clone(),
        sender: <&UserId>::try_from("@carol:there").unwrap().to_owned(),
        target: user("bob"),
        membership: Membership::Invite,
        only_from: &[],
        content: Map::new(),
        timestamp: None,
    };
    there.change_membership(change).await.unwrap();

    for since in [Some(since.as_str()), None] {
        let answer = told(&house, since).await;
        let state = answer["rooms"]["invite"][room.as_str()]["invite_state"]["events"].clone();
        let names: Vec<&Value> = state
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["type"] == "m.room.name")
            .collect();
        assert_eq!(names.len(), 1, "{answer}");
        assert_eq!(names[0]["content"]["name"], "Elsewhere");
        assert!(state.as_array().unwrap().iter().any(|event| {
            event["type"] == "m.room.member" && event["state_key"] == "@bob:here"
        }));
    }

    let (pos, invite) = slid(&house, Some(&pos), &room).await;
    assert_eq!(invite["name"], "Elsewhere");
    assert!(invite["invite_state"].is_array());

    let answer = told(&house, Some(&since)).await;
    let since = answer["next_batch"].as_str().unwrap().to_owned();
    house
        .rooms
        .leave_remote(&room, &user("bob"), Map::new())
        .await
        .unwrap();
    let answer = told(&house, Some(&since)).await;
    let left = &answer["rooms"]["leave"][room.as_str()]["timeline"]["events"];
    assert_eq!(left[0]["content"]["membership"], "leave", "{answer}");
    assert!(answer["rooms"].get("invite").is_none(), "{answer}");
    let (pos, over) = slid(&house, Some(&pos), &room).await;
    assert_eq!(
        over["required_state"][0]["content"]["membership"], "leave",
        "{over}"
    );
    assert!(over.get("invite_state").is_none());
    assert!(slid(&house, Some(&pos), &room).await.1.is_null());
    let anew = told(&house, None).await;
    assert!(anew.get("rooms").is_none(), "{anew}");
}
