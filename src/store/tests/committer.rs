//! The committer: order, durability, retries, back-pressure, and what a failing disk does to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::Order;
use crate::memory::{Fault, Memory};
use crate::{Change, Error, Health, Hint, Pos, Store, Table, UserNo, tables};

const ROWS: Table<u64, u64> = Table::new("rows", Hint::Point);

fn profile(user: u64) -> Change {
    Change::Profile {
        user: UserNo::new(user),
    }
}

fn log(store: &Store, user: u64) -> Result<Pos, Error> {
    let logged = store.write_blocking(|tx| {
        tx.log(profile(user));
        Ok::<_, Error>(())
    });
    logged.map(|((), pos)| pos)
}

fn open() -> (Arc<Memory>, Store) {
    let memory = Arc::new(Memory::new());
    (memory.clone(), Store::open(memory).unwrap())
}

#[tokio::test]
async fn a_write_returns_its_value_and_its_last_position() {
    let store = Store::memory();
    let (value, pos) = store
        .write(|tx| {
            tx.log(profile(1));
            tx.log(profile(2));
            Ok::<_, Error>("value")
        })
        .await
        .unwrap();
    assert_eq!(
        (value, pos, store.head()),
        ("value", Pos::new(2), Pos::new(2))
    );
}

#[tokio::test]
async fn a_write_that_finds_nothing_to_do_returns_the_head() {
    let store = Store::memory();
    log_async(&store).await;
    let (_, pos) = store.write(|tx| tx.get(ROWS, &1)).await.unwrap();
    assert_eq!(pos, Pos::new(1));
}

async fn log_async(store: &Store) {
    let logged = store.write(|tx| {
        tx.log(profile(1));
        Ok::<_, Error>(())
    });
    logged.await.unwrap();
}

#[tokio::test]
async fn a_conflict_is_decided_anew() {
    let store = Store::memory();
    let attempts = Arc::new(AtomicUsize::new(0));
    let (tries, other) = (attempts.clone(), store.clone());
    let (_, _) = store
        .write(move |tx| {
            let seen = tx.get_for_update(ROWS, &1)?.unwrap_or(0);
            if tries.fetch_add(1, Ordering::SeqCst) == 0 {
                let mut quicker = other.tx();
                quicker.put(ROWS, &1, &10)?;
                drop(other.submit(quicker));
            }
            tx.put(ROWS, &1, &(seen + 1))
        })
        .await
        .unwrap();
    assert_eq!(store.snapshot().get(ROWS, &1).unwrap(), Some(11));
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
}

/// Many times, because whether the two meet in one group is up to the threads.
#[test]
fn whoever_is_refused_sees_what_was_in_the_way() {
    let store = Store::memory();
    for turn in 0..300 {
        let (mut first, mut second) = (store.tx(), store.tx());
        for tx in [&mut first, &mut second] {
            tx.expect(ROWS, &turn, None).unwrap();
            tx.put(ROWS, &turn, &1).unwrap();
        }
        let (first, second) = (store.submit(first), store.submit(second));
        assert!(second.wait().unwrap_err().is_conflict());
        assert_eq!(
            store.snapshot().get(ROWS, &turn).unwrap(),
            Some(1),
            "turn {turn}"
        );
        first.wait().unwrap();
    }
}

#[tokio::test]
async fn an_endless_conflict_is_reported() {
    let store = Store::memory();
    let result = store.write(|tx| {
        tx.expect(ROWS, &1, Some(&5))?;
        tx.put(ROWS, &1, &6)
    });
    assert!(matches!(
        result.await,
        Err(Error::Conflict { table: "rows" })
    ));
}

#[tokio::test]
async fn an_error_of_the_decision_writes_nothing() {
    #[derive(Debug)]
    enum Mine {
        No,
        Store,
    }
    impl From<Error> for Mine {
        fn from(_: Error) -> Self {
            Self::Store
        }
    }
    let store = Store::memory();
    let result = store.write(|tx| {
        tx.put(ROWS, &1, &1)?;
        Err::<(), _>(Mine::No)
    });
    assert!(matches!(result.await, Err(Mine::No)));
    assert_eq!(store.snapshot().get(ROWS, &1).unwrap(), None);
}

#[tokio::test]
async fn a_panicking_decision_is_an_error_and_the_store_goes_on() {
    let store = Store::memory();
    let result = store.write::<(), Error>(|_| panic!("oh"));
    assert!(matches!(result.await, Err(Error::Panicked(_))));
    log_async(&store).await;
}

#[test]
fn an_acknowledged_write_survives_a_crash() {
    let (memory, store) = open();
    log(&store, 1).unwrap();
    let revived = Store::open(Arc::new(memory.after_crash())).unwrap();
    assert_eq!(revived.head(), Pos::new(1));
}

#[tokio::test]
async fn a_relaxed_write_is_visible_at_once_and_on_disk_with_the_next_durable_one() {
    let (memory, store) = open();
    store
        .write_relaxed(|tx| tx.put(ROWS, &1, &1))
        .await
        .unwrap();
    assert_eq!(store.snapshot().get(ROWS, &1).unwrap(), Some(1));
    let lost = Store::open(Arc::new(memory.after_crash())).unwrap();
    assert_eq!(lost.snapshot().get(ROWS, &1).unwrap(), None);
    log_async(&store).await;
    let kept = Store::open(Arc::new(memory.after_crash())).unwrap();
    assert_eq!(kept.snapshot().get(ROWS, &1).unwrap(), Some(1));
}

#[test]
fn stopping_brings_relaxed_writes_to_disk_and_refuses_later_ones() {
    let (memory, store) = open();
    let mut tx = store.tx();
    tx.put(ROWS, &1, &1).unwrap();
    store.submit_relaxed(tx).wait().unwrap();
    store.stop();
    let kept = Store::open(Arc::new(memory.after_crash())).unwrap();
    assert_eq!(kept.snapshot().get(ROWS, &1).unwrap(), Some(1));
    assert!(matches!(log(&store, 1), Err(Error::Closed)));
    assert_eq!(store.snapshot().get(ROWS, &1).unwrap(), Some(1));
}

#[test]
fn a_failed_write_is_never_reported_as_a_success_and_stops_all_writing() {
    let (memory, store) = open();
    log(&store, 1).unwrap();
    memory.inject(Fault::Failed);
    assert!(matches!(log(&store, 2), Err(Error::ReadOnly(_))));
    memory.inject(Fault::None);
    assert!(
        matches!(log(&store, 3), Err(Error::ReadOnly(_))),
        "a failed sync must not be papered over"
    );
    assert!(matches!(store.health(), Health::ReadOnly(_)));
    assert_eq!(store.head(), Pos::new(1));
    assert_eq!(store.changes(Pos::ZERO, Pos::MAX, 9).unwrap().len(), 1);
}

#[test]
fn a_full_disk_refuses_writes_and_reads_go_on() {
    let (memory, store) = open();
    log(&store, 1).unwrap();
    memory.inject(Fault::Full);
    assert!(matches!(log(&store, 2), Err(Error::Full)));
    assert_eq!(store.health(), Health::Full);
    assert_eq!(store.snapshot().head(), Pos::new(1));
}

#[test]
fn pipelined_transactions_commit_in_the_order_in_which_they_were_submitted() {
    let store = Store::memory();
    let commits: Vec<_> = (0..500_u64)
        .map(|number| {
            let mut tx = store.tx();
            let expected = (number > 0).then(|| number - 1);
            tx.expect(ROWS, &0, expected.as_ref()).unwrap();
            tx.put(ROWS, &0, &number).unwrap();
            tx.log(profile(number));
            store.submit(tx)
        })
        .collect();
    for (number, commit) in commits.into_iter().enumerate() {
        assert_eq!(commit.wait().unwrap(), Pos::new(number as u64 + 1));
    }
    assert_eq!(store.snapshot().get(ROWS, &0).unwrap(), Some(499));
}

#[test]
fn positions_become_visible_in_order_and_with_what_they_announce() {
    let store = Store::memory();
    let rows: Table<Pos, u64> = Table::new("by_pos", Hint::Append);
    let writers: Vec<_> = (0..4_u64)
        .map(|writer| {
            let store = store.clone();
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let mut tx = store.tx();
                    let pos = tx.log(profile(writer));
                    tx.put(rows, &pos, &writer).unwrap();
                    store.submit(tx).wait().unwrap();
                }
            })
        })
        .collect();
    let mut seen = Pos::ZERO;
    while seen < Pos::new(400) {
        let snapshot = store.snapshot();
        let last = snapshot
            .last(rows, ..)
            .unwrap()
            .map_or(Pos::ZERO, |(pos, _)| pos);
        assert_eq!(last, snapshot.head(), "a snapshot ends at its head");
        assert!(store.head() >= snapshot.head() || store.snapshot().head() >= snapshot.head());
        assert!(snapshot.head() >= seen);
        seen = snapshot.head();
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(store.changes(Pos::ZERO, Pos::MAX, 1000).unwrap().len(), 400);
}

#[test]
fn changes_that_are_no_longer_in_memory_come_from_the_table() {
    let (memory, store) = open();
    for number in 1..=3 {
        log(&store, number).unwrap();
    }
    let reopened = Store::open(Arc::new(memory.after_crash())).unwrap();
    assert!(reopened.recent_changes(Pos::ZERO, Pos::MAX, 9).is_none());
    let changes = reopened.changes(Pos::new(1), Pos::new(3), 9).unwrap();
    assert_eq!(
        changes,
        vec![(Pos::new(2), profile(2)), (Pos::new(3), profile(3))]
    );
    assert_eq!(
        reopened.changes(Pos::new(1), Pos::new(2), 9).unwrap().len(),
        1
    );
    log(&reopened, 4).unwrap();
    assert_eq!(
        reopened.recent_changes(Pos::new(3), Pos::MAX, 9).unwrap(),
        vec![(Pos::new(4), profile(4))]
    );
}

#[tokio::test]
async fn a_follower_waits_and_wakes() {
    let store = Store::memory();
    let mut follower = store.follower("one");
    let mut tail = store.tail(store.head());
    let (changes, tailed, ()) = tokio::join!(follower.next(10), tail.next(10), log_async(&store));
    assert_eq!(changes.unwrap(), vec![(Pos::new(1), profile(1))]);
    assert_eq!(tailed.unwrap(), vec![(Pos::new(1), profile(1))]);
    assert_eq!(tail.position(), Pos::new(1));
    assert_eq!(
        follower.position().unwrap(),
        Pos::ZERO,
        "a follower moves when it says so"
    );
}

#[tokio::test]
async fn followers_do_not_disturb_each_other() {
    let store = Store::memory();
    log_async(&store).await;
    let (one, two) = (store.follower("one"), store.follower("two"));
    store
        .write_blocking_in_place(|tx| one.advance(tx, Pos::new(1)))
        .await;
    assert_eq!(one.try_next(9).unwrap().len(), 0);
    assert_eq!(two.try_next(9).unwrap().len(), 1);
}

impl Store {
    async fn write_blocking_in_place(
        &self,
        decide: impl FnOnce(&mut crate::Tx) -> Result<(), Error>,
    ) {
        let mut tx = self.tx();
        decide(&mut tx).unwrap();
        self.submit(tx).await.unwrap();
    }
}

#[test]
fn reads_are_counted() {
    let store = Store::memory();
    let before = store.calls();
    let snapshot = store.snapshot();
    snapshot.get(ROWS, &1).unwrap();
    snapshot.get_many(ROWS, &[1, 2, 3]).unwrap();
    snapshot.scan(ROWS, .., Order::Forward).for_each(drop);
    assert_eq!(store.calls() - before, 3);
}

#[test]
fn walks_over_ranges_and_prefixes() {
    const PAIRS: Table<(u64, String), u64> = Table::new("pairs", Hint::Append);
    const NAMES: Table<String, u64> = Table::new("names", Hint::Point);
    let store = Store::memory();
    store
        .write_blocking(|tx| {
            for (group, name) in [(1, "a"), (1, "b"), (2, "a"), (2, "b"), (2, "c"), (3, "a")] {
                tx.put(PAIRS, &(group, name), &(group * 10))?;
            }
            for name in ["an", "ann", "anna", "bob"] {
                tx.put(NAMES, name, &1)?;
            }
            Ok::<_, Error>(())
        })
        .unwrap();
    let s = store.snapshot();
    let keys = |order| {
        s.prefix(PAIRS, &(2,), order)
            .keys()
            .map(|key| key.unwrap().1)
            .collect::<String>()
    };
    assert_eq!(
        (keys(Order::Forward), keys(Order::Backward)),
        ("abc".to_owned(), "cba".to_owned())
    );
    let pair = |group: u64, name: &str| (group, name.to_owned());
    assert_eq!(
        s.scan(PAIRS, pair(1, "b")..=pair(2, "a"), Order::Forward)
            .count(),
        2
    );
    assert_eq!(
        s.prefix_range(PAIRS, &(2,), pair(1, "")..pair(2, "c"), Order::Backward)
            .count(),
        2
    );
    assert_eq!(
        s.last_before(PAIRS, &(2,), pair(2, "c"))
            .unwrap()
            .unwrap()
            .0,
        pair(2, "b")
    );
    assert_eq!(s.last_before(PAIRS, &(2,), pair(2, "a")).unwrap(), None);
    assert_eq!(
        s.first(PAIRS, pair(2, "bb")..).unwrap().unwrap().0,
        pair(2, "c")
    );
    assert_eq!(s.starting_with(NAMES, "ann", Order::Forward).count(), 2);
    assert_eq!(
        s.get_many(NAMES, &["bob", "eve"]).unwrap(),
        vec![Some(1), None]
    );
    assert!(s.contains(NAMES, "an").unwrap());
    store
        .write_blocking(|tx| {
            tx.delete_prefix(PAIRS, &(2,));
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(store.snapshot().scan(PAIRS, .., Order::Forward).count(), 3);
    assert_eq!(s.scan(PAIRS, .., Order::Forward).count(), 6);
}

#[test]
fn a_number_that_stands_for_nothing_is_an_error() {
    let store = Store::memory();
    let error = store.snapshot().user_id(UserNo::new(99)).unwrap_err();
    assert!(matches!(
        error,
        Error::UnknownNumber {
            kind: "user_id",
            number: 99
        }
    ));
    assert_eq!(store.snapshot().get(tables::META, "nothing").unwrap(), None);
}
