//! The handle that everybody holds: opening, reading, writing, following.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, watch};

use crate::commit::{COUNTERS, Committer};
use crate::engine::{Engine, Order};
use crate::error::Error;
use crate::follow::{Follower, Tail};
use crate::log::{Change, Pos};
use crate::memory::Memory;
use crate::migrate::{migrate, read_meta};
use crate::numbers::Used;
use crate::read::Snapshot;
use crate::shared::{Commit, Health, Shared};
use crate::tables;
use crate::write::Tx;

/// How often a write is decided anew when somebody else was quicker.
const ATTEMPTS: usize = 8;
/// How many writes may be decided or waiting at once before others have to wait their turn.
const WRITERS: usize = 1024;

/// The store. Clones are handles of the same one; when the last is gone, what waits is written and the engine closed.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("head", &self.head())
            .field("health", &self.health())
            .finish()
    }
}

struct Inner {
    shared: Arc<Shared>,
    writers: Semaphore,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.shared.close();
        let committer = self
            .committer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(committer) = committer {
            let _ = committer.join();
        }
    }
}

impl Store {
    /// Opens a database: checks its version, brings it up to date, starts the committer.
    pub fn open(engine: Arc<dyn Engine>) -> Result<Self, Error> {
        migrate(&engine)?;
        let used = read_used(&*engine)?;
        let shared = Arc::new(Shared::new(engine, &used)?);
        let committer = Committer::new(shared.clone(), used);
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run());
        let thread = thread
            .map_err(|error| Error::ReadOnly(format!("no thread for the committer: {error}")))?;
        let inner = Inner {
            shared,
            writers: Semaphore::new(WRITERS),
            committer: Mutex::new(Some(thread)),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// An empty store in memory, for tests.
    #[expect(
        clippy::missing_panics_doc,
        clippy::panic,
        reason = "memory has nothing that could fail to open"
    )]
    pub fn memory() -> Self {
        match Self::open(Arc::new(Memory::new())) {
            Ok(store) => store,
            Err(error) => panic!("an empty store in memory: {error}"),
        }
    }

    /// The present. Costs a lock held for nanoseconds, nothing else.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner.shared.published(), self.inner.shared.clone())
    }

    /// The last position of the log.
    pub fn head(&self) -> Pos {
        *self.inner.shared.heads.borrow()
    }

    /// The last position of the log, and a bell when it moves.
    pub fn watch(&self) -> watch::Receiver<Pos> {
        self.inner.shared.heads.subscribe()
    }

    /// Reads on the blocking pool: for everything that may have to go to the disk.
    pub async fn read<T, E>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let snapshot = self.snapshot();
        blocking(move || read(&snapshot)).await?
    }

    /// Reads here and now: for the few rows that are surely in memory.
    pub fn read_inline<T, E>(&self, read: impl FnOnce(&Snapshot) -> Result<T, E>) -> Result<T, E> {
        read(&self.snapshot())
    }

    /// Decides on a snapshot and writes; returns once that is on disk. Should somebody else have changed what was
    /// asserted, `decide` runs again on a newer snapshot, up to eight times.
    pub async fn write<T, E>(
        &self,
        decide: impl FnMut(&mut Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<(T, Pos), E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_with(decide, true).await
    }

    /// As [`Store::write`], but returns before it is on disk, where it will be within a second. For what may be lost
    /// when the power fails: read receipts, last-seen times, followers' positions that can be repeated.
    pub async fn write_relaxed<T, E>(
        &self,
        decide: impl FnMut(&mut Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<(T, Pos), E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_with(decide, false).await
    }

    async fn write_with<T, E, F>(&self, mut decide: F, durable: bool) -> Result<(T, Pos), E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnMut(&mut Tx) -> Result<T, E> + Send + 'static,
    {
        let _turn = self
            .inner
            .writers
            .acquire()
            .await
            .map_err(|_| Error::Closed)?;
        let mut attempts = ATTEMPTS;
        loop {
            let shared = self.inner.shared.clone();
            let (returned, outcome) = blocking(move || {
                let outcome = attempt(&shared, &mut decide, durable);
                (decide, outcome)
            })
            .await?;
            decide = returned;
            let (value, commit) = outcome?;
            attempts -= 1;
            match commit.await {
                Ok(pos) => return Ok((value, pos)),
                Err(error) if error.is_conflict() && attempts > 0 => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// As [`Store::write`], for code that is not a task: start-up, the command line, tests.
    pub fn write_blocking<T, E: From<Error>>(
        &self,
        mut decide: impl FnMut(&mut Tx) -> Result<T, E>,
    ) -> Result<(T, Pos), E> {
        let mut attempts = ATTEMPTS;
        loop {
            let (value, commit) = attempt(&self.inner.shared, &mut decide, true)?;
            attempts -= 1;
            match commit.wait() {
                Ok(pos) => return Ok((value, pos)),
                Err(error) if error.is_conflict() && attempts > 0 => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A transaction on the present, to be handed to [`Store::submit`].
    pub fn tx(&self) -> Tx {
        Tx::new(self.snapshot())
    }

    /// Queues a transaction; the order of calls is the order of commits. For those who know what they have submitted
    /// before and decide on it: the assertions of a transaction are checked after the writes of earlier ones.
    pub fn submit(&self, tx: Tx) -> Commit {
        self.inner.shared.submit(tx.into_batch(), true)
    }

    /// As [`Store::submit`], answered before it is on disk, where it will be within a second.
    pub fn submit_relaxed(&self, tx: Tx) -> Commit {
        self.inner.shared.submit(tx.into_batch(), false)
    }

    /// The first `max` changes after a position, up to another one.
    pub fn changes(&self, after: Pos, upto: Pos, max: usize) -> Result<Vec<(Pos, Change)>, Error> {
        if let Some(recent) = self.recent_changes(after, upto, max) {
            return Ok(recent);
        }
        let snapshot = self.snapshot();
        snapshot
            .scan(tables::LOG, after.next()..=upto, Order::Forward)
            .take(max)
            .collect()
    }

    /// As [`Store::changes`], but only if they are still in memory.
    pub fn recent_changes(&self, after: Pos, upto: Pos, max: usize) -> Option<Vec<(Pos, Change)>> {
        self.inner.shared.ring.between(after, upto, max)
    }

    /// A follower with a stored position. Each name belongs to one follower at a time.
    pub fn follower(&self, name: &str) -> Follower {
        Follower::new(self.clone(), name)
    }

    /// A follower from a position on, which it does not store.
    pub fn tail(&self, after: Pos) -> Tail {
        Tail::new(self.clone(), after)
    }

    /// Whether it accepts writes, and if not, why.
    pub fn health(&self) -> Health {
        self.inner.shared.health()
    }

    /// A copy that could be opened elsewhere, taken while running. Everything committed before the call is in it.
    pub fn checkpoint(&self, to: &Path) -> Result<(), Error> {
        Ok(self.inner.shared.engine.checkpoint(to)?)
    }

    /// How many times the engine has been asked for something. The difference over a request is what it cost.
    pub fn calls(&self) -> u64 {
        self.inner.shared.calls()
    }

    /// What an operator may want to know, as text.
    pub fn statistics(&self) -> String {
        let (commits, groups) = self.inner.shared.commits();
        let engine = self.inner.shared.engine.statistics();
        format!(
            "{engine}commits {commits}\ngroups {groups}\nreads {}\nhead {}\n",
            self.calls(),
            self.head()
        )
    }

    /// Writes what waits, syncs, and accepts nothing more. Reading goes on.
    pub fn stop(&self) {
        self.inner.stop();
    }
}

fn attempt<T, E: From<Error>>(
    shared: &Arc<Shared>,
    decide: &mut impl FnMut(&mut Tx) -> Result<T, E>,
    durable: bool,
) -> Result<(T, Commit), E> {
    let mut tx = Tx::new(Snapshot::new(shared.published(), shared.clone()));
    let value = decide(&mut tx)?;
    Ok((value, shared.submit(tx.into_batch(), durable)))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Panicked(error.to_string()))
}

fn read_used(engine: &dyn Engine) -> Result<Used, Error> {
    let view = engine.snapshot()?;
    let bytes = read_meta::<Vec<u8>>(&*view, COUNTERS)?.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(Used::default());
    }
    crate::row::decode_cbor(&bytes).map_err(|why| Error::Corrupt {
        table: tables::META.id().name(),
        key: COUNTERS.to_owned(),
        why,
    })
}
