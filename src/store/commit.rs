//! The committer: the one thread that writes. It takes whatever batches wait, checks their assertions in order,
//! assigns positions, has the engine write them all at once with one sync, publishes the result as the newest
//! snapshot, and answers everybody. So concurrent requests share a sync by themselves, and the order of the queue is
//! the order of everything.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::batch::{Batch, Claim, Write};
use crate::codec::KeyBuf;
use crate::engine::{Engine, EngineError, View};
use crate::error::Error;
use crate::log::{Change, Pos, Ring};
use crate::numbers::{Numbers, Used};
use crate::table::TableId;
use crate::tables;

/// Where the counters stand in `META`.
pub(crate) const COUNTERS: &str = "counters";

/// A relaxed write is on disk after this time at the latest.
const RELAXED: Duration = Duration::from_secs(1);
/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Bytes that may wait before more are refused.
const QUEUE_BYTES: usize = 64 << 20;
/// Bytes after which a group is full.
const GROUP_BYTES: usize = 4 << 20;
/// How many recent changes stay in memory.
const RING: usize = 8192;

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It reads and writes.
    Well,
    /// The disk is full: it reads, and tries to write again from time to time.
    Full,
    /// A write failed: it reads, and writes no more until the server is restarted.
    ReadOnly(String),
}

/// What readers see: a view, and the last position in it.
pub(crate) struct Published {
    pub(crate) view: Arc<dyn View>,
    pub(crate) head: Pos,
}

/// What the committer shares with everybody else.
pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) ring: Ring,
    pub(crate) heads: watch::Sender<Pos>,
    published: RwLock<Arc<Published>>,
    health: RwLock<Health>,
    queue: Mutex<Queue>,
    filled: Condvar,
    calls: AtomicU64,
    commits: AtomicU64,
    groups: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

struct Waiting {
    batch: Batch,
    durable: bool,
    answer: oneshot::Sender<Result<Pos, Error>>,
}

impl Shared {
    pub(crate) fn new(engine: Arc<dyn Engine>, used: &Used) -> Result<Self, Error> {
        let head = Pos::new(used.head);
        let view = engine.snapshot()?;
        Ok(Self {
            engine,
            numbers: Arc::new(Numbers::new(used)),
            ring: Ring::new(head, RING),
            heads: watch::Sender::new(head),
            published: RwLock::new(Arc::new(Published { view, head })),
            health: RwLock::new(Health::Well),
            queue: Mutex::default(),
            filled: Condvar::new(),
            calls: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            groups: AtomicU64::new(0),
        })
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        self.published
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn health(&self) -> Health {
        self.health
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn commits(&self) -> (u64, u64) {
        (
            self.commits.load(Ordering::Relaxed),
            self.groups.load(Ordering::Relaxed),
        )
    }

    /// Queues a batch. The order of calls is the order of commits.
    pub(crate) fn submit(&self, batch: Batch, durable: bool) -> Commit {
        if batch.is_empty() && batch.changes.is_empty() {
            return Commit::answered(Ok(self.published().head));
        }
        let (answer, answered) = oneshot::channel();
        let mut queue = self.queue();
        if queue.closed {
            return Commit::answered(Err(Error::Closed));
        }
        if queue.bytes > 0 && queue.bytes + batch.size() > QUEUE_BYTES {
            return Commit::answered(Err(Error::Busy));
        }
        queue.bytes += batch.size();
        queue.waiting.push_back(Waiting {
            batch,
            durable,
            answer,
        });
        drop(queue);
        self.filled.notify_one();
        Commit {
            answered: Ok(answered),
        }
    }

    /// Accepts no more batches; what waits is still written.
    pub(crate) fn close(&self) {
        self.queue().closed = true;
        self.filled.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_health(&self, health: Health) {
        *self.health.write().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

/// A batch on its way to the disk. It gets there whether or not anybody waits for it.
#[must_use = "a commit may fail"]
pub struct Commit {
    answered: Result<oneshot::Receiver<Result<Pos, Error>>, Option<Result<Pos, Error>>>,
}

impl Commit {
    fn answered(answer: Result<Pos, Error>) -> Self {
        Self {
            answered: Err(Some(answer)),
        }
    }

    /// Waits without being in a task. Not to be called from one.
    pub fn wait(self) -> Result<Pos, Error> {
        match self.answered {
            Ok(receiver) => receiver.blocking_recv().unwrap_or(Err(Error::Closed)),
            Err(answer) => answer.unwrap_or(Err(Error::Closed)),
        }
    }
}

impl Future for Commit {
    /// The last position of the batch, or the head if it has none.
    type Output = Result<Pos, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        match &mut self.answered {
            Ok(receiver) => Pin::new(receiver)
                .poll(cx)
                .map(|answer| answer.unwrap_or(Err(Error::Closed))),
            Err(answer) => Poll::Ready(
                answer
                    .take()
                    .unwrap_or(Err(Error::Bug("a commit was asked twice"))),
            ),
        }
    }
}

/// The committer's own state.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    used: Used,
    /// Since when something is written that is not synced.
    unsynced: Option<Instant>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, used: Used) -> Self {
        Self {
            shared,
            used,
            unsynced: None,
            hasher: BuildHasherDefault::default(),
        }
    }

    /// Works until the store is closed and its queue is empty.
    pub(crate) fn run(mut self) {
        loop {
            match self.wait() {
                Work::Group(group) => self.commit(group),
                Work::Sync => self.sync(),
                Work::Recover => self.recover(),
                Work::Stop => break,
            }
        }
        self.sync();
    }

    fn wait(&self) -> Work {
        let full = self.shared.health() == Health::Full;
        let mut queue = self.shared.queue();
        loop {
            if !queue.waiting.is_empty() {
                return Work::Group(take_group(&mut queue));
            }
            if queue.closed {
                return Work::Stop;
            }
            let patience = match self.unsynced {
                Some(since) => Some(RELAXED.saturating_sub(since.elapsed())),
                None if full => Some(RETRY),
                None => None,
            };
            let Some(patience) = patience else {
                queue = self
                    .shared
                    .filled
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if patience.is_zero() {
                return Work::Sync;
            }
            let (guard, timeout) = self
                .shared
                .filled
                .wait_timeout(queue, patience)
                .unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            if timeout.timed_out() && queue.waiting.is_empty() {
                return if self.unsynced.is_some() {
                    Work::Sync
                } else {
                    Work::Recover
                };
            }
        }
    }

    fn commit(&mut self, mut group: Vec<Waiting>) {
        if let Some(error) = self.refusal() {
            return answer_all(group, &error);
        }
        let before = self.used;
        let positions = self.admit(&mut group);
        if group.is_empty() {
            return;
        }
        let durable = group.iter().any(|waiting| waiting.durable);
        match self.write(&group, durable) {
            Ok(view) => self.publish(group, &positions, view),
            Err(error) => {
                self.used = before;
                answer_all(group, &error);
            }
        }
    }

    /// Drops the batches of a group whose assertions do not hold, and gives the others their positions.
    fn admit(&mut self, group: &mut Vec<Waiting>) -> Vec<Pos> {
        let newest = self.shared.published();
        let several = group.len() > 1;
        let mut touched = Touched::default();
        let mut admitted: Vec<Waiting> = Vec::with_capacity(group.len());
        let mut positions = Vec::with_capacity(group.len());
        for mut waiting in group.drain(..) {
            match self.judge(&*newest.view, &waiting.batch, &admitted, &touched) {
                Ok(()) => {}
                Err(error) => {
                    let _ = waiting.answer.send(Err(error));
                    continue;
                }
            }
            let first = Pos::new(self.used.head + 1);
            if let Err(error) = number(&mut waiting.batch, first) {
                let _ = waiting.answer.send(Err(error));
                continue;
            }
            self.used.head += waiting.batch.changes.len() as u64;
            self.used.raise(&waiting.batch.used);
            if several {
                self.touch(&mut touched, &waiting.batch);
            }
            positions.push(Pos::new(self.used.head));
            admitted.push(waiting);
        }
        *group = admitted;
        positions
    }

    fn judge(
        &self,
        view: &dyn View,
        batch: &Batch,
        earlier: &[Waiting],
        touched: &Touched,
    ) -> Result<(), Error> {
        for claim in batch.claims() {
            let written_by_group =
                touched.ranges || touched.keys.contains(&self.place(claim.table, claim.key));
            let holds = match written_by_group
                .then(|| last_write(earlier, &claim))
                .flatten()
            {
                Some(value) => claim.holds(value),
                None => holds_in(view, &claim)?,
            };
            if !holds {
                return Err(Error::Conflict {
                    table: claim.table.name(),
                });
            }
        }
        Ok(())
    }

    fn touch(&self, touched: &mut Touched, batch: &Batch) {
        for write in batch.writes() {
            match write {
                Write::Put { table, key, .. } | Write::Delete { table, key } => {
                    touched.keys.insert(self.place(table, key));
                }
                Write::DeleteRange { .. } => touched.ranges = true,
            }
        }
    }

    fn place(&self, table: TableId, key: &[u8]) -> u64 {
        self.hasher.hash_one((table.hash(), key))
    }

    /// Has the engine write a group, and takes the snapshot that shows it.
    fn write(&mut self, group: &[Waiting], durable: bool) -> Result<Arc<dyn View>, Error> {
        let counters = counters_batch(&self.used)?;
        let mut batches: Vec<&Batch> = group.iter().map(|waiting| &waiting.batch).collect();
        batches.push(&counters);
        let written = self
            .shared
            .engine
            .commit(&batches, durable)
            .and_then(|()| self.shared.engine.snapshot());
        match written {
            Ok(view) => {
                self.note_sync(durable);
                self.shared.groups.fetch_add(1, Ordering::Relaxed);
                self.shared
                    .commits
                    .fetch_add(group.len() as u64, Ordering::Relaxed);
                Ok(view)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn publish(&self, mut group: Vec<Waiting>, positions: &[Pos], view: Arc<dyn View>) {
        let mut changes = Vec::new();
        for (waiting, last) in group.iter_mut().zip(positions) {
            let batch_changes = std::mem::take(&mut waiting.batch.changes);
            let first = last.get() + 1 - batch_changes.len() as u64;
            changes.extend((first..).map(Pos::new).zip(batch_changes));
            for pending in &waiting.batch.interned {
                self.shared.numbers.settle(pending);
            }
        }
        self.shared.ring.push(changes.into_iter());
        let head = Pos::new(self.used.head);
        let published = Arc::new(Published { view, head });
        *self
            .shared
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner) = published;
        self.shared.heads.send_if_modified(|known| {
            let moved = *known < head;
            *known = head;
            moved
        });
        for (waiting, last) in group.into_iter().zip(positions) {
            let _ = waiting.answer.send(Ok(*last));
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
    fn fail(&mut self, error: EngineError) -> Error {
        if let EngineError::Full(why) = &error {
            tracing::error!(%why, "the disk is full: writes are refused until there is room");
            self.shared.set_health(Health::Full);
            return Error::Full;
        }
        // Whether the write is on disk is not knowable, so nothing may be built on either answer.
        tracing::error!(%error, "a write failed: the database is read-only until the server is restarted");
        self.shared.set_health(Health::ReadOnly(error.to_string()));
        Error::ReadOnly(error.to_string())
    }

    fn sync(&mut self) {
        if self.unsynced.take().is_some()
            && self.shared.health() == Health::Well
            && let Err(error) = self.shared.engine.sync()
        {
            self.fail(error);
        }
    }

    fn recover(&self) {
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

enum Work {
    Group(Vec<Waiting>),
    Sync,
    Recover,
    Stop,
}

/// The keys that earlier batches of a group have written, by hash: a hit is looked at closely, a miss is certain.
#[derive(Default)]
struct Touched {
    keys: HashSet<u64>,
    ranges: bool,
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long the disk may lag is about the real disk, not about Matrix's time"
)]
fn disk_clock() -> Instant {
    Instant::now()
}

fn take_group(queue: &mut Queue) -> Vec<Waiting> {
    let mut bytes = 0;
    let fitting = queue.waiting.iter().take_while(|waiting| {
        let fits = bytes == 0 || bytes + waiting.batch.size() <= GROUP_BYTES;
        bytes += waiting.batch.size();
        fits
    });
    let count = fitting.count().max(1).min(queue.waiting.len());
    let group: Vec<Waiting> = queue.waiting.drain(..count).collect();
    let taken: usize = group.iter().map(|waiting| waiting.batch.size()).sum();
    queue.bytes = queue.bytes.saturating_sub(taken);
    group
}

fn answer_all(group: Vec<Waiting>, error: &Error) {
    for waiting in group {
        let _ = waiting.answer.send(Err(error.clone()));
    }
}

/// Gives a batch its positions and writes its changes under them.
fn number(batch: &mut Batch, first: Pos) -> Result<(), Error> {
    batch.fill(first);
    let changes = std::mem::take(&mut batch.changes);
    for (number, change) in (first.get()..).zip(&changes) {
        let key = KeyBuf::of(&Pos::new(number));
        batch
            .put::<Change, _>(tables::LOG.id(), &key, change)
            .map_err(unloggable)?;
    }
    batch.changes = changes;
    Ok(())
}

fn unloggable(why: crate::Malformed) -> Error {
    Error::Unstorable {
        table: tables::LOG.id().name(),
        why,
    }
}

fn counters_batch(used: &Used) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    let put = crate::row::encode_to_vec(used).map(|bytes| {
        batch.put::<Vec<u8>, _>(
            tables::META.id(),
            &KeyBuf::of::<String, str>(COUNTERS),
            &bytes,
        )
    });
    put.and_then(|put| put).map_err(unloggable)?;
    Ok(batch)
}

/// What the last batch before this one to write a key has left there; nothing if none has.
fn last_write<'g>(earlier: &'g [Waiting], claim: &Claim<'_>) -> Option<Option<&'g [u8]>> {
    earlier
        .iter()
        .rev()
        .flat_map(|waiting| waiting.batch.writes().rev())
        .find_map(|write| match write {
            Write::Put { table, key, value } if table == claim.table && key == claim.key => {
                Some(Some(value))
            }
            Write::Delete { table, key } if table == claim.table && key == claim.key => Some(None),
            Write::DeleteRange { table, start, end }
                if table == claim.table
                    && claim.key >= start
                    && end.is_none_or(|end| claim.key < end) =>
            {
                Some(None)
            }
            _ => None,
        })
}

fn holds_in(view: &dyn View, claim: &Claim<'_>) -> Result<bool, Error> {
    let mut holds = None;
    view.get(claim.table, claim.key, &mut |value| {
        holds = Some(claim.holds(Some(value)))
    })?;
    Ok(holds.unwrap_or_else(|| claim.holds(None)))
}
