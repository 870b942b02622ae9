//! Memberships: which may become which, restricted rooms, and what the indexes say.

use serde_json::json;

use super::house::{House, user};
use crate::Membership::{Ban, Invite, Join, Knock, Leave};
use crate::*;

/// Brings `bob` into a membership of a room that he may join, knock at, and be invited to.
async fn bring(house: &House, room: &ruma::OwnedRoomId, to: Option<Membership>) {
    match to {
        None => {}
        Some(Leave) => {
            house.join(room, "bob").await.unwrap();
            house.leave(room, "bob").await.unwrap();
        }
        Some(Join | Knock) => {
            house.change(room, "bob", "bob", to.unwrap()).await.unwrap();
        }
        Some(other) => {
            house.change(room, "alice", "bob", other).await.unwrap();
        }
    }
}

#[tokio::test]
async fn memberships_change_as_the_rules_say() {
    // from, who acts, to, allowed: in a public room, where knocking is not needed and so not allowed
    let table = [
        (None, "bob", Join, true),
        (None, "alice", Invite, true),
        (None, "alice", Ban, true),
        (None, "bob", Leave, false),
        // The rules let the powerful put out even those who are not in; `only_from` is for who minds.
        (None, "alice", Leave, true),
        (None, "bob", Knock, false),
        (None, "carol", Join, false),
        (Some(Invite), "bob", Join, true),
        (Some(Invite), "bob", Leave, true),
        (Some(Invite), "alice", Leave, true),
        (Some(Invite), "carol", Leave, false),
        (Some(Join), "bob", Leave, true),
        (Some(Join), "alice", Leave, true),
        (Some(Join), "carol", Leave, false),
        (Some(Join), "alice", Invite, false),
        (Some(Join), "alice", Ban, true),
        (Some(Join), "bob", Ban, false),
        (Some(Leave), "bob", Join, true),
        (Some(Leave), "alice", Invite, true),
        (Some(Ban), "bob", Join, false),
        (Some(Ban), "bob", Leave, false),
        (Some(Ban), "alice", Invite, false),
        (Some(Ban), "alice", Leave, true),
    ];
    for version in ["1", "6", "7", "12"] {
        let house = House::new();
        for (from, who, to, allowed) in table {
            let room = house.room(version, "alice", "public").await;
            house.join(&room, "carol").await.unwrap();
            bring(&house, &room, from).await;
            let outcome = house.change(&room, who, "bob", to).await;
            assert_eq!(
                outcome.is_ok(),
                allowed,
                "version {version}: {from:?} by {who} to {to}: {outcome:?}"
            );
            let now = house
                .standing(&room, "bob")
                .map(|standing| standing.membership);
            assert_eq!(now, if allowed { Some(to) } else { from });
            let s = house.s();
            for membership in Membership::ALL {
                let listed = members::list(&s, house.no(&room), membership)
                    .any(|member| s.user_id(member.unwrap().user).unwrap() == user("bob"));
                assert_eq!(listed, now == Some(membership));
            }
            let summary = summary::of(&s, house.no(&room)).unwrap();
            assert_eq!(summary.joined, 2 + u64::from(now == Some(Join)));
            assert_eq!(summary.invited, u64::from(now == Some(Invite)));
        }
    }
}

#[tokio::test]
async fn a_change_can_insist_on_where_it_starts() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    house.join(&room, "bob").await.unwrap();
    let unban = Change {
        room_id: room.clone(),
        sender: user("alice"),
        target: user("bob"),
        membership: Leave,
        only_from: &[Ban],
        content: serde_json::Map::new(),
        timestamp: None,
    };
    assert!(matches!(
        house.rooms.change_membership(unban.clone()).await,
        Err(Error::Forbidden(_))
    ));
    house.change(&room, "alice", "bob", Ban).await.unwrap();
    house.rooms.change_membership(unban).await.unwrap();
    assert_eq!(house.standing(&room, "bob").unwrap().membership, Leave);
}

#[tokio::test]
async fn knocking_waits_for_an_invite() {
    let house = House::new();
    for version in ["7", "10", "12"] {
        let room = house.room(version, "alice", "knock").await;
        assert!(house.join(&room, "bob").await.is_err());
        house.change(&room, "bob", "bob", Knock).await.unwrap();
        let s = house.s();
        let bob = s.user_no(&user("bob")).unwrap().unwrap();
        let stripped = members::stripped(&s, house.no(&room), bob)
            .unwrap()
            .unwrap();
        assert!(stripped.contains("m.room.create") && stripped.contains("\"knock\""));
        assert!(house.join(&room, "bob").await.is_err());
        house.change(&room, "alice", "bob", Invite).await.unwrap();
        house.join(&room, "bob").await.unwrap();
        assert!(
            members::stripped(&house.s(), house.no(&room), bob)
                .unwrap()
                .is_none()
        );
    }
    let old = house.room("6", "alice", "knock").await;
    assert!(house.change(&old, "bob", "bob", Knock).await.is_err());
}

#[tokio::test]
async fn restricted_rooms_let_members_of_others_in() {
    let house = House::new();
    for version in ["8", "10", "12"] {
        let club = house.room(version, "alice", "public").await;
        let room = house.room(version, "alice", "invite").await;
        let rule = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": club }] });
        house
            .set(&room, "alice", "m.room.join_rules", "", rule)
            .await
            .unwrap();
        assert!(matches!(
            house.join(&room, "bob").await,
            Err(Error::Forbidden(_))
        ));
        house.join(&club, "bob").await.unwrap();
        let joined = house.join(&room, "bob").await.unwrap();
        let content = &house.client(&room, &joined)["content"];
        assert_eq!(content["join_authorised_via_users_server"], "@alice:here");
        // Who is in needs nobody to vouch for a new name; who was thrown out of the club does again.
        house.leave(&room, "bob").await.unwrap();
        house.leave(&club, "bob").await.unwrap();
        assert!(matches!(
            house.join(&room, "bob").await,
            Err(Error::Forbidden(_))
        ));
        house.change(&room, "alice", "bob", Invite).await.unwrap();
        house.join(&room, "bob").await.unwrap();
        // With nobody left who may invite, nobody gets in.
        house.join(&club, "carol").await.unwrap();
        house.leave(&room, "alice").await.unwrap();
        let levels = house.state(&room, "m.room.power_levels", "").unwrap();
        assert_eq!(levels["invite"], 0);
        house.join(&room, "carol").await.unwrap();
    }
}

#[tokio::test]
async fn forgetting_is_for_those_who_left() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    assert!(matches!(
        house.rooms.forget(&room, &user("bob")).await,
        Err(Error::NotJoined)
    ));
    house.join(&room, "bob").await.unwrap();
    let said = house.say(&room, "alice", "hello").await.unwrap();
    assert!(matches!(
        house.rooms.forget(&room, &user("bob")).await,
        Err(Error::StillJoined)
    ));
    house.leave(&room, "bob").await.unwrap();
    assert!(house.sees(&room, "bob", &said));
    house.rooms.forget(&room, &user("bob")).await.unwrap();
    house.rooms.forget(&room, &user("bob")).await.unwrap();
    assert!(house.standing(&room, "bob").unwrap().forgotten);
    assert!(!house.sees(&room, "bob", &said));
    house.join(&room, "bob").await.unwrap();
    assert!(!house.standing(&room, "bob").unwrap().forgotten);
    assert!(house.sees(&room, "bob", &said));
}

#[tokio::test]
async fn people_of_other_servers_cannot_be_brought_in_but_kept_out() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    let change = |membership| Change {
        room_id: room.clone(),
        sender: user("alice"),
        target: "@eve:elsewhere".try_into().unwrap(),
        membership,
        only_from: &[],
        content: serde_json::Map::new(),
        timestamp: None,
    };
    assert!(matches!(
        house.rooms.change_membership(change(Invite)).await,
        Err(Error::Unreachable(_))
    ));
    house.rooms.change_membership(change(Ban)).await.unwrap();
    let summary = summary::of(&house.s(), house.no(&room)).unwrap();
    assert_eq!((summary.joined, summary.joined_here), (1, 1));
}

#[tokio::test]
async fn a_room_without_a_name_is_called_after_its_people() {
    let house = House::new();
    let room = house.room("12", "alice", "public").await;
    let called = |who: &str| {
        let s = house.s();
        let viewer = s.user_no(&user(who)).unwrap().unwrap();
        let heroes = members::heroes(&s, house.no(&room), viewer).unwrap();
        heroes
            .iter()
            .map(|hero| s.user_id(hero.user).unwrap().localpart().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(called("alice").is_empty());
    house.join(&room, "bob").await.unwrap();
    house.change(&room, "alice", "carol", Invite).await.unwrap();
    assert_eq!(called("alice"), ["bob", "carol"]);
    house.leave(&room, "bob").await.unwrap();
    house.change(&room, "alice", "carol", Leave).await.unwrap();
    assert_eq!(
        called("alice"),
        ["bob", "carol"],
        "those who were here, when nobody else is"
    );
}
