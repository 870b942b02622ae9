//! A store on top of the engine: what the house relies on.

use ruma::{EventId, OwnedEventId, OwnedUserId, UserId};

use super::{Make, Outcome, POINTS, QUEUE, SERIES, Subject, ensure, same, specs};
use crate::engine::Order;
use crate::error::Error;
use crate::log::{Change, Pos};
use crate::numbers::{EventNo, RoomNo, UserNo};
use crate::store::Store;
use crate::write::Tx;

fn open(make: Make<'_>) -> Result<(Box<dyn Subject>, Store), String> {
    let subject = make(&specs())?;
    let store = Store::open(subject.engine())?;
    Ok((subject, store))
}

fn profile(user: u64) -> Change {
    Change::Profile {
        user: UserNo::new(user),
    }
}

pub(super) fn snapshot_holds(make: Make<'_>) -> Outcome {
    let (_subject, store) = open(make)?;
    let put = |value: u8| store.write_blocking(move |tx| tx.put(POINTS, "key", &vec![value]));
    put(1)?;
    let before = store.snapshot();
    let copy = before.clone();
    put(2)?;
    same(
        "the old snapshot",
        &before.get(POINTS, "key")?,
        &Some(vec![1]),
    )?;
    same(
        "the new snapshot",
        &store.snapshot().get(POINTS, "key")?,
        &Some(vec![2]),
    )?;
    drop(before);
    let moved = std::thread::spawn(move || copy.get(POINTS, "key"));
    let seen = moved
        .join()
        .map_err(|_| "the reading thread panicked".to_owned())??;
    same("the old snapshot in another thread", &seen, &Some(vec![1]))
}

pub(super) fn assertions(make: Make<'_>) -> Outcome {
    let (_subject, store) = open(make)?;
    // All are decided on the same snapshot and queued at once, so that some of them meet in one group.
    let base = store.tx();
    let tx = |decide: &dyn Fn(&mut Tx) -> Result<(), Error>| {
        let mut tx = Tx::new(base.snapshot().clone());
        decide(&mut tx).map(|()| store.submit(tx))
    };
    let vec = |byte: u8| vec![byte];
    let commits = [
        tx(&|tx| {
            tx.expect(POINTS, "a", None)
                .and_then(|()| tx.put(POINTS, "a", &vec(1)))
        })?,
        tx(&|tx| {
            tx.expect(POINTS, "a", None)
                .and_then(|()| tx.put(POINTS, "a", &vec(2)))
        })?,
        tx(&|tx| {
            tx.expect(POINTS, "a", Some(&vec(1)))
                .and_then(|()| tx.put(POINTS, "a", &vec(3)))
        })?,
        tx(&|tx| {
            tx.get_for_update(POINTS, "a")
                .and_then(|_| tx.put(POINTS, "a", &vec(4)))
        })?,
        tx(&|tx| {
            tx.delete_range(POINTS, "a".to_owned().."b".to_owned());
            tx.put(POINTS, "b", &vec(5))
        })?,
        tx(&|tx| {
            tx.expect(POINTS, "a", Some(&vec(3)))
                .and_then(|()| tx.put(POINTS, "b", &vec(6)))
        })?,
        tx(&|tx| {
            tx.expect(POINTS, "a", None)
                .and_then(|()| tx.put(POINTS, "c", &vec(7)))
        })?,
        tx(&|tx| {
            tx.expect(POINTS, "b", Some(&vec(5)))
                .and_then(|()| tx.put(POINTS, "b", &vec(8)))
        })?,
    ];
    let written: Vec<bool> = commits
        .into_iter()
        .map(|commit| commit.wait().is_ok())
        .collect();
    same(
        "which were written",
        &written,
        &vec![true, false, true, false, true, false, true, true],
    )?;
    let rows: Vec<(String, Vec<u8>)> = store
        .snapshot()
        .scan(POINTS, .., Order::Forward)
        .collect::<Result<_, _>>()?;
    same(
        "what they left",
        &rows,
        &vec![("b".to_owned(), vec(8)), ("c".to_owned(), vec(7))],
    )
}

pub(super) fn increments(make: Make<'_>) -> Outcome {
    const THREADS: u64 = 4;
    const TIMES: u64 = 50;
    let (_subject, store) = open(make)?;
    let increment = |store: &Store| loop {
        let done = store.write_blocking(|tx| {
            let before = tx.get_for_update(QUEUE, &(0, 0))?.unwrap_or(0);
            tx.put(QUEUE, &(0, 0), &(before + 1))
        });
        match done {
            Err(error) if error.is_conflict() => {}
            other => return other.map(drop),
        }
    };
    let work = |store: Store| move || (0..TIMES).try_for_each(|_| increment(&store));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| std::thread::spawn(work(store.clone())))
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| "an incrementing thread panicked".to_owned())??;
    }
    same(
        "the sum",
        &store.snapshot().get(QUEUE, &(0, 0))?,
        &Some(THREADS * TIMES),
    )
}

pub(super) fn slots(make: Make<'_>) -> Outcome {
    let (_subject, store) = open(make)?;
    let mut tx = store.tx();
    let first = tx.log(profile(1));
    let second = tx.log(profile(2));
    tx.put(SERIES, &(7, second), "second")?;
    tx.put(SERIES, &(7, first), "first")?;
    tx.put(crate::tables::FOLLOWERS, "suite", &second)?;
    ensure(tx.get(SERIES, &(7, first)).is_err(), || {
        "a slot could be looked up".to_owned()
    })?;
    let mut next = store.tx();
    let third = next.log(profile(3));
    next.put(SERIES, &(7, third), "third")?;
    let (one, two) = (store.submit(tx), store.submit(next));
    same(
        "the position of the first batch",
        &one.wait()?,
        &Pos::new(2),
    )?;
    same(
        "the position of the second batch",
        &two.wait()?,
        &Pos::new(3),
    )?;

    let snapshot = store.snapshot();
    same("the head of the snapshot", &snapshot.head(), &Pos::new(3))?;
    let rows: Vec<_> = snapshot
        .prefix(SERIES, &(7,), Order::Forward)
        .collect::<Result<_, _>>()?;
    let wanted = [(1, "first"), (2, "second"), (3, "third")]
        .map(|(at, text)| ((7, Pos::new(at)), text.to_owned()));
    same("rows under slots", &rows, &wanted.to_vec())?;
    same(
        "a slot as a value",
        &snapshot.get(crate::tables::FOLLOWERS, "suite")?,
        &Some(Pos::new(2)),
    )?;
    let log: Vec<_> = snapshot
        .scan(crate::tables::LOG, .., Order::Forward)
        .collect::<Result<_, _>>()?;
    let wanted: Vec<_> = (1..=3)
        .map(|number| (Pos::new(number), profile(number)))
        .collect();
    same("the log", &log, &wanted)?;
    same(
        "the recent log",
        &store.changes(Pos::ZERO, Pos::MAX, 10)?,
        &wanted,
    )
}

fn user(name: &str) -> Result<OwnedUserId, String> {
    UserId::parse(format!("@{name}:example.org")).map_err(|error| error.to_string())
}

fn event(name: &str) -> Result<OwnedEventId, String> {
    EventId::parse(format!("${name}")).map_err(|error| error.to_string())
}

pub(super) fn numbers(make: Make<'_>) -> Outcome {
    let (_subject, store) = open(make)?;
    let alice = user("alice")?;
    let (mut one, mut two) = (store.tx(), store.tx());
    let number = one.intern_user(&alice)?;
    same(
        "the number while it is not on disk",
        &two.intern_user(&alice)?,
        &number,
    )?;
    same(
        "the number asked for again",
        &one.intern_user(&alice)?,
        &number,
    )?;
    let (one, two) = (store.submit(one), store.submit(two));
    one.wait()?;
    two.wait()?;
    let snapshot = store.snapshot();
    same("the number", &snapshot.user_no(&alice)?, &Some(number))?;
    same("the name", &snapshot.user_id(number)?, &alice)?;

    let names: Vec<OwnedUserId> = (0..40)
        .map(|n| user(&format!("user{}", n % 20)))
        .collect::<Result<_, _>>()?;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (store, names) = (store.clone(), names.clone());
            std::thread::spawn(move || {
                let intern = |name: &OwnedUserId| {
                    store
                        .write_blocking(move |tx| tx.intern_user(name))
                        .map(|(number, _)| number)
                };
                names
                    .iter()
                    .map(intern)
                    .collect::<Result<Vec<UserNo>, Error>>()
            })
        })
        .collect();
    let mut answers = Vec::new();
    for thread in threads {
        answers.push(
            thread
                .join()
                .map_err(|_| "an interning thread panicked".to_owned())??,
        );
    }
    let snapshot = store.snapshot();
    for (name, numbers) in names.iter().zip(transpose(&answers)) {
        let stored = snapshot.user_no(name)?;
        ensure(numbers.iter().all(|number| Some(*number) == stored), || {
            format!("{name} has numbers {numbers:?}")
        })?;
    }
    let (key, _) = store.write_blocking(|tx| tx.intern_state_key("m.room.member", "@a:b"))?;
    let snapshot = store.snapshot();
    same("a state key", &snapshot.state_key(key)?.1.as_str(), &"@a:b")?;
    same(
        "its number",
        &snapshot.state_key_no("m.room.member", "@a:b")?,
        &Some(key),
    )
}

fn transpose(answers: &[Vec<UserNo>]) -> impl Iterator<Item = Vec<UserNo>> + '_ {
    (0..).map_while(|index| {
        answers
            .iter()
            .map(|answer| answer.get(index).copied())
            .collect()
    })
}

pub(super) fn counters_survive(make: Make<'_>) -> Outcome {
    let (mut subject, store) = open(make)?;
    let ((first, node), _) = store.write_blocking(|tx| {
        tx.log(profile(1));
        Ok::<_, Error>((
            tx.intern_event(&EventId::parse("$one").map_err(bad_id)?)?,
            tx.new_node(),
        ))
    })?;
    let ((), _) = store.write_blocking(|tx| {
        tx.intern_user(&UserId::parse("@u:h").map_err(bad_id)?)
            .map(drop)
    })?;
    drop(store);
    subject.crash()?;
    let store = Store::open(subject.engine())?;
    same("the head", &store.head(), &Pos::new(1))?;
    same(
        "the number of an event",
        &store.snapshot().event_no(&event("one")?)?,
        &Some(first),
    )?;
    let two = event("two")?;
    let mut tx = store.tx();
    ensure(tx.intern_event(&two)?.get() > first.get(), || {
        "an event's number was given again".to_owned()
    })?;
    ensure(tx.new_node().get() > node.get(), || {
        "a node's number was given again".to_owned()
    })?;
    tx.log(profile(2));
    same("the next position", &store.submit(tx).wait()?, &Pos::new(2))
}

fn bad_id(_: ruma::IdParseError) -> Error {
    Error::Bug("an id that does not parse")
}

pub(super) fn followers(make: Make<'_>) -> Outcome {
    let (mut subject, store) = open(make)?;
    for number in 1..=5 {
        store.write_blocking(|tx| {
            tx.log(profile(number));
            Ok::<_, Error>(())
        })?;
    }
    let follower = store.follower("suite");
    let seen = follower.try_next(3)?;
    same("the first changes", &seen.len(), &3)?;
    same(
        "a follower that has not moved",
        &follower.try_next(3)?,
        &seen,
    )?;
    store.write_blocking(|tx| follower.advance(tx, Pos::new(3)))?;
    same("the position", &follower.position()?, &Pos::new(3))?;
    drop((follower, store));
    subject.crash()?;
    let store = Store::open(subject.engine())?;
    let rest: Vec<Pos> = store
        .follower("suite")
        .try_next(10)?
        .into_iter()
        .map(|(pos, _)| pos)
        .collect();
    same(
        "the changes after a crash",
        &rest,
        &vec![Pos::new(4), Pos::new(5)],
    )
}

/// One commit of the recorded run: what an accepted event looks like, with something deleted now and then.
fn recorded(tx: &mut Tx, step: u64) -> Result<(), Error> {
    let room = RoomNo::new(1);
    let event = tx.intern_event(&EventId::parse(format!("$event{step}")).map_err(bad_id)?)?;
    let pos = tx.log(Change::Event {
        room,
        event,
        state_key: None,
        member: None,
    });
    tx.put(SERIES, &(room.get(), pos), &format!("event {step}"))?;
    let before = tx.get_for_update(QUEUE, &(0, 0))?.unwrap_or(0);
    tx.put(QUEUE, &(0, 0), &(before + 1))?;
    tx.put(QUEUE, &(1, step), &event.get())?;
    if step % 5 == 4 {
        tx.delete_prefix(QUEUE, &(1,));
    }
    Ok(())
}

/// All that the recorded run leaves behind.
type Story = (
    Pos,
    Vec<(Pos, Change)>,
    Vec<((u64, Pos), String)>,
    Vec<((u64, u64), u64)>,
    Vec<Option<EventNo>>,
);

fn story(store: &Store) -> Result<Story, String> {
    let s = store.snapshot();
    let log = s
        .scan(crate::tables::LOG, .., Order::Forward)
        .collect::<Result<_, _>>()?;
    let series = s
        .scan(SERIES, .., Order::Forward)
        .collect::<Result<_, _>>()?;
    let queue = s
        .scan(QUEUE, .., Order::Forward)
        .collect::<Result<_, _>>()?;
    let numbers = (0..STEPS).map(|step| Ok(s.event_no(&event(&format!("event{step}"))?)?));
    Ok((
        s.head(),
        log,
        series,
        queue,
        numbers.collect::<Result<_, String>>()?,
    ))
}

const STEPS: u64 = 12;

pub(super) fn crash_at_every_commit(make: Make<'_>) -> Outcome {
    let (_subject, store) = open(make)?;
    let mut stories = vec![story(&store)?];
    for step in 0..STEPS {
        store.write_blocking(|tx| recorded(tx, step))?;
        stories.push(story(&store)?);
    }
    drop(store);
    for (crash_at, wanted) in (0..=STEPS).zip(&stories) {
        let (mut subject, store) = open(make)?;
        for step in 0..crash_at {
            store.write_blocking(|tx| recorded(tx, step))?;
        }
        drop(store);
        subject.crash()?;
        let store = Store::open(subject.engine())?;
        same(
            &format!("after a crash at commit {crash_at}"),
            &story(&store)?,
            wanted,
        )?;
        for step in crash_at..STEPS {
            store.write_blocking(|tx| recorded(tx, step))?;
        }
        let end = stories.last().ok_or("no story")?;
        same(
            &format!("the end, after a crash at commit {crash_at}"),
            &story(&store)?,
            end,
        )?;
    }
    Ok(())
}
