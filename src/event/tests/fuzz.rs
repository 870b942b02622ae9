//! The fuzz targets (`fuzz/targets.rs`) on the stable compiler: each is given random bytes, and whatever inputs a fuzzer has kept.
//!
//! `MYELIN_FUZZ` says how many inputs each gets; the same ones every time.

#![expect(clippy::disallowed_methods, reason = "tests")]

#[path = "../fuzz/targets.rs"]
#[expect(
    unreachable_pub,
    reason = "the programs of the fuzzer include it as well"
)]
mod targets;

use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

/// As long as an input gets.
const LONGEST: usize = 1_500;

fn inputs() -> u64 {
    std::env::var("MYELIN_FUZZ")
        .ok()
        .and_then(|inputs| inputs.parse().ok())
        .unwrap_or(2_000)
}

fn run(name: &str, target: fn(&[u8])) {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");
    for file in std::fs::read_dir(format!("{kept}/{name}"))
        .into_iter()
        .flatten()
        .flatten()
    {
        target(&std::fs::read(file.path()).unwrap_or_default());
    }
    for seed in 0..inputs() {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut data = vec![0; random.random_range(0..LONGEST)];
        random.fill_bytes(&mut data);
        target(&data);
    }
}

macro_rules! targets {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            run(stringify!($name), targets::$name);
        }
    )* };
}

targets! { canonical ingress auth resolve push acl levels }
