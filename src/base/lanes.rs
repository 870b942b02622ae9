//! A keyed queue: one task at a time per key, in the order they came, keys independent of each other.
//!
//! A key costs memory only while something runs or waits under it. The work belongs to the lane and not to the caller: a caller that hangs up
//! loses the answer, never the work, so nothing is left half done.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use tokio::sync::oneshot;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;
type Shard<K> = Mutex<HashMap<K, VecDeque<Job>>>;

/// How many independently locked parts the keys are spread over; more than this many processors rarely ask at the same instant.
const SHARDS: usize = 64;

/// One task at a time per key. Clones share their lanes.
pub struct Lanes<K> {
    inner: Arc<Inner<K>>,
}

struct Inner<K> {
    hasher: RandomState,
    /// A key is present while its lane is occupied; the queue holds those who wait.
    shards: Vec<Shard<K>>,
}

impl<K: Clone + Eq + Hash + Send + 'static> Lanes<K> {
    /// Lanes with nobody in them.
    #[must_use]
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            inner: Arc::new(Inner {
                hasher: RandomState::new(),
                shards,
            }),
        }
    }

    /// Runs `work` when everything asked for under `key` before has ended, and gives its output. The work goes on if the caller stops waiting.
    ///
    /// # Panics
    /// If the work panics: the panic arrives here, and the lane goes on with the next one.
    pub async fn run<F>(&self, key: K, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (answer, waiting) = oneshot::channel();
        let job = Box::pin(async move {
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            // Nobody waiting is no fault: the work has been done.
            let _ = answer.send(outcome);
        });
        self.enqueue(key, job);
        match waiting.await {
            Ok(Ok(output)) => output,
            Ok(Err(panic)) => resume_unwind(panic),
            // Only a runtime that is being torn down drops a job; its callers go the same way.
            Err(_) => std::future::pending().await,
        }
    }

    /// How many keys are occupied right now.
    #[must_use]
    pub fn occupied(&self) -> usize {
        self.inner
            .shards
            .iter()
            .map(|shard| lock(shard).len())
            .sum()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a lane's driver ends with its queue and cannot fail: each job catches its own panic"
    )]
    fn enqueue(&self, key: K, job: Job) {
        if let Some(job) = self.inner.enter(&key, job) {
            tokio::spawn(drive(Arc::clone(&self.inner), key, job));
        }
    }
}

/// Runs a lane until nobody waits in it.
async fn drive<K: Eq + Hash>(lanes: Arc<Inner<K>>, key: K, first: Job) {
    let mut next = Some(first);
    while let Some(job) = next {
        job.await;
        next = lanes.leave(&key);
    }
}

impl<K: Eq + Hash> Inner<K> {
    fn shard(&self, key: &K) -> MutexGuard<'_, HashMap<K, VecDeque<Job>>> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        #[expect(
            clippy::indexing_slicing,
            reason = "the remainder is smaller than the number of shards"
        )]
        lock(&self.shards[index])
    }

    /// Gives the job back if the lane was free, and is now taken by it; queues it otherwise.
    fn enter(&self, key: &K, job: Job) -> Option<Job>
    where
        K: Clone,
    {
        let mut shard = self.shard(key);
        match shard.get_mut(key) {
            Some(queue) => {
                queue.push_back(job);
                None
            }
            None => {
                shard.insert(key.clone(), VecDeque::new());
                Some(job)
            }
        }
    }

    /// The next job of the lane, or none, and then the key is forgotten.
    fn leave(&self, key: &K) -> Option<Job> {
        let mut shard = self.shard(key);
        let next = shard.get_mut(key).and_then(VecDeque::pop_front);
        if next.is_none() {
            shard.remove(key);
            if shard.is_empty() && shard.capacity() > 1024 {
                shard.shrink_to_fit();
            }
        }
        next
    }
}

impl<K> Clone for Lanes<K> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Default for Lanes<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> std::fmt::Debug for Lanes<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lanes")
    }
}

/// A poisoned lock here means a panic between two map operations, which leaves the map whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The words a panic was raised with.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panicked without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "the callers of this test are tasks"
    )]
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_at_a_time_per_key_and_nothing_kept_afterwards() {
        let lanes = Lanes::new();
        let inside: Arc<[AtomicUsize; 10]> = Arc::default();
        let mut callers = Vec::new();
        for turn in 0..2_000_usize {
            let (lanes, inside) = (lanes.clone(), Arc::clone(&inside));
            callers.push(tokio::spawn(async move {
                let key = turn % 10;
                lanes
                    .run(key, async move {
                        assert_eq!(
                            inside[key].fetch_add(1, Ordering::SeqCst),
                            0,
                            "two in one lane"
                        );
                        tokio::task::yield_now().await;
                        inside[key].fetch_sub(1, Ordering::SeqCst);
                        turn
                    })
                    .await
            }));
        }
        for (turn, caller) in callers.into_iter().enumerate() {
            assert_eq!(caller.await.unwrap(), turn);
        }
        assert_eq!(lanes.occupied(), 0);
    }

    #[tokio::test]
    async fn first_come_first_served() {
        let lanes = Lanes::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        let gate = Arc::new(Notify::new());
        let opened = Arc::clone(&gate);
        let first = lanes.run("room", async move { opened.notified().await });
        let rest = futures_util::future::join_all((0..50).map(|turn| {
            let order = Arc::clone(&order);
            lanes.run("room", async move { order.lock().unwrap().push(turn) })
        }));
        let (lanes_other, ()) =
            tokio::join!(lanes.run("other room", async { "not held up" }), async {
                gate.notify_one();
            });
        assert_eq!(lanes_other, "not held up");
        tokio::join!(first, rest);
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_work_is_done_though_the_caller_hung_up() {
        let lanes = Lanes::new();
        let (gate, done) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        for _ in 0..3 {
            let (gate, done) = (Arc::clone(&gate), Arc::clone(&done));
            let work = lanes.run(1, async move {
                gate.notified().await;
                done.fetch_add(1, Ordering::SeqCst);
            });
            // Polled once, so that the work is in the lane, then dropped.
            assert!(work.now_or_never().is_none());
        }
        for _ in 0..3 {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
        lanes.run(1, async {}).await;
        assert_eq!(done.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_panic_reaches_its_caller_and_nobody_else() {
        let lanes = Lanes::new();
        let broken = AssertUnwindSafe(lanes.run(1, async { panic!("broken") })).catch_unwind();
        let (broken, whole) = tokio::join!(broken, lanes.run(1, async { "whole" }));
        assert_eq!(panic_text(&*broken.unwrap_err()), "broken");
        assert_eq!(whole, "whole");
        assert_eq!(lanes.occupied(), 0);
    }
}
