//! Figures to record with a release: memory when fresh, bytes on disk per message, time to start after a kill.
//! `cargo test --release -p rocks -- --ignored --nocapture figures`

use std::path::Path;
use std::process::{Command, Stdio};

use ruma::EventId;
use store::{Change, Error, EventNo, Hint, Pos, RoomNo, Spec, Store, Table};

use super::files;
use crate::{Options, open_tables};

const FOLDER: &str = "ROCKS_FIGURES_FOLDER";
const MESSAGES: u64 = 200_000;

const EVENTS: Table<EventNo, String> = Table::new("figure_events", Hint::Append);
const TIMELINE: Table<(RoomNo, Pos), EventNo> = Table::new("figure_timeline", Hint::Append);
const PLACES: Table<EventNo, (RoomNo, Pos)> = Table::new("figure_places", Hint::Append);
const EDGES: Table<(EventNo, EventNo), ()> = Table::new("figure_edges", Hint::Append);
const TIPS: Table<(RoomNo, EventNo), ()> = Table::new("figure_tips", Hint::Point);
const TXNS: Table<(u64, String), EventNo> = Table::new("figure_txns", Hint::Point);

/// Tables that only stand there: the house will have about that many.
const OTHERS: usize = 48;

fn open(path: &Path) -> Store {
    let own = [
        EVENTS.spec(),
        TIMELINE.spec(),
        PLACES.spec(),
        EDGES.spec(),
        TIPS.spec(),
        TXNS.spec(),
    ];
    let others = (0..OTHERS)
        .map(|number| Table::<u64, u64>::new(format!("other{number}").leak(), Hint::Point));
    let others = others.map(|table| table.spec());
    let tables: Vec<Spec> = store::tables::all().chain(own).chain(others).collect();
    Store::open(open_tables(&Options::at(path), &tables).unwrap()).unwrap()
}

#[test]
#[ignore = "prints figures; takes a minute"]
#[expect(clippy::disallowed_methods, reason = "figures are about real time")]
fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let before = memory();
    let store = open(folder.path());
    println!("memory of a fresh database: {} KiB", memory() - before);
    drop(store);

    run_child(folder.path(), MESSAGES / 64 * 64);
    println!(
        "log to read after a kill: {} KiB",
        log_bytes(folder.path()) >> 10
    );
    let started = std::time::Instant::now();
    let store = open(folder.path());
    println!(
        "opened after a kill in {:?}, {} messages",
        started.elapsed(),
        store.head()
    );
    let messages = store.head().get();
    store.stop();
    drop(store);
    let store = open(folder.path());
    println!("disk per message: {} bytes", disk(folder.path()) / messages);
    println!(
        "memory with all that: {} KiB more than without",
        memory() - before
    );
    let snapshot = store.snapshot();
    let started = std::time::Instant::now();
    let mut bytes = 0;
    for number in (1..messages).step_by(97) {
        bytes += snapshot
            .get(EVENTS, &EventNo::new(number))
            .unwrap()
            .unwrap()
            .len();
    }
    println!(
        "a cold event: {:?}",
        started.elapsed() / (messages / 97) as u32
    );
    let started = std::time::Instant::now();
    for number in (1..messages).step_by(97) {
        bytes += snapshot
            .get(EVENTS, &EventNo::new(number))
            .unwrap()
            .unwrap()
            .len();
    }
    println!(
        "a warm event: {:?} ({bytes} bytes read)",
        started.elapsed() / (messages / 97) as u32
    );
    let started = std::time::Instant::now();
    let rows = snapshot
        .scan(
            EVENTS,
            EventNo::new(1)..EventNo::new(100_000),
            store::Order::Forward,
        )
        .count();
    println!(
        "a hundred events in a row: {:?}",
        started.elapsed() / (rows / 100) as u32
    );
}

fn run_child(folder: &Path, messages: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tests::figures::child",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, format!("{messages} {}", folder.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.wait().unwrap();
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn disk(folder: &Path) -> u64 {
    files(folder).values().sum()
}

fn log_bytes(folder: &Path) -> u64 {
    files(folder)
        .iter()
        .filter(|(name, _)| name.to_string_lossy().ends_with(".log"))
        .map(|(_, len)| len)
        .sum()
}

/// Not a test of its own: the process that writes, and ends without a goodbye.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how the measuring test tells its child what to write"
)]
fn child() {
    let Ok(order) = std::env::var(FOLDER) else {
        return;
    };
    let (messages, folder) = order.split_once(' ').unwrap();
    let store = open(Path::new(folder));
    let mut last = Vec::new();
    for number in 0..messages.parse::<u64>().unwrap() {
        last.push(message(&store, number));
        if last.len() == 64 {
            last.drain(..).for_each(|commit| {
                commit.wait().unwrap();
            });
        }
    }
    std::process::abort();
}

/// What a message in a room writes, about.
fn message(store: &Store, number: u64) -> store::Commit {
    let mut tx = store.tx();
    let room = RoomNo::new(1 + number % 50);
    let id = EventId::parse(format!("${}", noise(number, 43))).unwrap();
    let event = tx.intern_event(&id).unwrap();
    let pos = tx.log(Change::Event {
        room,
        event,
        state_key: None,
        member: None,
    });
    let previous = EventNo::new(event.get().saturating_sub(50));
    let written = tx.put(EVENTS, &event, &json(number)).and_then(|()| {
        tx.put(TIMELINE, &(room, pos), &event)?;
        tx.put(PLACES, &event, &(room, pos))?;
        tx.put(EDGES, &(event, previous), &())?;
        tx.delete(TIPS, &(room, previous));
        tx.put(TIPS, &(room, event), &())?;
        tx.put(
            TXNS,
            &(number % 20, format!("m1700000{number}.{number}")),
            &event,
        )
    });
    written.map_err(|error: Error| error.to_string()).unwrap();
    store.submit(tx)
}

fn json(number: u64) -> String {
    format!(
        r#"{{"auth_events":["${}","${}","${}"],"content":{{"body":"message number {number}: {}","msgtype":"m.text"}},"depth":{number},"hashes":{{"sha256":"{}"}},"origin_server_ts":17000{number},"prev_events":["${}"],"room_id":"!{}","sender":"@user{}:example.org","signatures":{{"example.org":{{"ed25519:abcdef":"{}"}}}},"type":"m.room.message"}}"#,
        noise(number % 50, 43),
        noise(number % 50 + 100, 43),
        noise(number % 20 + 200, 43),
        noise(number, 30),
        noise(number + 1_000_000, 43),
        noise(number.saturating_sub(50), 43),
        noise(number % 50 + 300, 43),
        number % 20,
        noise(number + 2_000_000, 86),
    )
}

/// Text that compresses as badly as hashes and signatures do.
fn noise(seed: u64, len: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let letter = |_| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let index = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 58) as usize;
        char::from(LETTERS[index])
    };
    (0..len).map(letter).collect()
}
