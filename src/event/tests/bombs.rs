//! Rooms made to hurt: memory of one resolution, and how often it asks its source. Alone in its binary, so that the memory it sees is its own. That its own
//! steps grow no faster than the room is held by the unit tests; how long it takes, the benches say.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

#[path = "common/mod.rs"]
mod common;

use common::big::{self, Stored};
use common::dag::Dag;
use event::Rules;

/// The most memory this process ever had, in MiB; 0 where nobody says.
fn peak_mebibytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or_default();
    line.trim()
        .trim_end_matches(" kB")
        .parse::<usize>()
        .unwrap_or(0)
        / 1024
}

fn check(name: &str, dag: &Dag) {
    let stored = Stored::of(dag);
    let resolved = stored.resolve(dag.rules);
    // The room itself lies in memory too, which makes the test a little harder than it says.
    let (peak, asked) = (peak_mebibytes(), stored.asked.get());
    println!(
        "{name}, version {}: asked {asked} times, {peak} MiB",
        dag.rules.version
    );
    assert!(peak < 512, "{name}: {peak} MiB");
    // Each event and its place once; each key the states agree on once.
    let limit = 3 * dag.events.len();
    assert!(
        asked <= limit,
        "{name}: asked {asked} times, more than {limit}"
    );
    assert!(!resolved.is_empty());
}

/// Threat 69: one resolution takes less than 512 MiB and looks everything up once, whatever it is given.
#[test]
fn t69_bombs_are_survived() {
    for version in ["1", "2", "11"] {
        let rules = Rules::named(version).unwrap();
        check("20,000 power events", &big::power_bomb(rules, 20_000));
        check(
            "10,000 conflicting members",
            &big::members_apart(rules, 10_000),
        );
        check(
            "16,000 power levels on one sender's branch",
            &big::lone_power_bomb(rules, 16_000),
        );
    }
}
