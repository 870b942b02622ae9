//! Replacing rooms.

use serde_json::{Map, json};

use super::house::{House, first, new_room, user};
use crate::*;

fn upgrade(room: &ruma::OwnedRoomId, who: &str, version: &str) -> Upgrade {
    Upgrade {
        room_id: room.clone(),
        sender: user(who),
        creator_content: Map::new(),
        version: version.try_into().unwrap(),
        additional_creators: Vec::new(),
    }
}

#[tokio::test]
async fn everything_of_a_room_moves_along_between_all_versions() {
    for (from, to) in [
        ("1", "6"),
        ("6", "11"),
        ("10", "12"),
        ("11", "12"),
        ("12", "12"),
        ("12", "11"),
    ] {
        let house = House::new();
        let mut new = new_room(from, "alice", "public");
        new.state.extend([
            first("m.room.name", json!({ "name": "Attic" })),
            first("m.room.topic", json!({ "topic": "dust" })),
            first(
                "m.room.encryption",
                json!({ "algorithm": "m.megolm.v1.aes-sha2" }),
            ),
            first("m.room.canonical_alias", json!({ "alias": "#attic:here" })),
        ]);
        new.create.insert("type".into(), json!("m.space"));
        new.alias = Some("#attic:here".try_into().unwrap());
        new.listed = true;
        let old = house.rooms.create(new).await.unwrap();
        house.join(&old.room_id, "bob").await.unwrap();
        let head = house.store.head();
        let new = house
            .rooms
            .upgrade(upgrade(&old.room_id, "alice", to))
            .await
            .unwrap();
        assert!(
            house.store.head() > head && house.store.head() == new.pos,
            "one commit"
        );

        let summary = summary::of(&house.s(), new.room).unwrap();
        assert_eq!(summary.name.as_deref(), Some("Attic"), "{from} to {to}");
        assert_eq!(summary.topic.as_deref(), Some("dust"));
        assert_eq!(summary.room_type.as_deref(), Some("m.space"));
        assert_eq!(summary.canonical_alias.as_deref(), Some("#attic:here"));
        assert!(summary.encryption.is_some());
        assert_eq!(summary.joined, 1);
        let create = house.state(&new.room_id, "m.room.create", "").unwrap();
        assert_eq!(create["predecessor"]["room_id"], old.room_id.as_str());
        assert_eq!(create["room_version"], to);
        let tombstone = house.state(&old.room_id, "m.room.tombstone", "").unwrap();
        assert_eq!(tombstone["replacement_room"], new.room_id.as_str());
        let (pointed, _) = aliases::resolve(&house.s(), "#attic:here".try_into().unwrap())
            .unwrap()
            .unwrap();
        assert_eq!(pointed, new.room);
        assert!(directory::is_listed(&house.s(), new.room).unwrap());
        assert!(!directory::is_listed(&house.s(), old.room).unwrap());
        let silent = house.say(&old.room_id, "bob", "still here?").await;
        assert!(matches!(silent, Err(Error::Forbidden(_))));
        // The one who moved it rules the new room as well.
        house
            .set(
                &new.room_id,
                "alice",
                "m.room.name",
                "",
                json!({ "name": "Loft" }),
            )
            .await
            .unwrap();
        house.join(&new.room_id, "bob").await.unwrap();
        house.say(&new.room_id, "bob", "here").await.unwrap();
    }
}

#[tokio::test]
async fn only_the_powerful_replace_a_room() {
    let house = House::new();
    let room = house.room("11", "alice", "public").await;
    assert!(matches!(
        house.rooms.upgrade(upgrade(&room, "bob", "12")).await,
        Err(Error::NotJoined)
    ));
    house.join(&room, "bob").await.unwrap();
    let before = house.store.head();
    assert!(matches!(
        house.rooms.upgrade(upgrade(&room, "bob", "12")).await,
        Err(Error::Forbidden(_))
    ));
    assert!(matches!(
        house.rooms.upgrade(upgrade(&room, "alice", "99")).await,
        Err(Error::UnsupportedVersion(_))
    ));
    assert_eq!(house.store.head(), before, "nothing is left of an attempt");
}
