//! A full disk: writes are refused, reads go on, and once there is room, writes are accepted again.
//!
//! Needs a small file system of its own, so it runs only where somebody has made one:
//! `mount -t tmpfs -o size=96m tmpfs /tmp/small; ROCKS_SMALL_DISK=/tmp/small cargo test --release -p rocks -- --ignored full`

use std::path::Path;
use std::time::Duration;

use store::{Error, Health, Order, Store};

use super::{TEXTS, open_store};

const ROUNDS: u64 = 5;

#[test]
#[ignore = "needs a small disk"]
#[expect(clippy::disallowed_methods, reason = "where the small disk is")]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let disk = std::env::var("ROCKS_SMALL_DISK").expect("ROCKS_SMALL_DISK names a small disk");
    let ballast = Path::new(&disk).join("ballast");
    let folder = Path::new(&disk).join("database");
    let _ = std::fs::remove_dir_all(&folder);
    let store = open_store(&folder).unwrap();
    let mut written = 0;
    for round in 0..ROUNDS {
        fill(&ballast);
        let refused = write_until_refused(&store, &mut written);
        assert!(matches!(refused, Error::Full), "round {round}: {refused}");
        assert_eq!(store.health(), Health::Full);
        assert_eq!(count(&store), written, "reads go on");
        std::fs::remove_file(&ballast).unwrap();
        wait_for_room(&store);
        put(&store, written).unwrap();
        written += 1;
    }
    drop(store);
    assert_eq!(
        count(&open_store(&folder).unwrap()),
        written,
        "nothing acknowledged is lost, nothing refused is there"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

fn fill(ballast: &Path) {
    let mut room = 96 << 20;
    while room > 4096 {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(ballast)
            .unwrap();
        if std::io::Write::write_all(&mut file, &vec![0; room]).is_err() {
            room /= 2;
        }
    }
}

fn put(store: &Store, key: u64) -> Result<(), Error> {
    store
        .write_blocking(|tx| tx.put(TEXTS, &key, &format!("{key}").repeat(2000)))
        .map(drop)
}

fn write_until_refused(store: &Store, written: &mut u64) -> Error {
    loop {
        match put(store, *written) {
            Ok(()) => *written += 1,
            Err(error) => return error,
        }
    }
}

fn wait_for_room(store: &Store) {
    for _ in 0..300 {
        if store.health() == Health::Well {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("still {:?} after thirty seconds", store.health());
}

fn count(store: &Store) -> u64 {
    store
        .snapshot()
        .scan(TEXTS, .., Order::Forward)
        .keys()
        .map(|key| key.map(|_| 1).unwrap())
        .sum()
}
