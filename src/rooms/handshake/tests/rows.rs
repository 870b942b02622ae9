//! Every way of coming and going, in every format of events.

use event::Rules;
use serde_json::json;

use super::world::{Server, VERSIONS, World};
use crate::Membership::{Ban, Invite, Join, Knock, Leave};
use crate::*;

fn two() -> (World, Server, Server) {
    let world = World::new();
    let (one, other) = (world.server("one.test"), world.server("other.test"));
    (world, one, other)
}

#[tokio::test]
async fn a_public_room_is_joined_and_is_the_same_on_both_sides() {
    for version in VERSIONS {
        let (_world, one, other) = two();
        let room = one.room(version, json!({ "join_rule": "public" })).await;
        one.say(&room, "alice").await.unwrap();
        other.join(&room, "bob", &one).await.unwrap();
        let bob = other.user("bob");
        assert_eq!(one.membership(&room, &bob), Some(Join), "version {version}");
        assert_eq!(
            other.membership(&room, &bob),
            Some(Join),
            "version {version}"
        );
        assert_eq!(other.membership(&room, &one.user("alice")), Some(Join));
        assert_eq!(one.state(&room), other.state(&room), "version {version}");
        let said = other.say(&room, "bob").await.unwrap();
        let taken = other.carry(&room, &said, &one).await;
        assert!(
            matches!(taken, Taken::Accepted(_)),
            "version {version}: {taken:?}"
        );
    }
}

#[tokio::test]
async fn an_invitation_is_seen_before_it_is_followed() {
    for version in VERSIONS {
        let (_world, one, other) = two();
        let room = one.room(version, json!({ "join_rule": "invite" })).await;
        let bob = other.user("bob");
        let uninvited = other.join(&room, "bob", &one).await;
        assert!(
            matches!(uninvited, Err(Error::Refused { status: 403, .. })),
            "{uninvited:?}"
        );
        assert!(!other.has(&room));

        one.change(&room, "alice", &bob, Invite).await.unwrap();
        assert_eq!(
            one.membership(&room, &bob),
            Some(Invite),
            "version {version}"
        );
        let standing = other.standing(&room, &bob).unwrap();
        assert_eq!((standing.membership, standing.is_outside), (Invite, true));
        let preview = other.preview(&room, &bob).unwrap();
        assert_eq!(
            preview["m.room.name"]["name"], "Meeting",
            "version {version}"
        );
        assert_eq!(preview["m.room.member"]["membership"], "invite");
        assert!(!other.has(&room));

        other.join(&room, "bob", &one).await.unwrap();
        let standing = other.standing(&room, &bob).unwrap();
        assert_eq!((standing.membership, standing.is_outside), (Join, false));
        assert_eq!(other.preview(&room, &bob), None);
        assert_eq!(one.state(&room), other.state(&room), "version {version}");
    }
}

#[tokio::test]
async fn members_of_one_room_are_let_into_another_with_two_signatures() {
    for version in VERSIONS {
        if !Rules::named(version).unwrap().auth.restricted_joins {
            continue;
        }
        let (_world, one, other) = two();
        let club = one.room(version, json!({ "join_rule": "public" })).await;
        let allow = json!([{ "type": "m.room_membership", "room_id": club }]);
        let rules = json!({ "join_rule": "restricted", "allow": allow });
        let room = one.room(version, rules).await;
        let refused = other.join(&room, "bob", &one).await;
        assert!(
            matches!(refused, Err(Error::Refused { status: 403, .. })),
            "{refused:?}"
        );

        other.join(&club, "bob", &one).await.unwrap();
        other.join(&room, "bob", &one).await.unwrap();
        let bob = other.user("bob");
        for server in [&one, &other] {
            let s = server.rooms.store().snapshot();
            let no = members::room(&s, &room).unwrap();
            let join = state::now::get(&s, no, "m.room.member", bob.as_str())
                .unwrap()
                .unwrap();
            let join: serde_json::Value = serde_json::from_str(join.json()).unwrap();
            assert_eq!(
                join["content"]["join_authorised_via_users_server"],
                "@alice:one.test"
            );
            assert_eq!(
                join["signatures"].as_object().unwrap().len(),
                2,
                "version {version}"
            );
        }
        assert_eq!(one.state(&room), other.state(&room));

        // A second one of theirs is let in by the server that can, though the room is known there.
        let carol = other.user("carol");
        let joined = other.change(&club, "carol", &carol, Join).await.unwrap();
        other.carry(&club, &joined, &one).await;
        other.join(&room, "carol", &one).await.unwrap();
        assert_eq!(other.membership(&room, &other.user("carol")), Some(Join));
        assert_eq!(one.membership(&room, &other.user("carol")), Some(Join));
    }
}

#[tokio::test]
async fn a_knock_is_answered_by_an_invitation() {
    for version in VERSIONS {
        let knows = Rules::named(version).unwrap().auth.knocking;
        let (_world, one, other) = two();
        let rule = if knows { "knock" } else { "invite" };
        let room = one.room(version, json!({ "join_rule": rule })).await;
        let bob = other.user("bob");
        let knocked = other.knock(&room, "bob", &one).await;
        assert_eq!(knocked.is_ok(), knows, "version {version}: {knocked:?}");
        if !knows {
            continue;
        }
        assert_eq!(one.membership(&room, &bob), Some(Knock));
        assert_eq!(other.membership(&room, &bob), Some(Knock));
        let preview = other.preview(&room, &bob).unwrap();
        assert_eq!(preview["m.room.name"]["name"], "Meeting");
        assert_eq!(preview["m.room.member"]["membership"], "knock");

        one.change(&room, "alice", &bob, Invite).await.unwrap();
        assert_eq!(other.membership(&room, &bob), Some(Invite));
        other.join(&room, "bob", &one).await.unwrap();
        assert_eq!(other.membership(&room, &bob), Some(Join));
    }
}

#[tokio::test]
async fn whoever_leaves_can_come_back_and_sees_the_present() {
    for version in VERSIONS {
        let (_world, one, other) = two();
        let room = one.room(version, json!({ "join_rule": "public" })).await;
        let bob = other.user("bob");
        other.join(&room, "bob", &one).await.unwrap();
        let left = other.change(&room, "bob", &bob, Leave).await.unwrap();
        other.carry(&room, &left, &one).await;
        assert_eq!(one.membership(&room, &bob), Some(Leave));
        assert!(other.rooms.is_elsewhere(&room).await.unwrap());

        // What happens meanwhile happens without them.
        let name = SetState::new(
            room.clone(),
            one.user("alice"),
            "m.room.topic",
            "",
            &json!({ "topic": "Later" }),
        );
        one.rooms.set_state(name.unwrap()).await.unwrap();
        other.join(&room, "bob", &one).await.unwrap();
        assert_eq!(
            other.membership(&room, &bob),
            Some(Join),
            "version {version}"
        );
        assert_eq!(one.state(&room), other.state(&room), "version {version}");
    }
}

#[tokio::test]
async fn an_invitation_is_turned_down_and_a_knock_taken_back() {
    for version in VERSIONS {
        let (world, one, other) = two();
        let room = one.room(version, json!({ "join_rule": "invite" })).await;
        let bob = other.user("bob");
        one.change(&room, "alice", &bob, Invite).await.unwrap();
        other.go(&room, "bob").await.unwrap();
        assert_eq!(
            one.membership(&room, &bob),
            Some(Leave),
            "version {version}"
        );
        assert_eq!(other.membership(&room, &bob), Some(Leave));
        assert_eq!(other.preview(&room, &bob), None);
        assert!(matches!(
            other.go(&room, "bob").await,
            Err(Error::Forbidden(_))
        ));

        // With the other server gone it ends here all the same.
        one.change(&room, "alice", &bob, Invite).await.unwrap();
        world.network.cut(&one.name(), &other.name());
        other.go(&room, "bob").await.unwrap();
        assert_eq!(other.membership(&room, &bob), Some(Leave));
        other.rooms.forget(&room, &bob).await.unwrap();
        assert_eq!(other.membership(&room, &bob), None);
        world.network.heal(&one.name(), &other.name());

        if Rules::named(version).unwrap().auth.knocking {
            let room = one.room(version, json!({ "join_rule": "knock" })).await;
            other.clock.advance(std::time::Duration::from_secs(3_600));
            other.knock(&room, "bob", &one).await.unwrap();
            other.go(&room, "bob").await.unwrap();
            assert_eq!(one.membership(&room, &bob), Some(Leave));
            assert_eq!(other.membership(&room, &bob), Some(Leave));
        }
    }
}

#[tokio::test]
async fn an_invitation_that_is_taken_back_is_over_on_both_sides() {
    for version in VERSIONS {
        let (_world, one, other) = two();
        let room = one.room(version, json!({ "join_rule": "invite" })).await;
        let bob = other.user("bob");
        one.change(&room, "alice", &bob, Invite).await.unwrap();
        let back = one.change(&room, "alice", &bob, Leave).await.unwrap();
        let json = one.json(&room, &back);
        // What is not signed by who says it is not believed.
        let forged = json
            .get()
            .replace("\"one.test\":{\"ed25519", "\"two.test\":{\"ed25519");
        let forged = serde_json::value::RawValue::from_string(forged).unwrap();
        other.rooms.take_rescissions(&[forged]).await.unwrap();
        assert_eq!(
            other.membership(&room, &bob),
            Some(Invite),
            "version {version}"
        );
        // It comes with an ordinary transaction.
        let delivered = other.rooms.receive(&one.name(), vec![json]).await;
        assert!(delivered.unwrap().is_empty());
        assert_eq!(
            other.membership(&room, &bob),
            Some(Leave),
            "version {version}"
        );
        assert_eq!(other.preview(&room, &bob), None);
    }
}

#[tokio::test]
async fn the_banned_stay_out() {
    for version in VERSIONS {
        let (_world, one, other) = two();
        let room = one.room(version, json!({ "join_rule": "public" })).await;
        let bob = other.user("bob");
        other.join(&room, "bob", &one).await.unwrap();
        let banned = one.change(&room, "alice", &bob, Ban).await.unwrap();
        one.carry(&room, &banned, &other).await;
        assert_eq!(
            other.membership(&room, &bob),
            Some(Ban),
            "version {version}"
        );
        let refused = other.join(&room, "bob", &one).await;
        assert!(
            matches!(refused, Err(Error::Refused { status: 403, .. })),
            "{refused:?}"
        );
        assert_eq!(other.membership(&room, &bob), Some(Ban));
    }
}

#[tokio::test]
async fn an_invitation_that_is_not_wanted_leaves_no_trace() {
    let (world, one, other) = two();
    let room = one.room("12", json!({ "join_rule": "invite" })).await;
    let nobody = other.user("nobody");
    let refused = one.change(&room, "alice", &nobody, Invite).await;
    assert!(
        matches!(refused, Err(Error::Refused { status: 403, .. })),
        "{refused:?}"
    );
    assert_eq!(one.membership(&room, &nobody), None);
    world.network.cut(&one.name(), &other.name());
    let lost = one.change(&room, "alice", &other.user("bob"), Invite).await;
    assert!(matches!(lost, Err(Error::Unreachable(_))), "{lost:?}");
    assert_eq!(one.membership(&room, &other.user("bob")), None);
}

#[tokio::test]
async fn servers_that_a_room_shuts_out_get_nothing_of_it() {
    let (_world, one, other) = two();
    let room = one.room("11", json!({ "join_rule": "public" })).await;
    let acl = json!({ "allow": ["*"], "deny": ["other.test"] });
    let acl = SetState::new(
        room.clone(),
        one.user("alice"),
        "m.room.server_acl",
        "",
        &acl,
    );
    one.rooms.set_state(acl.unwrap()).await.unwrap();
    let refused = other.join(&room, "bob", &one).await;
    assert!(
        matches!(refused, Err(Error::Refused { status: 403, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn several_who_join_at_once_are_all_in_one_room() {
    let (world, one, other) = two();
    let room = one.room("10", json!({ "join_rule": "public" })).await;
    let names = ["bob", "carol", "dave", "eve"];
    let joins = names.map(|name| other.join(&room, name, &one));
    for joined in futures_util::future::join_all(joins).await {
        joined.unwrap();
    }
    for name in names {
        assert_eq!(other.membership(&room, &other.user(name)), Some(Join));
    }
    let seen = world.network.take_seen();
    let joins = seen
        .iter()
        .filter(|seen| seen.path_and_query.contains("send_join"));
    assert_eq!(joins.count(), 1, "only the first one has to ask");
}

#[tokio::test]
async fn members_can_be_left_out_of_the_answer() {
    let (_world, one, other) = two();
    let room = one.room("11", json!({ "join_rule": "public" })).await;
    other.join(&room, "bob", &one).await.unwrap();
    let s = one.rooms.store().snapshot();
    let no = members::room(&s, &room).unwrap();
    let join = state::now::get(&s, no, "m.room.member", "@bob:other.test")
        .unwrap()
        .unwrap();
    let event = serde_json::value::RawValue::from_string(join.json().to_owned()).unwrap();
    let event_id = join.owned_event_id().unwrap();
    let name = other.name();
    let offered = handshake::Offered {
        origin: &name,
        room_id: &room,
        event_id: &event_id,
        event: &event,
    };
    // The same join again is no other one: its answer may have been lost.
    let whole = one
        .rooms
        .send_join(offered, false)
        .await
        .unwrap()
        .whole()
        .await
        .unwrap();
    let less = one
        .rooms
        .send_join(offered, true)
        .await
        .unwrap()
        .whole()
        .await
        .unwrap();
    let (whole, less): (serde_json::Value, serde_json::Value) = (
        serde_json::from_str(&whole).unwrap(),
        serde_json::from_str(&less).unwrap(),
    );
    let members = |answer: &serde_json::Value| {
        let state = answer["state"].as_array().unwrap().iter();
        state
            .filter(|event| event["type"] == "m.room.member")
            .count()
    };
    assert_eq!((members(&whole), members(&less)), (1, 0));
    assert_eq!(
        (&whole["members_omitted"], &less["members_omitted"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(less["servers_in_room"], json!(["one.test", "other.test"]));
    assert_eq!(whole["origin"], "one.test");
}

/// What joining a room of 10,000 members costs: prints, and asserts only that all of them are there.
#[tokio::test]
#[ignore = "a measurement: takes a minute"]
async fn a_room_of_ten_thousand_is_joined() {
    const MEMBERS: usize = 10_000;
    let (_world, one, other) = two();
    let room = one.room("11", json!({ "join_rule": "public" })).await;
    for at in 0..MEMBERS {
        let user = one.user(&format!("user{at}"));
        one.change(&room, &format!("user{at}"), &user, Join)
            .await
            .unwrap();
    }
    let clock = base::SystemClock::new();
    let began = base::Clock::monotonic(&clock);
    other.join(&room, "bob", &one).await.unwrap();
    let took = base::Clock::monotonic(&clock).saturating_sub(began);
    println!("joined a room of {MEMBERS} members in {took:?}");
    assert_eq!(other.state(&room).len(), one.state(&room).len());
}
