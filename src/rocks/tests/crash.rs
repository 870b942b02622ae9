//! Kills: a child process writes and says what was acknowledged, dies at a random moment, and all of it must be there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use store::{Change, Error, Order, Pos, Store, UserNo, tables};

use super::{TEXTS, open_store};

const FOLDER: &str = "ROCKS_CRASH_TEST_FOLDER";
const CYCLES: u64 = 12;
const WRITERS: u64 = 8;

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for cycle in 0..CYCLES {
        acknowledged.extend(write_until_killed(folder.path(), 40 + cycle * 37 % 400));
        let store = open_store(folder.path()).unwrap();
        check(&store, &acknowledged);
    }
    assert!(
        acknowledged.len() > 100,
        "only {} writes were acknowledged",
        acknowledged.len()
    );
}

/// Starts a child, kills it, and returns the positions that it was told are on disk.
fn write_until_killed(folder: &Path, milliseconds: u64) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tests::crash::child",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("ack ")?.parse().ok());
    let mut acknowledged: Vec<u64> = lines.by_ref().take(1).collect();
    std::thread::sleep(Duration::from_millis(milliseconds));
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.extend(lines);
    acknowledged
}

fn check(store: &Store, acknowledged: &[u64]) {
    let snapshot = store.snapshot();
    for pos in acknowledged {
        let text = snapshot.get(TEXTS, pos).unwrap();
        assert_eq!(
            text.as_deref(),
            Some(text_at(*pos).as_str()),
            "position {pos} was acknowledged"
        );
    }
    let log: Vec<Pos> = snapshot
        .scan(tables::LOG, .., Order::Forward)
        .keys()
        .collect::<Result<_, _>>()
        .unwrap();
    let rows: Vec<u64> = snapshot
        .scan(TEXTS, .., Order::Forward)
        .keys()
        .collect::<Result<_, _>>()
        .unwrap();
    let dense: Vec<u64> = (1..=snapshot.head().get()).collect();
    assert_eq!(
        log.iter().map(|pos| pos.get()).collect::<Vec<_>>(),
        dense,
        "the log has a gap or goes too far"
    );
    assert_eq!(
        rows, dense,
        "a row without its log entry, or the other way round"
    );
}

fn text_at(pos: u64) -> String {
    format!("text {pos} ").repeat(40)
}

/// Not a test of its own: the process that gets killed. Each write knows its position, because a row asserts it.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how the killing test tells its child where to write"
)]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let store = open_store(Path::new(&folder)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                loop {
                    let pos = write_one(&store);
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\nack {pos}")
                        .and_then(|()| out.flush())
                        .unwrap();
                }
            });
        }
    });
}

fn write_one(store: &Store) -> u64 {
    loop {
        let written = store.write_blocking(|tx| {
            let last = tx.get_for_update(tables::META, "crash test")?;
            let last = last.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
            let next = last + 1;
            tx.put(tables::META, "crash test", &next.to_be_bytes().to_vec())?;
            tx.put(TEXTS, &next, text_at(next).as_str())?;
            tx.log(Change::Profile {
                user: UserNo::new(next),
            });
            Ok::<_, Error>(next)
        });
        match written {
            Ok((pos, assigned)) => {
                assert_eq!(Pos::new(pos), assigned);
                return pos;
            }
            Err(error) if error.is_conflict() => {}
            Err(error) => panic!("{error}"),
        }
    }
}
