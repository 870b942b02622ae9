//! What waiting for the disk costs when many wait at once. The two ways take turns in short rounds and are compared
//! round by round, because on a machine that does other work too, two long runs one after the other compare the hours.
//! `cargo test --release -p rocks -- --ignored --nocapture sharing`

use std::time::Duration;

use store::{Change, Error, Hint, Pos, Spec, Store, Table, UserNo};

use crate::{Options, open_tables};

const ROWS: Table<(u64, Pos), Vec<u8>> = Table::new("sharing_rows", Hint::Append);
const WRITERS: u64 = 64;
const ROUNDS: usize = 41;
const EACH: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; takes a minute"]
async fn figures() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let stores = folders.each_ref().map(|folder| {
        let tables: Vec<Spec> = store::tables::all().chain([ROWS.spec()]).collect();
        Store::open(open_tables(&Options::at(folder.path()), &tables).unwrap()).unwrap()
    });
    let [durable, unsynced] = &stores;
    let mut ratios = Vec::new();
    let mut totals = [Duration::ZERO; 2];
    for round in 0..ROUNDS {
        // Whoever comes second finds warmer caches and the other's dirty pages: take turns in that too.
        let (synced, relaxed) = if round % 2 == 0 {
            let synced = run(durable, true).await;
            (synced, run(unsynced, false).await)
        } else {
            let relaxed = run(unsynced, false).await;
            (run(durable, true).await, relaxed)
        };
        totals[0] += synced;
        totals[1] += relaxed;
        ratios.push(relaxed.as_secs_f64() / synced.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let at = |share: usize| 100.0 * ratios[(ROUNDS - 1) * share / 4];
    let rate = |total: Duration| (ROUNDS as u64 * WRITERS * EACH) as f64 / total.as_secs_f64();
    println!(
        "durable {:.0}/s, unsynced {:.0}/s over all rounds",
        rate(totals[0]),
        rate(totals[1])
    );
    println!(
        "durable rate in % of unsynced, per round: quartiles {:.0} {:.0} {:.0}",
        at(1),
        at(2),
        at(3)
    );
    let statistics = durable.statistics();
    println!(
        "durable store: {}",
        statistics
            .lines()
            .filter(|line| line.starts_with("commits") || line.starts_with("groups"))
            .collect::<Vec<_>>()
            .join(", ")
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "figures are about real time, and start their own tasks"
)]
async fn run(store: &Store, durable: bool) -> Duration {
    let started = std::time::Instant::now();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(store.clone(), writer, durable)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    started.elapsed()
}

async fn write(store: Store, writer: u64, durable: bool) {
    for _ in 0..EACH {
        let tx = batch(&store, writer).unwrap();
        let commit = if durable {
            store.submit(tx)
        } else {
            store.submit_relaxed(tx)
        };
        commit.await.unwrap();
    }
}

fn batch(store: &Store, writer: u64) -> Result<store::Tx, Error> {
    let value = vec![b'v'; 600];
    let mut tx = store.tx();
    let pos = tx.log(Change::Profile {
        user: UserNo::new(writer),
    });
    for key in 0..9 {
        tx.put(ROWS, &(writer * 9 + key, pos), &value)?;
    }
    Ok(tx)
}
