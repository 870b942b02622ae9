//! Tokens, refreshing, logging out, devices.

use std::time::Duration;

use super::{World, device_keys, key, logged, one_time_keys, upload};
use crate::{Error, Refusal, What};

fn is_unknown<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::UnknownToken { soft: false }))
}

#[tokio::test]
async fn a_token_says_who_and_with_what() {
    let world = World::new();
    let alice = world.person("alice", "PHONE").await;
    let who = world
        .users
        .authenticate(alice.tokens.access_token.expose())
        .await
        .unwrap();
    assert_eq!(
        (who.user_id.as_str(), who.device_id.as_str()),
        ("@alice:h.example", "PHONE")
    );
    assert!(is_unknown(&world.users.authenticate("mla_nonsense").await));
    assert!(is_unknown(&world.users.authenticate("").await));
}

#[tokio::test]
async fn tokens_survive_a_crash() {
    let world = World::new();
    let alice = world.person("alice", "PHONE").await;
    let again = world.after_crash();
    assert!(
        again
            .users
            .authenticate(alice.tokens.access_token.expose())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn logging_in_with_the_same_device_ends_the_old_session() {
    let world = World::new();
    let alice = world.person("alice", "PHONE").await;
    let users = &world.users;
    users
        .authenticate(alice.tokens.access_token.expose())
        .await
        .unwrap();
    users
        .rename_device(&alice.id, &alice.device(), Some("my phone"))
        .await
        .unwrap();
    let again = world.log_in(&alice.id, "PHONE", false).await;
    assert!(is_unknown(
        &users.authenticate(alice.tokens.access_token.expose()).await
    ));
    users
        .authenticate(again.access_token.expose())
        .await
        .unwrap();
    let devices = users.devices(&alice.id).await.unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(
        devices[0].display_name.as_deref(),
        Some("my phone"),
        "it is the same device"
    );
}

#[tokio::test]
async fn logging_out_takes_the_device_along() {
    let world = World::new();
    let alice = world.person("alice", "ONE").await;
    let (users, two) = (&world.users, world.log_in(&alice.id, "TWO", true).await);
    users
        .upload_keys(
            &alice.id,
            "ONE".into(),
            upload(
                Some(device_keys(&alice.id, "ONE", &key(1))),
                one_time_keys(0, 2),
            ),
        )
        .await
        .unwrap();
    let before = world.store.head();
    users.close_session(&alice.id, "ONE".into()).await.unwrap();
    assert_eq!(
        logged(&world.store, before).len(),
        1,
        "others hear that the device has gone"
    );
    assert!(is_unknown(
        &users.authenticate(alice.tokens.access_token.expose()).await
    ));
    assert!(
        users
            .one_time_counts(&alice.id, "ONE".into())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(users.authenticate(two.access_token.expose()).await.is_ok());
    users.close_all_sessions(&alice.id).await.unwrap();
    assert!(is_unknown(
        &users.authenticate(two.access_token.expose()).await
    ));
    assert!(is_unknown(
        &users.refresh(two.refresh_token.unwrap().expose()).await
    ));
    assert!(users.devices(&alice.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_that_can_be_refreshed_expires_softly() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let tokens = world.log_in(&alice.id, "B", true).await;
    let users = &world.users;
    assert_eq!(tokens.expires_in_ms, Some(3_600_000));
    users
        .authenticate(tokens.access_token.expose())
        .await
        .unwrap();
    world.clock.advance(Duration::from_secs(3600));
    assert!(matches!(
        users.authenticate(tokens.access_token.expose()).await,
        Err(Error::UnknownToken { soft: true })
    ));
    let new = users
        .refresh(tokens.refresh_token.unwrap().expose())
        .await
        .unwrap();
    let who = users.authenticate(new.access_token.expose()).await.unwrap();
    assert_eq!(who.device_id, "B");
    assert!(
        is_unknown(&users.authenticate(tokens.access_token.expose()).await),
        "the old one has gone"
    );
}

#[tokio::test]
async fn until_the_new_pair_is_used_the_old_one_stays_good() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let (users, old) = (&world.users, world.log_in(&alice.id, "B", true).await);
    let refresh = old.refresh_token.clone().unwrap();
    let lost = users.refresh(refresh.expose()).await.unwrap();
    assert!(users.authenticate(old.access_token.expose()).await.is_ok());
    let second = users.refresh(refresh.expose()).await.unwrap();
    assert!(
        is_unknown(&users.authenticate(lost.access_token.expose()).await),
        "only one pair may follow"
    );
    assert!(
        users
            .authenticate(second.access_token.expose())
            .await
            .is_ok()
    );
    assert!(is_unknown(
        &users.authenticate(old.access_token.expose()).await
    ));
    let third = users
        .refresh(second.refresh_token.unwrap().expose())
        .await
        .unwrap();
    let fourth = users
        .refresh(third.refresh_token.unwrap().expose())
        .await
        .unwrap();
    assert!(
        users
            .authenticate(fourth.access_token.expose())
            .await
            .is_ok(),
        "refreshing counts as using"
    );
}

#[tokio::test]
async fn a_refresh_token_seen_twice_ends_the_session() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let (users, first) = (&world.users, world.log_in(&alice.id, "B", true).await);
    let stolen = first.refresh_token.unwrap();
    let second = users.refresh(stolen.expose()).await.unwrap();
    users
        .authenticate(second.access_token.expose())
        .await
        .unwrap();
    assert!(is_unknown(&users.refresh(stolen.expose()).await));
    assert!(
        is_unknown(&users.authenticate(second.access_token.expose()).await),
        "whoever holds it"
    );
    assert!(is_unknown(
        &users.refresh(second.refresh_token.unwrap().expose()).await
    ));
    assert!(
        users
            .authenticate(alice.tokens.access_token.expose())
            .await
            .is_ok(),
        "other devices are not concerned"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_50_refreshes_at_once_one_pair_is_good() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let refresh = world
        .log_in(&alice.id, "B", true)
        .await
        .refresh_token
        .unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (users, refresh) = (world.users.clone(), refresh.clone());
        tasks.spawn(async move { users.refresh(refresh.expose()).await });
    }
    let mut good = 0;
    for outcome in tasks.join_all().await {
        let tokens = outcome.unwrap();
        good += usize::from(
            world
                .users
                .authenticate(tokens.access_token.expose())
                .await
                .is_ok(),
        );
    }
    assert_eq!(good, 1);
}

#[tokio::test]
async fn a_refresh_token_is_no_access_token_and_the_other_way_round() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let tokens = world.log_in(&alice.id, "B", true).await;
    assert!(is_unknown(
        &world
            .users
            .authenticate(tokens.refresh_token.unwrap().expose())
            .await
    ));
    assert!(is_unknown(
        &world.users.refresh(tokens.access_token.expose()).await
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_login_token_works_once_and_not_for_long() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let token = world
        .users
        .create_login_token(&alice.id)
        .await
        .unwrap()
        .token;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (users, token) = (world.users.clone(), token.clone());
        tasks.spawn(async move { users.use_login_token(token.expose()).await });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let late = world
        .users
        .create_login_token(&alice.id)
        .await
        .unwrap()
        .token;
    world.clock.advance(Duration::from_secs(120));
    assert!(matches!(
        world.users.use_login_token(late.expose()).await,
        Err(Error::Forbidden(Refusal::LoginToken))
    ));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.users.sweep_expired().await.unwrap(), 1);
    assert_eq!(world.users.sweep_expired().await.unwrap(), 0);
}

#[tokio::test]
async fn an_openid_token_identifies_for_an_hour() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let token = world
        .users
        .create_openid_token(&alice.id)
        .await
        .unwrap()
        .token;
    assert_eq!(
        world.users.openid_user(token.expose()).await.unwrap(),
        alice.id
    );
    assert_eq!(
        world.users.openid_user(token.expose()).await.unwrap(),
        alice.id,
        "as often as they like"
    );
    world.clock.advance(Duration::from_secs(3600));
    assert!(is_unknown(&world.users.openid_user(token.expose()).await));
}

#[tokio::test]
async fn device_ids_that_mean_something_else_are_refused() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    for bad in ["", "*", &"x".repeat(256)] {
        let wanted = crate::sessions::NewSession {
            device_id: Some(bad.into()),
            ..Default::default()
        };
        assert!(
            world.users.open_session(&alice.id, wanted).await.is_err(),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn when_a_device_was_seen_is_known_at_once_and_written_later() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let users = &world.users;
    let who = users
        .authenticate(alice.tokens.access_token.expose())
        .await
        .unwrap();
    users.note_seen(
        &who,
        Some("::ffff:192.0.2.1".parse().unwrap()),
        Some("Element"),
    );
    let device = users.device(&alice.id, &alice.device()).await.unwrap();
    assert_eq!(device.last_seen, Some(users.now()));
    assert_eq!(device.last_address.as_deref(), Some("192.0.2.1"));
    users.write_seen().await.unwrap();
    world.store.stop();
    let again = world.after_crash();
    let device = again
        .users
        .device(&alice.id, &alice.device())
        .await
        .unwrap();
    assert_eq!(device.user_agent.as_deref(), Some("Element"));
    assert!(matches!(
        again.users.device(&alice.id, "NO".into()).await,
        Err(Error::NotFound(What::Device))
    ));
}
