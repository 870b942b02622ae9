//! What the busiest paths cost. `cargo test --release -p users -- --ignored --nocapture speed` prints figures; nothing is
//! asserted, because the machine may be busy with something else.

use std::hint::black_box;

use base::{Clock, SystemClock};

use super::{World, one_time_keys, upload};
use crate::one_time_keys::Wanted;

fn report(what: &str, times: u32, clock: &SystemClock, start: std::time::Duration) {
    println!("{what}: {:?} each", (clock.monotonic() - start) / times);
}

#[tokio::test]
#[ignore = "prints figures for people, asserts nothing"]
async fn speed() {
    let world = World::new();
    let alice = world.person("alice", "A").await;
    let (users, clock, device) = (&world.users, SystemClock::new(), alice.device());
    let token = alice.tokens.access_token.expose();
    users.authenticate(token).await.unwrap();
    let start = clock.monotonic();
    for _ in 0..100_000 {
        black_box(users.authenticate(black_box(token)).await.unwrap());
    }
    report("token lookup", 100_000, &clock, start);
    let start = clock.monotonic();
    for turn in 0..9 {
        users
            .upload_keys(
                &alice.id,
                &device,
                upload(None, one_time_keys(turn * 50, 50)),
            )
            .await
            .unwrap();
    }
    report("upload of 50 keys, with up to 400 there", 9, &clock, start);
    let wanted = vec![Wanted {
        user: alice.id.clone(),
        device,
        algorithm: "signed_curve25519".to_owned(),
    }];
    let start = clock.monotonic();
    for _ in 0..450 {
        black_box(users.claim_keys(wanted.clone()).await.unwrap());
    }
    report("claim", 450, &clock, start);
}
