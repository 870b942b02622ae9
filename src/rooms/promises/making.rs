//! Making rooms, and saying the first things in them.

use serde_json::json;

use super::house::{House, first, new_room, object, user};
use crate::*;

const VERSIONS: [&str; 12] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
];

#[tokio::test]
async fn every_version_makes_rooms_that_take_messages() {
    let house = House::new();
    for version in VERSIONS {
        for rule in ["invite", "public"] {
            let room = house.room(version, "alice", rule).await;
            let said = house.say(&room, "alice", "hello").await.unwrap();
            let event = house.client(&room, &said);
            assert_eq!(event["content"]["body"], "hello", "version {version}");
            assert_eq!(event["sender"], "@alice:here");
            assert_eq!(event["room_id"], room.as_str());
            assert_eq!(event["event_id"], said.as_str());
            let types = [
                "m.room.create",
                "m.room.member",
                "m.room.power_levels",
                "m.room.join_rules",
                "m.room.history_visibility",
                "m.room.guest_access",
                "m.room.message",
            ];
            assert_eq!(house.types(&room), types, "version {version}");
        }
    }
}

#[tokio::test]
async fn a_room_appears_in_one_piece() {
    let house = House::new();
    let before = house.store.head();
    let mut new = new_room("12", "alice", "invite");
    new.state
        .push(first("m.room.name", json!({ "name": "Cellar" })));
    new.invite.push(Invitee {
        user: user("bob"),
        content: object(json!({ "is_direct": true })),
    });
    new.alias = Some("#cellar:here".try_into().unwrap());
    new.listed = true;
    let heads = house.store.watch();
    let made = house.rooms.create(new).await.unwrap();
    assert_eq!(*heads.borrow(), made.pos, "the log moved once");
    assert_eq!(made.pos.get() - before.get(), 8);

    let s = house.s();
    let summary = summary::of(&s, made.room).unwrap();
    assert_eq!(summary.name.as_deref(), Some("Cellar"));
    assert_eq!(
        (summary.joined, summary.invited, summary.joined_here),
        (1, 1, 1)
    );
    let bob = house.standing(&made.room_id, "bob").unwrap();
    assert_eq!(bob.membership, Membership::Invite);
    assert!(bob.is_direct);
    let (room, _) = aliases::resolve(&s, "#cellar:here".try_into().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(room, made.room);
    assert!(directory::is_listed(&s, made.room).unwrap());
    let stripped = members::stripped(&s, made.room, bob_no(&s))
        .unwrap()
        .unwrap();
    let stripped: Vec<serde_json::Value> = serde_json::from_str(&stripped).unwrap();
    let types: Vec<_> = stripped
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "m.room.create",
            "m.room.join_rules",
            "m.room.name",
            "m.room.member",
            "m.room.member"
        ]
    );
}

fn bob_no(s: &store::Snapshot) -> store::UserNo {
    s.user_no(&user("bob")).unwrap().unwrap()
}

#[tokio::test]
async fn what_the_rules_forbid_makes_no_room() {
    let house = House::new();
    let mut new = new_room("12", "alice", "invite");
    new.state.insert(
        1,
        first(
            "m.room.power_levels",
            json!({ "users": { "@alice:here": 100 } }),
        ),
    );
    assert!(matches!(
        house.rooms.create(new).await,
        Err(Error::Forbidden(_))
    ));
    let mut new = new_room("11", "alice", "invite");
    new.alias = Some("#x:elsewhere".try_into().unwrap());
    assert!(matches!(
        house.rooms.create(new).await,
        Err(Error::ForeignAlias(_))
    ));
    let mut new = new_room("11", "alice", "invite");
    new.version = "org.example.odd".try_into().unwrap();
    assert!(matches!(
        house.rooms.create(new).await,
        Err(Error::UnsupportedVersion(_))
    ));
    assert_eq!(house.store.head(), store::Pos::ZERO);
}

#[tokio::test]
async fn an_alias_points_to_one_room() {
    let house = House::new();
    let mut new = new_room("12", "alice", "public");
    new.alias = Some("#one:here".try_into().unwrap());
    house.rooms.create(new.clone()).await.unwrap();
    assert!(matches!(
        house.rooms.create(new).await,
        Err(Error::AliasInUse(_))
    ));
}
