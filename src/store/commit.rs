//! The committer: the one thread that writes. It takes whatever batches wait, admits those whose assertions hold
//! (`admit.rs`), has the engine write them all at once with one sync, publishes the result as the newest snapshot, and
//! answers everybody. So concurrent requests share a sync by themselves, and the order of the queue is the order of
//! everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::admit::{Admitted, admit, unstorable};
use crate::batch::Batch;
use crate::codec::KeyBuf;
use crate::engine::{EngineError, View};
use crate::error::Error;
use crate::log::Pos;
use crate::numbers::Used;
use crate::shared::{Company, Health, Next, Published, Shared, Waiting};
use crate::tables;

/// Where the counters stand in `META`.
pub(crate) const COUNTERS: &str = "counters";
/// A relaxed write is on disk after this time at the latest.
const RELAXED: Duration = Duration::from_secs(1);
/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Which part of a sync is worth waiting for company. Writers who are answered together come back a little later, one
/// by one; setting out with the first of them would make the others wait for two syncs instead of one.
const LINGER: u32 = 4;
/// However slow the disk is.
const LINGER_LIMIT: Duration = Duration::from_millis(2);

/// The committer's own state.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    used: Used,
    /// Since when something is written that is not synced.
    unsynced: Option<Instant>,
    /// When a full disk was last tried.
    tried: Instant,
    company: Company,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, used: Used) -> Self {
        Self {
            shared,
            used,
            unsynced: None,
            tried: disk_clock(),
            company: Company::default(),
        }
    }

    /// Works until the store is closed and its queue is empty.
    pub(crate) fn run(mut self) {
        loop {
            match self.shared.next_group(self.patience(), &self.company) {
                Next::Group(group) => self.commit(group),
                Next::Nothing => self.catch_up(),
                Next::Closed => break,
            }
        }
        self.sync();
        if self.shared.health() == Health::Well
            && let Err(error) = self.shared.engine.settle()
        {
            tracing::warn!(%error, "the database was not tidied before closing; the next start takes longer");
        }
    }

    /// How long to wait for batches before there is something else to do.
    fn patience(&self) -> Option<Duration> {
        match (self.shared.health(), self.unsynced) {
            (Health::Well, Some(since)) => Some(RELAXED.saturating_sub(since.elapsed())),
            (Health::Full, _) => Some(RETRY.saturating_sub(self.tried.elapsed())),
            _ => None,
        }
    }

    fn commit(&mut self, group: Vec<Waiting>) {
        if self.patience().is_some_and(|patience| patience.is_zero()) {
            self.catch_up();
        }
        if let Some(error) = self.refusal() {
            return answer_all(group, &error);
        }
        let newest = self.shared.published();
        let mut admitted = admit(group, &*newest.view, self.used);
        let refused = std::mem::take(&mut admitted.refused);
        if !admitted.batches.is_empty() {
            match self.write(&admitted) {
                Ok(view) => {
                    self.used = admitted.used;
                    self.publish(admitted, view);
                }
                Err(error) => answer_all(
                    admitted.batches.into_iter().map(|(waiting, _)| waiting),
                    &error,
                ),
            }
        }
        for (waiting, error) in refused {
            waiting.answer(Err(error));
        }
    }

    /// Has the engine write a group, and takes the snapshot that shows it.
    fn write(&mut self, admitted: &Admitted) -> Result<Arc<dyn View>, Error> {
        let counters = counters_batch(&admitted.used)?;
        let waiting = admitted.batches.iter().map(|(waiting, _)| waiting);
        let durable = waiting.clone().any(|waiting| waiting.durable);
        let batches: Vec<&Batch> = waiting
            .map(|waiting| &waiting.batch)
            .chain([&counters])
            .collect();
        let started = disk_clock();
        let written = self.shared.engine.commit(&batches, durable);
        let took = if durable {
            started.elapsed()
        } else {
            Duration::ZERO
        };
        let view = written.and_then(|()| self.shared.engine.snapshot());
        let view = view.map_err(|error| self.fail(&error))?;
        self.note_sync(durable);
        self.shared.count_group(admitted.batches.len());
        self.company = Company {
            batches: admitted.batches.len() + self.shared.waiting(),
            linger: (took / LINGER).min(LINGER_LIMIT),
        };
        Ok(view)
    }

    fn publish(&self, mut admitted: Admitted, view: Arc<dyn View>) {
        let mut changes = Vec::new();
        for (waiting, last) in &mut admitted.batches {
            let logged = std::mem::take(&mut waiting.batch.changes);
            let first = last.get() + 1 - logged.len() as u64;
            changes.extend((first..).map(Pos::new).zip(logged));
            for pending in &waiting.batch.interned {
                self.shared.numbers.settle(pending);
            }
        }
        self.shared.ring.push(changes.into_iter());
        let head = Pos::new(admitted.used.head);
        self.shared.publish(Published { view, head });
        for (waiting, last) in admitted.batches {
            waiting.answer(Ok(last));
        }
    }

    fn refusal(&self) -> Option<Error> {
        match self.shared.health() {
            Health::Well => None,
            Health::Full => Some(Error::Full),
            Health::ReadOnly(why) => Some(Error::ReadOnly(why)),
        }
    }

    /// Decides what a failed write means for those that follow.
    fn fail(&mut self, error: &EngineError) -> Error {
        if let EngineError::Full(why) = error {
            tracing::error!(%why, "the disk is full: writes are refused until there is room");
            self.tried = disk_clock();
            self.shared.set_health(Health::Full);
            return Error::Full;
        }
        // Whether the write is on disk is not knowable, so nothing may be built on either answer.
        tracing::error!(%error, "a write failed: the database is read-only until the server is restarted");
        self.shared.set_health(Health::ReadOnly(error.to_string()));
        Error::ReadOnly(error.to_string())
    }

    /// Does what time asks for: syncs relaxed writes, tries a full disk again.
    fn catch_up(&mut self) {
        match self.shared.health() {
            Health::Well => self.sync(),
            Health::Full => self.recover(),
            Health::ReadOnly(_) => {}
        }
    }

    fn sync(&mut self) {
        if self.unsynced.is_none() || self.shared.health() != Health::Well {
            return;
        }
        match self.shared.engine.sync() {
            Ok(()) => self.unsynced = None,
            Err(error) => drop(self.fail(&error)),
        }
    }

    fn recover(&mut self) {
        self.tried = disk_clock();
        if self.shared.engine.recover().is_ok() {
            tracing::warn!("the disk has room again: writes are accepted");
            self.shared.set_health(Health::Well);
        }
    }

    fn note_sync(&mut self, durable: bool) {
        if durable {
            self.unsynced = None;
        } else if self.unsynced.is_none() {
            self.unsynced = Some(disk_clock());
        }
    }
}

impl Drop for Committer {
    /// Nobody may wait for an answer that cannot come.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "the committing thread panicked".to_owned();
            self.shared.set_health(Health::ReadOnly(why));
        }
        self.shared.abandon();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long the disk may lag is about the real disk, not about Matrix's time"
)]
fn disk_clock() -> Instant {
    Instant::now()
}

fn answer_all(group: impl IntoIterator<Item = Waiting>, error: &Error) {
    for waiting in group {
        waiting.answer(Err(error.clone()));
    }
}

fn counters_batch(used: &Used) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    let key = KeyBuf::of::<String, str>(COUNTERS);
    let encoded = crate::row::encode_to_vec(used);
    let put = encoded.and_then(|bytes| batch.put::<Vec<u8>, _>(tables::META.id(), &key, &bytes));
    put.map_err(|why| unstorable(tables::META.id(), why))?;
    Ok(batch)
}
