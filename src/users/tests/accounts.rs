//! Names, passwords, registration, deactivation.

use std::net::IpAddr;
use std::time::Duration;

use base::Secret;
use ruma::user_id;
use serde_json::json;

use super::{World, one_time_keys, password, raw, upload};
use crate::accounts::Mark;
use crate::passwords::LogoutOthers;
use crate::registration::Registration;
use crate::shared_secret::SharedSecretAsk;
use crate::{Error, Refusal, What, accounts};

fn wants(name: &str) -> Registration {
    Registration {
        username: Some(name.to_owned()),
        ..Registration::default()
    }
}

#[test]
fn names_follow_the_grammar_and_capitals_become_small() {
    let server = ruma::server_name!("h.example");
    assert_eq!(
        accounts::user_id("Alice", server).unwrap(),
        user_id!("@alice:h.example")
    );
    assert_eq!(
        accounts::user_id("a.b_c=d-e/f+1", server).unwrap(),
        "@a.b_c=d-e/f+1:h.example"
    );
    let long = "a".repeat(255);
    for bad in ["", "with space", "käse", "a:b", "@a", "a\0", long.as_str()] {
        assert!(
            matches!(
                accounts::user_id(bad, server),
                Err(Error::InvalidUsername(_))
            ),
            "{bad:?}"
        );
    }
}

#[test]
fn who_logs_in_may_write_the_name_or_the_whole_id() {
    let server = ruma::server_name!("h.example");
    for written in [
        "alice",
        "Alice",
        "@alice",
        "@alice:h.example",
        " @ALICE:h.example ",
    ] {
        assert_eq!(
            accounts::login_id(written, server).unwrap(),
            "@alice:h.example",
            "{written}"
        );
    }
    for bad in ["@alice:elsewhere", "", "@", "alice:h.example"] {
        assert!(accounts::login_id(bad, server).is_err(), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_who_want_the_same_name_one_gets_it() {
    let world = World::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let users = world.users.clone();
        tasks.spawn(async move { users.register(wants("alice")).await });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(Error::UserInUse)))
        .count();
    assert_eq!(refused, 199);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_registration_token_for_one_is_spent_once() {
    let world = World::new();
    let token = world
        .users
        .create_registration_token(Some("friends".to_owned()), Some(1), None)
        .await
        .unwrap();
    assert!(
        world
            .users
            .registration_token_is_valid(&token.token)
            .await
            .unwrap()
    );
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let users = world.users.clone();
        let wanted = Registration {
            token: Some("friends".to_owned()),
            ..wants(&format!("user{number}"))
        };
        tasks.spawn(async move { users.register(wanted).await });
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = |outcome: &&Result<_, Error>| {
        matches!(outcome, Err(Error::Forbidden(Refusal::RegistrationToken)))
    };
    assert_eq!(outcomes.iter().filter(refused).count(), 199);
    assert!(
        !world
            .users
            .registration_token_is_valid("friends")
            .await
            .unwrap()
    );
    assert_eq!(
        world
            .users
            .registration_token("friends")
            .await
            .unwrap()
            .completed,
        1
    );
    assert_eq!(
        world.users.accounts(None, 1000).await.unwrap().len(),
        1,
        "those who were refused have no account"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_for_many_lets_all_of_them_in_at_once() {
    let world = World::new();
    world
        .users
        .create_registration_token(Some("all".to_owned()), None, None)
        .await
        .unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let users = world.users.clone();
        let wanted = Registration {
            token: Some("all".to_owned()),
            ..wants(&format!("user{number}"))
        };
        tasks.spawn(async move { users.register(wanted).await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn registration_tokens_expire_change_and_go() {
    let world = World::new();
    let users = &world.users;
    let soon = users.now() + 1000;
    let token = users
        .create_registration_token(None, None, Some(soon))
        .await
        .unwrap()
        .token;
    assert!(users.registration_token_is_valid(&token).await.unwrap());
    world.clock.advance(Duration::from_secs(1));
    assert!(!users.registration_token_is_valid(&token).await.unwrap());
    assert_eq!(
        users.registration_tokens(Some(false)).await.unwrap().len(),
        1
    );
    let for_ever = crate::registration_tokens::TokenChange {
        expires: Some(None),
        uses_allowed: None,
    };
    users
        .change_registration_token(&token, for_ever)
        .await
        .unwrap();
    assert!(users.registration_token_is_valid(&token).await.unwrap());
    users.delete_registration_token(&token).await.unwrap();
    assert!(matches!(
        users.delete_registration_token(&token).await,
        Err(Error::NotFound(What::RegistrationToken))
    ));
    for bad in ["", "with space", &"x".repeat(65)] {
        let made = users
            .create_registration_token(Some(bad.to_owned()), None, None)
            .await;
        assert!(matches!(made, Err(Error::InvalidParam(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn without_a_name_everybody_gets_another_one() {
    let world = World::new();
    let first = world
        .users
        .register(Registration::default())
        .await
        .unwrap()
        .user_id;
    let guest = world
        .users
        .register(Registration {
            guest: true,
            ..Registration::default()
        })
        .await
        .unwrap()
        .user_id;
    assert_ne!(first, guest);
    assert!(world.users.account(&guest).await.unwrap().unwrap().guest);
    assert!(guest.localpart().starts_with("guest-"));
}

#[tokio::test]
async fn the_right_password_opens_and_the_sixth_wrong_one_has_to_wait() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let check = |text: &'static str| world.users.check_password(&alice, password(text), None);
    for _ in 0..20 {
        check("correct horse").await.unwrap();
    }
    for _ in 0..5 {
        assert!(matches!(
            check("wrong").await,
            Err(Error::Forbidden(Refusal::Password))
        ));
    }
    assert!(matches!(
        check("correct horse").await,
        Err(Error::LimitExceeded { .. })
    ));
    world.clock.advance(Duration::from_secs(60));
    check("correct horse").await.unwrap();
}

#[tokio::test]
async fn guessing_is_counted_by_address_too_and_names_that_do_not_exist_look_the_same() {
    let world = World::new();
    let from: IpAddr = "192.0.2.7".parse().unwrap();
    for number in 0..50 {
        let nobody = ruma::UserId::parse(format!("@nobody{number}:h.example")).unwrap();
        let outcome = world
            .users
            .check_password(&nobody, password("guess"), Some(from))
            .await;
        assert!(matches!(outcome, Err(Error::Forbidden(Refusal::Password))));
    }
    let outcome = world
        .users
        .check_password(
            user_id!("@another:h.example"),
            password("guess"),
            Some(from),
        )
        .await;
    assert!(matches!(outcome, Err(Error::LimitExceeded { .. })));
}

#[tokio::test]
async fn weak_passwords_are_refused_and_endless_ones_too() {
    let world = World::new();
    for bad in ["", "short", &"x".repeat(513)] {
        let wanted = Registration {
            password: Some(password(bad)),
            ..wants("alice")
        };
        assert!(matches!(
            world.users.register(wanted).await,
            Err(Error::WeakPassword(_))
        ));
    }
    let alice = world.person("alice", "A").await.id;
    let endless = Secret::new("x".repeat(1 << 20));
    assert!(matches!(
        world.users.check_password(&alice, endless, None).await,
        Err(Error::Forbidden(_))
    ));
}

#[tokio::test]
async fn changing_the_password_logs_the_other_devices_out() {
    let world = World::new();
    let alice = world.person("alice", "KEPT").await;
    let other = world.log_in(&alice.id, "OTHER", false).await;
    let (users, device) = (&world.users, alice.device());
    users
        .authenticate(other.access_token.expose())
        .await
        .unwrap();
    let others = LogoutOthers {
        keep: Some(&device),
    };
    users
        .set_password(&alice.id, password("a new password"), Some(others))
        .await
        .unwrap();
    assert!(
        users
            .authenticate(alice.tokens.access_token.expose())
            .await
            .is_ok()
    );
    assert!(matches!(
        users.authenticate(other.access_token.expose()).await,
        Err(Error::UnknownToken { soft: false })
    ));
    users
        .check_password(&alice.id, password("a new password"), None)
        .await
        .unwrap();
    assert!(
        users
            .check_password(&alice.id, password("correct horse"), None)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn what_moderators_do_is_seen_at_once() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let (users, token) = (&world.users, alice.tokens.access_token.expose().clone());
    assert!(!users.authenticate(&token).await.unwrap().account.locked);
    users.mark(&alice.id, Mark::Locked(true)).await.unwrap();
    users.mark(&alice.id, Mark::Suspended(true)).await.unwrap();
    users.mark(&alice.id, Mark::Admin(true)).await.unwrap();
    let account = users.authenticate(&token).await.unwrap().account.clone();
    assert!(account.locked && account.suspended && account.admin);
    users.mark(&alice.id, Mark::Locked(false)).await.unwrap();
    assert!(!users.authenticate(&token).await.unwrap().account.locked);
    assert!(matches!(
        users
            .mark(user_id!("@no:h.example"), Mark::Locked(true))
            .await,
        Err(Error::NotFound(What::User))
    ));
}

#[tokio::test]
async fn a_deactivated_account_is_gone_and_its_name_stays_taken() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let (users, device) = (&world.users, alice.device());
    users
        .upload_keys(&alice.id, &device, upload(None, one_time_keys(0, 3)))
        .await
        .unwrap();
    users
        .set_profile_field(&alice.id, "displayname", &raw(&json!("Alice")))
        .await
        .unwrap();
    users
        .set_account_data(&alice.id, None, "m.secret", &raw(&json!({ "a": 1 })))
        .await
        .unwrap();
    users
        .add_threepid(&alice.id, "email", "Alice@Example.org", 1)
        .await
        .unwrap();
    users.deactivate(&alice.id, true).await.unwrap();
    users.deactivate(&alice.id, true).await.unwrap();
    assert!(matches!(
        users.authenticate(alice.tokens.access_token.expose()).await,
        Err(Error::UnknownToken { .. })
    ));
    assert!(matches!(
        users
            .check_password(&alice.id, password("correct horse"), None)
            .await,
        Err(Error::Deactivated)
    ));
    assert!(matches!(
        users.register(wants("alice")).await,
        Err(Error::UserInUse)
    ));
    assert!(matches!(
        users.open_session(&alice.id, Default::default()).await,
        Err(Error::Deactivated)
    ));
    assert!(matches!(
        users.profile(&alice.id).await,
        Err(Error::NotFound(What::User))
    ));
    assert!(matches!(
        users.account_data(&alice.id, None, "m.secret").await,
        Err(Error::NotFound(_))
    ));
    assert!(users.devices(&alice.id).await.unwrap().is_empty());
    assert!(
        users
            .one_time_counts(&alice.id, &device)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        users
            .threepid_owner("email", "alice@example.org")
            .await
            .unwrap(),
        None
    );
    assert!(!users.is_active(&alice.id).await.unwrap());
}

#[tokio::test]
async fn addresses_belong_to_one_account() {
    let world = World::new();
    let (alice, bob) = (
        world.person("alice", "A").await.id,
        world.person("bob", "B").await.id,
    );
    let users = &world.users;
    users
        .add_threepid(&alice, "email", "Alice@Example.org", 5)
        .await
        .unwrap();
    assert!(
        users
            .add_threepid(&bob, "email", "alice@example.org", 6)
            .await
            .is_err()
    );
    assert_eq!(
        users
            .threepid_owner("email", "ALICE@example.org")
            .await
            .unwrap(),
        Some(alice.clone())
    );
    assert_eq!(
        users.threepids(&alice).await.unwrap()[0].address,
        "alice@example.org"
    );
    assert!(matches!(
        users
            .delete_threepid(&bob, "email", "alice@example.org")
            .await,
        Err(Error::NotFound(_))
    ));
    users
        .delete_threepid(&alice, "email", "alice@example.org")
        .await
        .unwrap();
    assert!(users.threepids(&alice).await.unwrap().is_empty());
    for (medium, address) in [
        ("email", ""),
        ("msisdn", "12a"),
        ("pigeon", "x"),
        ("email", &"x".repeat(501)),
    ] {
        assert!(
            users
                .add_threepid(&alice, medium, address, 1)
                .await
                .is_err(),
            "{medium} {address}"
        );
    }
}

#[tokio::test]
async fn a_shared_secret_registers_with_each_nonce_once() {
    let world = World::new();
    let (users, secret, pass) = (
        &world.users,
        Secret::from("s3cret".to_owned()),
        password("correct horse"),
    );
    let nonce = users.registration_nonce().unwrap();
    let ask = |nonce, mac| SharedSecretAsk {
        nonce,
        username: "bob",
        password: &pass,
        admin: true,
        user_type: None,
        mac,
    };
    assert!(matches!(
        users.check_shared_secret(&secret, &ask("other", "00")),
        Err(Error::InvalidParam(_))
    ));
    assert!(matches!(
        users.check_shared_secret(&secret, &ask(&nonce, "zz")),
        Err(Error::Forbidden(Refusal::Mac))
    ));
    assert!(
        matches!(
            users.check_shared_secret(&secret, &ask(&nonce, "00")),
            Err(Error::InvalidParam(_))
        ),
        "used up"
    );
    let old = users.registration_nonce().unwrap();
    world.clock.advance(Duration::from_secs(61));
    assert!(matches!(
        users.check_shared_secret(&secret, &ask(&old, "00")),
        Err(Error::InvalidParam(_))
    ));
}

#[tokio::test]
async fn no_secret_reaches_the_database() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let tokens = world.log_in(&alice.id, "B", true).await;
    let login = world.users.create_login_token(&alice.id).await.unwrap();
    let openid = world.users.create_openid_token(&alice.id).await.unwrap();
    let snapshot = world.store.snapshot();
    let mut all = String::new();
    for row in snapshot.scan(store::tables::ACCESS_TOKENS, .., store::Order::Forward) {
        all += &format!("{:?}", row.unwrap());
    }
    for row in snapshot.scan(store::tables::REFRESH_TOKENS, .., store::Order::Forward) {
        all += &format!("{:?}", row.unwrap());
    }
    for row in snapshot.scan(store::tables::SESSIONS, .., store::Order::Forward) {
        all += &format!("{:?}", row.unwrap());
    }
    for row in snapshot.scan(store::tables::PASSWORDS, .., store::Order::Forward) {
        all += &format!("{:?}", row.unwrap());
    }
    let refresh = tokens.refresh_token.clone().unwrap();
    for secret in [
        &alice.tokens.access_token,
        &tokens.access_token,
        &refresh,
        &login.token,
        &openid.token,
    ] {
        assert!(secret.expose().len() >= 32);
        assert!(!all.contains(secret.expose().as_str()));
        assert!(!format!("{tokens:?} {login:?} {openid:?}").contains(secret.expose().as_str()));
    }
    assert!(!all.contains("correct horse"));
    assert!(all.contains("$argon2id$"));
}
