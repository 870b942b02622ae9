//! What the committer shares with everybody else: the newest snapshot, the queue of batches, the health.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{self, Poll};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::batch::Batch;
use crate::engine::{Engine, View};
use crate::error::Error;
use crate::log::{Pos, Ring};
use crate::numbers::{Numbers, Used};

/// Bytes after which a group is full.
const GROUP_BYTES: usize = 4 << 20;
/// Bytes that may wait before more are refused.
const QUEUE_BYTES: usize = 64 << 20;
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
    /// How many batches the committer waits for before it wants to be woken.
    wanted: usize,
}

/// A batch in the queue.
pub(crate) struct Waiting {
    pub(crate) batch: Batch,
    pub(crate) durable: bool,
    answer: oneshot::Sender<Result<Pos, Error>>,
}

impl Waiting {
    /// Tells whoever waits; it may be that nobody does.
    pub(crate) fn answer(self, answer: Result<Pos, Error>) {
        let _ = self.answer.send(answer);
    }
}

/// Who is likely to come back at once: batches that were under way together a moment ago.
#[derive(Default)]
pub(crate) struct Company {
    /// How many there were.
    pub(crate) batches: usize,
    /// How long they are worth waiting for.
    pub(crate) linger: Duration,
}

/// What the committer finds in the queue.
pub(crate) enum Next {
    /// Batches to be written together.
    Group(Vec<Waiting>),
    /// No batch came in time.
    Nothing,
    /// No batch will come any more.
    Closed,
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
        let enough = queue.waiting.len() >= queue.wanted;
        drop(queue);
        if enough {
            self.filled.notify_one();
        }
        Commit {
            answered: Ok(answered),
        }
    }

    /// Accepts no more batches; what waits is still written.
    pub(crate) fn close(&self) {
        self.queue().closed = true;
        self.filled.notify_one();
    }

    /// Waits for batches, as long as `patience` says; once there is one, lingers for those that `company` expects.
    pub(crate) fn next_group(&self, patience: Option<Duration>, company: &Company) -> Next {
        let mut queue = self.wait(self.queue(), patience, 1);
        if !queue.waiting.is_empty() && !company.linger.is_zero() {
            queue = self.wait(queue, Some(company.linger), company.batches);
        }
        if !queue.waiting.is_empty() {
            Next::Group(queue.take_group())
        } else if queue.closed {
            Next::Closed
        } else {
            Next::Nothing
        }
    }

    fn wait<'q>(
        &self,
        mut queue: MutexGuard<'q, Queue>,
        patience: Option<Duration>,
        wanted: usize,
    ) -> MutexGuard<'q, Queue> {
        queue.wanted = wanted;
        let lacking = |queue: &mut Queue| queue.waiting.len() < wanted && !queue.closed;
        match patience {
            None => self
                .filled
                .wait_while(queue, lacking)
                .unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.filled.wait_timeout_while(queue, patience, lacking);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// How many batches wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue().waiting.len()
    }

    /// Shows a new state to everybody.
    pub(crate) fn publish(&self, published: Published) {
        let head = published.head;
        *self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(published);
        self.heads
            .send_if_modified(|known| std::mem::replace(known, head) < head);
    }

    pub(crate) fn set_health(&self, health: Health) {
        *self.health.write().unwrap_or_else(PoisonError::into_inner) = health;
    }

    pub(crate) fn count_group(&self, batches: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.commits.fetch_add(batches as u64, Ordering::Relaxed);
    }

    /// Forgets what waits, so that its authors learn that nobody will write it.
    pub(crate) fn abandon(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.waiting.clear();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take_group(&mut self) -> Vec<Waiting> {
        let mut taken = 0;
        let mut group = Vec::new();
        while let Some(next) = self.waiting.front() {
            let size = next.batch.size();
            if !group.is_empty() && taken + size > GROUP_BYTES {
                break;
            }
            taken += size;
            group.extend(self.waiting.pop_front());
        }
        self.bytes = self.bytes.saturating_sub(taken);
        group
    }
}

/// The last position of a batch, or why there is none.
type Answer = Result<Pos, Error>;

/// A batch on its way to the disk. It gets there whether or not anybody waits for it.
#[must_use = "a commit may fail"]
pub struct Commit {
    answered: Result<oneshot::Receiver<Answer>, Option<Answer>>,
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
