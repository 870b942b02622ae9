//! User-interactive authentication: what it takes to let a request pass, and that nothing else does.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use ruma::OwnedUserId;

use super::{World, password};
use crate::uia::{Auth, Challenge, Flow, Operation, Outcome, Passed, Proof, Stage};
use crate::{Error, Refusal};

fn operation(user: Option<&OwnedUserId>, endpoint: &str, body: u8) -> Operation {
    let device = user.map(|_| "A".into());
    Operation {
        user: user.cloned(),
        device,
        endpoint: endpoint.to_owned(),
        body: [body; 32],
    }
}

fn with(session: &str, proof: Proof) -> Option<Auth> {
    Some(Auth {
        session: Some(session.to_owned()),
        proof: Some(proof),
    })
}

async fn ask(
    world: &World,
    operation: Operation,
    flows: &[Flow],
    auth: Option<Auth>,
) -> Result<Outcome, Error> {
    world.users.authorize(operation, flows, auth, None).await
}

async fn challenged(
    world: &World,
    operation: Operation,
    flows: &[Flow],
    auth: Option<Auth>,
) -> Challenge {
    match ask(world, operation, flows, auth).await.unwrap() {
        Outcome::Challenge(challenge) => challenge,
        Outcome::Passed(passed) => panic!("{passed:?}"),
    }
}

async fn passed(world: &World, operation: Operation, flows: &[Flow], auth: Option<Auth>) -> Passed {
    match ask(world, operation, flows, auth).await.unwrap() {
        Outcome::Passed(passed) => passed,
        Outcome::Challenge(challenge) => panic!("{challenge:?}"),
    }
}

#[tokio::test]
async fn a_password_lets_one_request_pass_once() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let flows = [vec![Stage::Password]];
    let op = || operation(Some(&alice), "DELETE /devices", 1);
    let proof = |text: &str| Proof::Password {
        user: alice.clone(),
        password: password(text),
    };
    let first = challenged(&world, op(), &flows, None).await;
    assert_eq!(
        (first.flows.as_slice(), first.completed.len()),
        (flows.as_slice(), 0)
    );
    let wrong = challenged(&world, op(), &flows, with(&first.session, proof("wrong"))).await;
    assert!(matches!(
        wrong.error,
        Some(Error::Forbidden(Refusal::Password))
    ));
    assert_eq!(wrong.session, first.session, "one may try again");
    passed(
        &world,
        op(),
        &flows,
        with(&first.session, proof("correct horse")),
    )
    .await;
    let again = challenged(
        &world,
        op(),
        &flows,
        Some(Auth {
            session: Some(first.session.clone()),
            proof: None,
        }),
    )
    .await;
    assert_ne!(again.session, first.session, "the session is used up");
}

#[tokio::test]
async fn a_session_is_good_for_its_own_request_only() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let bob = world.person("bob", "B").await.id;
    let flows = [vec![Stage::Password, Stage::Dummy]];
    let session = challenged(
        &world,
        operation(Some(&alice), "DELETE /devices", 1),
        &flows,
        None,
    )
    .await
    .session;
    let mut other_device = operation(Some(&alice), "DELETE /devices", 1);
    other_device.device = Some("B".into());
    for other in [
        operation(Some(&alice), "DELETE /devices", 2),
        operation(Some(&alice), "POST /account/password", 1),
        operation(Some(&bob), "DELETE /devices", 1),
        operation(None, "DELETE /devices", 1),
        other_device,
    ] {
        let outcome = ask(&world, other.clone(), &flows, with(&session, Proof::Dummy)).await;
        assert!(
            matches!(outcome, Err(Error::Forbidden(Refusal::OtherRequest))),
            "{other:?}"
        );
    }
}

#[tokio::test]
async fn anothers_password_proves_nothing() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let bob = world.person("bob", "B").await.id;
    let proof = Proof::Password {
        user: bob,
        password: password("correct horse"),
    };
    let op = operation(Some(&alice), "DELETE /devices", 1);
    let auth = Auth {
        session: None,
        proof: Some(proof),
    };
    let answer = ask(&world, op, &[vec![Stage::Password]], Some(auth)).await;
    assert!(matches!(answer, Err(Error::Forbidden(Refusal::NotYours))));
}

#[tokio::test]
async fn one_request_is_enough_where_nothing_has_to_be_proved() {
    let world = World::new();
    let op = || operation(None, "POST /register", 1);
    let auth = Some(Auth {
        session: None,
        proof: Some(Proof::Dummy),
    });
    passed(&world, op(), &[vec![Stage::Dummy]], auth).await;
    passed(&world, op(), &[vec![]], None).await;
    let none = challenged(&world, op(), &[], None).await;
    assert!(none.flows.is_empty(), "without a flow nobody passes");
}

#[tokio::test]
async fn a_registration_token_is_checked_and_handed_on() {
    let world = World::new();
    world
        .users
        .create_registration_token(Some("friends".to_owned()), Some(1), None)
        .await
        .unwrap();
    let flows = [vec![Stage::RegistrationToken, Stage::Dummy]];
    let op = || operation(None, "POST /register", 1);
    let session = challenged(&world, op(), &flows, None).await.session;
    let wrong = challenged(
        &world,
        op(),
        &flows,
        with(&session, Proof::RegistrationToken("no".to_owned())),
    )
    .await;
    assert!(matches!(
        wrong.error,
        Some(Error::Forbidden(Refusal::RegistrationToken))
    ));
    let half = challenged(
        &world,
        op(),
        &flows,
        with(&session, Proof::RegistrationToken("friends".to_owned())),
    )
    .await;
    assert_eq!(half.completed, [Stage::RegistrationToken]);
    let all = passed(&world, op(), &flows, with(&session, Proof::Dummy)).await;
    assert_eq!(all.registration_token.as_deref(), Some("friends"));
}

#[tokio::test]
async fn a_session_does_not_last() {
    let world = World::new();
    let flows = [vec![Stage::Terms, Stage::Dummy]];
    let op = || operation(None, "POST /register", 1);
    let session = challenged(&world, op(), &flows, None).await.session;
    world.users.complete_stage(&session, Stage::Terms).unwrap();
    world.clock.advance(Duration::from_secs(300));
    assert!(world.users.complete_stage(&session, Stage::Terms).is_err());
    let late = challenged(&world, op(), &flows, with(&session, Proof::Dummy)).await;
    assert_eq!(
        late.completed,
        [Stage::Dummy],
        "what was done before is forgotten"
    );
}

#[tokio::test]
async fn a_stage_done_on_a_page_counts() {
    let world = World::new();
    let flows = [vec![Stage::Terms]];
    let op = || operation(None, "POST /register", 1);
    let session = challenged(&world, op(), &flows, None).await.session;
    world.users.complete_stage(&session, Stage::Terms).unwrap();
    passed(
        &world,
        op(),
        &flows,
        Some(Auth {
            session: Some(session),
            proof: None,
        }),
    )
    .await;
}

#[tokio::test]
async fn a_flood_of_sessions_takes_no_more_memory() {
    let world = World::new();
    let op = || operation(None, "POST /register", 1);
    let flows = [vec![Stage::Dummy, Stage::Terms]];
    let first = challenged(&world, op(), &flows, None).await.session;
    for _ in 0..20_001 {
        challenged(&world, op(), &flows, None).await;
    }
    assert!(
        world.users.complete_stage(&first, Stage::Terms).is_err(),
        "the oldest has gone"
    );
}

/// What somebody might try.
#[derive(Debug, Clone)]
enum Try {
    Proof {
        session: usize,
        request: u8,
        proof: u8,
    },
    Page {
        session: usize,
        stage: Stage,
    },
    Wait(u64),
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let stage = prop_oneof![Just(Stage::Terms), Just(Stage::Sso), Just(Stage::Dummy)];
    let one = prop_oneof![
        8 => (0..6_usize, 0..3_u8, 0..8_u8).prop_map(|(session, request, proof)| Try::Proof { session, request, proof }),
        2 => (0..6_usize, stage).prop_map(|(session, stage)| Try::Page { session, stage }),
        1 => (0..400_u64).prop_map(Try::Wait),
    ];
    prop::collection::vec(one, 0..30)
}

/// A session as it ought to be.
#[derive(Clone)]
struct Model {
    id: String,
    request: u8,
    done: BTreeSet<Stage>,
    born: u64,
    passed: bool,
}

fn proof(number: u8, alice: &OwnedUserId, bob: &OwnedUserId) -> Option<Proof> {
    let pass = |user: &OwnedUserId, text| Proof::Password {
        user: user.clone(),
        password: password(text),
    };
    match number {
        0 => None,
        1 => Some(Proof::Dummy),
        2 => Some(Proof::Terms),
        3 => Some(pass(alice, "correct horse")),
        4 => Some(pass(alice, "wrong")),
        5 => Some(pass(bob, "correct horse")),
        6 => Some(Proof::RegistrationToken("friends".to_owned())),
        _ => Some(Proof::Other("m.login.sentinel".to_owned())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is tried in whatever order: a request passes exactly when the session that it names, or begins, was begun
    /// for it, lives, has not passed, and every stage of a flow has been done in it.
    #[test]
    fn nothing_passes_without_its_stages(tries in tries()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let (alice, bob) = (world.person("alice", "A").await.id, world.person("bob", "B").await.id);
            let flows = [vec![Stage::Password, Stage::Terms], vec![Stage::Sso]];
            let (mut model, mut now): (Vec<Model>, u64) = (Vec::new(), 0);
            for one in tries {
                match one {
                    Try::Wait(seconds) => {
                        now += seconds;
                        world.clock.advance(Duration::from_secs(seconds));
                    }
                    Try::Page { session, stage } => {
                        let known = model.get_mut(session).filter(|known| !known.passed && now < known.born + 300);
                        let id = known.as_ref().map_or_else(|| "unknown".to_owned(), |known| known.id.clone());
                        prop_assert_eq!(world.users.complete_stage(&id, stage).is_ok(), known.is_some());
                        if let Some(known) = known {
                            known.done.insert(stage);
                        }
                    }
                    Try::Proof { session, request, proof: number } => {
                        let known = model.iter().position(|known| {
                            model.get(session).is_some_and(|wanted| wanted.id == known.id) && !known.passed && now < known.born + 300
                        });
                        let id = model.get(session).map(|wanted| wanted.id.clone());
                        let auth = Auth { session: id, proof: proof(number, &alice, &bob) };
                        let op = operation(Some(&alice), &format!("POST /{request}"), request);
                        let outcome = world.users.authorize(op, &flows, Some(auth), None).await;
                        if known.is_some_and(|place| model[place].request != request) {
                            prop_assert!(matches!(outcome, Err(Error::Forbidden(Refusal::OtherRequest))));
                            continue;
                        }
                        let mut done = known.map_or_else(BTreeSet::new, |place| model[place].done.clone());
                        match outcome {
                            // Too many wrong passwords: nothing has happened to the session, or it was just begun.
                            Err(Error::LimitExceeded { .. }) => continue,
                            Err(Error::Forbidden(Refusal::NotYours)) if number == 5 => continue,
                            Err(other) => return Err(TestCaseError::fail(other.to_string())),
                            Ok(outcome) => {
                                match number {
                                    2 => { done.insert(Stage::Terms); }
                                    3 => { done.insert(Stage::Password); }
                                    _ => {}
                                }
                                let suffices = flows.iter().any(|flow| flow.iter().all(|stage| done.contains(stage)));
                                match outcome {
                                    Outcome::Passed(_) => {
                                        prop_assert!(suffices, "passed with {:?}", done);
                                        if let Some(place) = known {
                                            model[place].passed = true;
                                        }
                                    }
                                    Outcome::Challenge(challenge) => {
                                        prop_assert!(!suffices, "refused with {:?}", done);
                                        prop_assert_eq!(challenge.completed.iter().copied().collect::<BTreeSet<_>>(), done.clone());
                                        match known {
                                            Some(place) => model[place].done = done,
                                            None => model.push(Model { id: challenge.session, request, done, born: now, passed: false }),
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
}
