//! Proof that the stored cases notice mistakes. Resolution against other implementations is in `tests/differential.rs`.

#[path = "../tests/common/mod.rs"]
mod common;

use super::mutation::{self, Mutation};
use crate::effort;
use common::big::{self, Stored};
use common::dag::{self, Dag, readable};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Cases of the oracle's protocol, each with the answer that other implementations gave as well.
const CASES: &str = include_str!("../tests/cases/resolve.jsonl");

fn cases() -> impl Iterator<Item = (Dag, Vec<String>)> {
    CASES.lines().map(|line| {
        let case: Value = serde_json::from_str(line).unwrap();
        let mut expected: Vec<String> = serde_json::from_value(case["state"].clone()).unwrap();
        expected.sort();
        (Dag::from_case(&case), expected)
    })
}

fn answer(dag: &Dag) -> Vec<String> {
    let mut ids: Vec<_> = dag.resolve().into_values().map(String::from).collect();
    ids.sort();
    ids
}

#[test]
fn stored_cases_hold() {
    for (at, (dag, expected)) in cases().enumerate() {
        assert_eq!(answer(&dag), expected, "case {at}");
    }
}

/// Threat 15: whoever breaks the resolver in one of these ways hears of it.
#[test]
fn t15_every_mistake_is_noticed() {
    let cases: Vec<_> = cases().collect();
    let unnoticed: Vec<_> = mutation::ALL
        .into_iter()
        .filter(|mistake| {
            mutation::with(*mistake, || {
                cases.iter().all(|(dag, expected)| answer(dag) == *expected)
            })
        })
        .collect();
    assert!(unnoticed.is_empty(), "no stored case notices {unnoticed:?}");
}

#[test]
fn auth_events_come_first() {
    let links: [(u8, &[u8]); 6] = [
        (3, &[1, 2]),
        (2, &[1]),
        (1, &[9]),
        (4, &[5]),
        (5, &[4]),
        (6, &[3, 3]),
    ];
    let sorted = super::chain::oldest_first(&links);
    assert_eq!(sorted[..4], [1, 2, 3, 6]);
    assert_eq!(
        sorted.len(),
        6,
        "those that stand behind each other come last: {sorted:?}"
    );
}

/// Threat 69: twice the room is twice the work, however it was made to hurt.
#[test]
fn t69_work_grows_no_faster_than_the_room() {
    type Bomb = fn(&'static crate::Rules, usize) -> Dag;
    let bombs: [(&str, Bomb, usize); 3] = [
        ("power events", big::power_bomb, 2_000),
        ("conflicting members", big::members_apart, 1_000),
        ("power levels on one branch", big::lone_power_bomb, 4_000),
    ];
    for version in ["1", "2", "11"] {
        let rules = crate::Rules::named(version).unwrap();
        for (name, bomb, size) in bombs {
            let work = |size| {
                let stored = Stored::of(&bomb(rules, size));
                effort::of(|| stored.resolve(rules)).1
            };
            let (half, whole) = (work(size), work(2 * size));
            assert!(
                whole * 10 <= half * 22,
                "{name}, version {version}: {half} steps, then {whole}"
            );
        }
    }
}

/// Looks for rooms that notice mistakes, and writes the fewest and smallest that notice all of them.
#[test]
#[ignore = "writes tests/cases/resolve.jsonl anew; run it when a mutation is added"]
fn hunt() {
    let mut found: Vec<(Value, BTreeSet<String>)> = Vec::new();
    for rules in crate::Rules::all() {
        for seed in 0..3_000 {
            let dag = dag::generate(rules, seed + 77_000_000);
            if dag.events.len() > 32 {
                continue;
            }
            let truth = readable(&dag.resolve());
            let notices =
                |mistake: &Mutation| mutation::with(*mistake, || readable(&dag.resolve()) != truth);
            let noticed: BTreeSet<_> = mutation::ALL
                .iter()
                .filter(|it| notices(it))
                .map(|it| format!("{it:?}"))
                .collect();
            if !noticed.is_empty() {
                let mut case = dag.to_case();
                case["state"] = json!(answer(&dag));
                found.push((case, noticed));
            }
        }
    }
    let mut missing: BTreeSet<_> = mutation::ALL.iter().map(|it| format!("{it:?}")).collect();
    let mut lines = String::new();
    while let Some((case, noticed)) = found
        .iter()
        .filter(|(_, noticed)| !noticed.is_disjoint(&missing))
        .max_by_key(|(case, noticed)| {
            noticed.intersection(&missing).count() * 400_000 / case.to_string().len()
        })
    {
        missing.retain(|mistake| !noticed.contains(mistake));
        lines.push_str(&case.to_string());
        lines.push('\n');
    }
    std::fs::write("tests/cases/resolve.jsonl", lines).unwrap();
    assert!(missing.is_empty(), "no room notices {missing:?}");
}
