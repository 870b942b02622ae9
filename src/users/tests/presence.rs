//! Presence.

use std::sync::Arc;
use std::time::Duration;

use ruma::presence::PresenceState;
use ruma::user_id;
use store::UserNo;

use super::{Person, World};
use crate::Identity;
use crate::presence::{self, RemotePresence};

async fn who(world: &World, person: &Person) -> Arc<Identity> {
    world
        .users
        .authenticate(person.tokens.access_token.expose())
        .await
        .unwrap()
}

fn state(world: &World, user: UserNo) -> &'static str {
    match world.users.presence_of(user).unwrap().state {
        PresenceState::Online => "online",
        PresenceState::Unavailable => "unavailable",
        PresenceState::Offline => "offline",
        _ => "?",
    }
}

/// How many changes others have heard of.
fn told(world: &World, after: store::Pos) -> usize {
    super::logged(&world.store, after)
        .iter()
        .filter(|change| change.starts_with("Presence"))
        .count()
}

async fn pass(world: &World, seconds: u64) {
    world.clock.advance(Duration::from_secs(seconds));
    world.users.tick_presence().await.unwrap();
}

#[tokio::test]
async fn people_come_grow_idle_and_go() {
    let world = World::new();
    let alice = who(&world, &world.person("alice", "A").await).await;
    let (users, no, start) = (&world.users, alice.user_no(), world.store.head());
    assert_eq!(state(&world, no), "offline");
    let sync = users.presence_syncing(&alice, &PresenceState::Online);
    assert_eq!(state(&world, no), "online");
    pass(&world, 1).await;
    assert_eq!(told(&world, start), 1);
    assert!(
        presence::get(&world.store.snapshot(), no, users.now())
            .unwrap()
            .unwrap()
            .currently_active
    );
    for _ in 0..20 {
        pass(&world, 1).await;
    }
    assert_eq!(told(&world, start), 1, "nothing new, nothing told");
    pass(&world, 60).await;
    assert_eq!(told(&world, start), 2, "not active any more");
    pass(&world, 240).await;
    assert_eq!(state(&world, no), "unavailable");
    users.presence_active(&alice);
    assert_eq!(state(&world, no), "online");
    drop(sync);
    pass(&world, 29).await;
    assert_eq!(
        state(&world, no),
        "online",
        "the next sync may be on its way"
    );
    pass(&world, 1).await;
    assert_eq!(state(&world, no), "offline");
    let changed: Vec<_> = presence::changed_after(&world.store.snapshot(), start)
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(changed, [no], "one row per user, however much has changed");
}

#[tokio::test]
async fn a_client_that_syncs_idly_does_not_look_busy() {
    let world = World::new();
    let alice = who(&world, &world.person("alice", "A").await).await;
    let (users, no) = (&world.users, alice.user_no());
    for _ in 0..15 {
        let sync = users.presence_syncing(&alice, &PresenceState::Online);
        world.clock.advance(Duration::from_secs(30));
        drop(sync);
        world.clock.advance(Duration::from_secs(1));
        users.tick_presence().await.unwrap();
    }
    assert_eq!(state(&world, no), "unavailable");
}

#[tokio::test]
async fn what_people_say_is_told_at_once_and_kept() {
    let world = World::new();
    let person = world.person("alice", "A").await;
    let alice = who(&world, &person).await;
    let users = &world.users;
    let start = world.store.head();
    users
        .set_presence(
            &person.id,
            &person.device(),
            PresenceState::Unavailable,
            Some("at lunch".to_owned()),
        )
        .await
        .unwrap();
    assert_eq!(told(&world, start), 1);
    let seen = users.presence(&person.id).unwrap();
    assert_eq!(
        (seen.state, seen.status.as_deref()),
        (PresenceState::Unavailable, Some("at lunch"))
    );
    pass(&world, 31).await;
    assert_eq!(state(&world, alice.user_no()), "offline");
    assert_eq!(
        users.presence(&person.id).unwrap().status.as_deref(),
        Some("at lunch")
    );
    let _sync = users.presence_syncing(&alice, &PresenceState::Online);
    assert_eq!(
        users.presence(&person.id).unwrap().status.as_deref(),
        Some("at lunch")
    );
    let long = users
        .set_presence(
            &person.id,
            &person.device(),
            PresenceState::Online,
            Some("x".repeat(2000)),
        )
        .await;
    assert!(long.is_err());
}

#[tokio::test]
async fn whoever_does_not_come_back_after_a_restart_has_gone() {
    let world = World::new();
    let alice = who(&world, &world.person("alice", "A").await).await;
    let sync = world.users.presence_syncing(&alice, &PresenceState::Online);
    pass(&world, 1).await;
    world.store.stop();
    let again = world.after_crash();
    drop(sync);
    again.users.tick_presence().await.unwrap();
    assert_eq!(state(&again, alice.user_no()), "online");
    pass(&again, 31).await;
    assert_eq!(state(&again, alice.user_no()), "offline");
}

#[tokio::test]
async fn what_other_servers_say_is_kept_for_people_we_know() {
    let world = World::new();
    let (users, bob) = (&world.users, user_id!("@bob:elsewhere"));
    let said = || RemotePresence {
        state: PresenceState::Online,
        status: None,
        last_active_ago: 5000,
        currently_active: true,
    };
    users
        .receive_presence(vec![(bob.to_owned(), said())])
        .await
        .unwrap();
    assert!(users.presence(bob).is_err());
    users.distrust_remote_devices(bob).await.unwrap();
    world
        .store
        .write::<_, store::Error>(|tx| tx.intern_user(user_id!("@bob:elsewhere")))
        .await
        .unwrap();
    users
        .receive_presence(vec![(bob.to_owned(), said())])
        .await
        .unwrap();
    let alice = world.person("alice", "A").await.id;
    users
        .receive_presence(vec![(alice.clone(), said())])
        .await
        .unwrap();
    users.tick_presence().await.unwrap();
    assert_eq!(users.presence(bob).unwrap().last_active_ago, Some(5000));
    assert_eq!(
        users.presence(&alice).unwrap().state,
        PresenceState::Offline,
        "nobody speaks for our users"
    );
}
