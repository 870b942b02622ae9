//! What a commit costs: a batch of nine keys of 600 bytes, by one writer and by sixty-four, on disk and not yet.
//!
//! The promise: with sixty-four writers, commits that wait for the disk reach at least 80 % of the rate of those that
//! do not, because they share the syncs.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot run has nothing better to do than say why"
)]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use store::{Change, Hint, Pos, Spec, Store, Table, UserNo};

const ROWS: Table<(u64, Pos), Vec<u8>> = Table::new("bench_rows", Hint::Append);
const POINTS: Table<u64, Vec<u8>> = Table::new("bench_points", Hint::Point);
const KEYS: u64 = 9;

fn commits(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(1));
    group.measurement_time(Duration::from_secs(8));
    for writers in [1, 64] {
        for durable in [true, false] {
            let name = if durable { "durable" } else { "unsynced" };
            let folder = tempfile::tempdir().expect("a folder");
            let store = open(folder.path());
            group.bench_function(BenchmarkId::new(name, writers), |bencher| {
                bencher.iter_custom(|iterations| {
                    runtime.block_on(run(&store, iterations, writers, durable))
                });
            });
        }
    }
    group.finish();
}

fn open(path: &std::path::Path) -> Store {
    let tables: Vec<Spec> = store::tables::all()
        .chain([ROWS.spec(), POINTS.spec()])
        .collect();
    let engine = rocks::open_tables(&rocks::Options::at(path), &tables).expect("an engine");
    Store::open(engine).expect("a store")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time and starts its own tasks"
)]
async fn run(store: &Store, iterations: u64, writers: u64, durable: bool) -> Duration {
    let start = std::time::Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let share = iterations / writers + u64::from(writer < iterations % writers);
            tokio::spawn(write(store.clone(), writer, share, durable))
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer");
    }
    start.elapsed()
}

async fn write(store: Store, writer: u64, times: u64, durable: bool) {
    for _ in 0..times {
        let tx = batch(&store, writer).expect("a batch");
        let commit = if durable {
            store.submit(tx)
        } else {
            store.submit_relaxed(tx)
        };
        commit.await.expect("a commit");
    }
}

fn batch(store: &Store, writer: u64) -> Result<store::Tx, store::Error> {
    let value = vec![b'v'; 600];
    let mut tx = store.tx();
    let pos = tx.log(Change::Profile {
        user: UserNo::new(writer),
    });
    for key in 1..KEYS {
        tx.put(ROWS, &(writer * KEYS + key, pos), &value)?;
    }
    tx.put(POINTS, &writer, &value)?;
    Ok(tx)
}

criterion_group!(benches, commits);
criterion_main!(benches);
