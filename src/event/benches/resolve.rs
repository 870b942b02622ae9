//! Resolution of large, busy and hostile rooms, with `ruma-state-res` on the same input in the same run.
//!
//! `ours` is what a server does that knows where its states differ; `ours_whole` compares whole states in memory first, as `ruma` has to.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::big::{self, Stored};
use common::dag::Dag;
use common::oracle::Oracle;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use event::Rules;
use std::cell::LazyCell;
use std::hint::black_box;
use std::time::Duration;

/// Rooms are made when a case that asks for one is run, so that a filter (and a profiler) sees that case alone.
fn compare(criterion: &mut Criterion, name: &str, make: impl Fn() -> Dag) {
    let mut group: BenchmarkGroup<'_, WallTime> = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    let dag = LazyCell::new(make);
    group.bench_function("ours", |bench| {
        let stored = Stored::of(&dag);
        bench.iter(|| black_box(stored.resolve(dag.rules)));
    });
    group.bench_function("ours_whole", |bench| {
        bench.iter(|| black_box(dag.resolve()));
    });
    group.bench_function("ruma", |bench| {
        let oracle = Oracle::of(&dag);
        bench.iter(|| black_box(oracle.resolve().unwrap()));
    });
    group.finish();
}

fn resolution(criterion: &mut Criterion) {
    let rules = Rules::named("11").unwrap();
    compare(criterion, "10,000 members, 20 events apart", || {
        big::twenty_apart(rules, 10_000)
    });
    compare(criterion, "100,000 members, 20 events apart", || {
        big::twenty_apart(rules, 100_000)
    });
    compare(criterion, "2,000 conflicting members", || {
        big::members_apart(rules, 2_000)
    });
    compare(criterion, "20,000 power events", || {
        big::power_bomb(rules, 20_000)
    });
}

criterion_group!(benches, resolution);
criterion_main!(benches);
