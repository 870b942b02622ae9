//! The one owner of tasks: long-lived workers, which are named, restarted and reported on, and requests' tasks, which run to their end.
//!
//! Everything that runs by itself in the server was started here, and stops from here: first everybody is told ([`Context::stopping`]), then each
//! has until the deadline, then the rest is dropped.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::{error, info, warn};

use crate::clock::{SharedClock, Timestamp};
use crate::lanes::panic_text;

/// Delays between attempts of a failing worker: doubling from the first to the last.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(60);

/// Why a step failed; any error will do.
pub type WorkerError = Box<dyn StdError + Send + Sync>;

/// What a worker wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more to do.
    Again,
    /// Nothing to do for so long.
    After(Duration),
    /// Done for good.
    Stop,
}

/// Work that goes on for as long as the server runs.
pub trait Worker: Send + 'static {
    /// How the logs and the administrator call it.
    fn name(&self) -> String;

    /// Does one piece of work and says whether to go on at once, sleep, or stop. An error or a panic is logged, and the step is tried again after a
    /// growing delay, on the same worker: whatever a step leaves behind when it fails must be a good start for the next.
    ///
    /// A step that waits for something does so under [`Context::unless_stopping`], or it will be dropped in the middle when the server stops.
    fn step(&mut self, cx: &Context) -> impl Future<Output = Result<Next, WorkerError>> + Send;
}

/// What a worker is told about the world around it.
#[derive(Clone, Debug)]
pub struct Context {
    stopping: watch::Receiver<bool>,
}

impl Context {
    /// Ends when the server begins to stop.
    pub async fn stopping(&self) {
        // An error means that the supervisor is gone, which is a stop as well.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Whether the server has begun to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// The output of `waiting`, or nothing if the server begins to stop before.
    pub async fn unless_stopping<F: Future>(&self, waiting: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = waiting => Some(output),
            () = self.stopping() => None,
        }
    }
}

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// In the middle of a step. A worker that waits for work inside its step counts as running.
    Running,
    /// Sleeping until its next step.
    Idle,
    /// Its last steps failed; it will try again.
    Failing {
        /// The first failure of this row.
        since: Timestamp,
        /// What the latest attempt said.
        error: String,
    },
    /// Ended by its own wish or because the server stops.
    Stopped,
}

/// A worker, as an administrator sees it.
#[derive(Clone, Debug)]
pub struct Status {
    /// The worker's name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// How many steps have succeeded.
    pub steps: u64,
    /// How many have failed.
    pub failures: u64,
}

/// Owns every long-lived task. Clones are the same supervisor.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    clock: SharedClock,
    stopping: watch::Sender<bool>,
    workers: Mutex<Vec<Entry>>,
    tasks: Tasks,
}

struct Entry {
    status: Arc<Mutex<Status>>,
    handle: AbortHandle,
}

impl Supervisor {
    /// A supervisor with nothing to look after.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let (stopping, _) = watch::channel(false);
        let tasks = Tasks {
            live: Arc::default(),
            context: Context {
                stopping: stopping.subscribe(),
            },
        };
        Self {
            inner: Arc::new(Inner {
                clock,
                stopping,
                workers: Mutex::default(),
                tasks,
            }),
        }
    }

    /// Starts a worker and keeps it going.
    #[expect(clippy::disallowed_methods, reason = "this is where workers come from")]
    pub fn start<W: Worker>(&self, worker: W) {
        let status = Status {
            name: worker.name(),
            state: State::Running,
            steps: 0,
            failures: 0,
        };
        let status = Arc::new(Mutex::new(status));
        let context = self.context();
        let guard = self.inner.tasks.enter();
        let running = Running {
            worker,
            context,
            status: Arc::clone(&status),
            clock: Arc::clone(&self.inner.clock),
        };
        let handle = tokio::spawn(async move {
            let _guard = guard;
            running.run().await;
        })
        .abort_handle();
        let mut workers = lock(&self.inner.workers);
        workers.retain(|entry| !entry.handle.is_finished());
        workers.push(Entry { status, handle });
    }

    /// Every worker that has not ended.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        let workers = lock(&self.inner.workers);
        workers
            .iter()
            .filter(|entry| !entry.handle.is_finished())
            .map(|entry| lock(&entry.status).clone())
            .collect()
    }

    /// Tasks of requests, and of everything else that is done once.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        self.inner.tasks.clone()
    }

    /// The same view of the server that workers get.
    #[must_use]
    pub fn context(&self) -> Context {
        self.inner.tasks.context.clone()
    }

    /// Tells everybody to stop, and comes back at once.
    pub fn stop(&self) {
        self.inner.stopping.send_replace(true);
    }

    /// Tells everybody to stop, and waits until all have, but not longer than `deadline`. Says whether all did; workers that did not are dropped.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        self.stop();
        let in_time = tokio::time::timeout(deadline, self.inner.tasks.finished())
            .await
            .is_ok();
        for entry in lock(&self.inner.workers).drain(..) {
            if !entry.handle.is_finished() && !in_time {
                warn!(worker = %lock(&entry.status).name, "did not stop in time");
                entry.handle.abort();
            }
        }
        in_time
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.status()).finish()
    }
}

/// A worker on its way, with what is told about it.
struct Running<W> {
    worker: W,
    context: Context,
    status: Arc<Mutex<Status>>,
    clock: SharedClock,
}

impl<W: Worker> Running<W> {
    async fn run(mut self) {
        let mut delay = FIRST_DELAY;
        while !self.context.is_stopping() {
            let wait = match AssertUnwindSafe(self.worker.step(&self.context))
                .catch_unwind()
                .await
            {
                Ok(Ok(next)) => {
                    delay = FIRST_DELAY;
                    match self.succeeded(next) {
                        Some(wait) => wait,
                        None => break,
                    }
                }
                Ok(Err(error)) => self.failed(&chain(&*error), &mut delay),
                Err(panic) => {
                    self.failed(&format!("panicked: {}", panic_text(&*panic)), &mut delay)
                }
            };
            if wait > Duration::ZERO {
                let _ = self.context.unless_stopping(tokio::time::sleep(wait)).await;
            }
        }
        lock(&self.status).state = State::Stopped;
    }

    /// Notes a success and says how long to wait; nothing if that was the last step.
    fn succeeded(&self, next: Next) -> Option<Duration> {
        let mut status = lock(&self.status);
        status.steps += 1;
        if matches!(status.state, State::Failing { .. }) {
            info!(worker = %status.name, "works again");
        }
        match next {
            Next::Again => {
                status.state = State::Running;
                Some(Duration::ZERO)
            }
            Next::After(wait) => {
                status.state = State::Idle;
                Some(wait)
            }
            Next::Stop => None,
        }
    }

    /// Notes a failure and says how long to wait.
    fn failed(&self, error: &str, delay: &mut Duration) -> Duration {
        let mut status = lock(&self.status);
        let wait = *delay;
        error!(worker = %status.name, %error, "failed, trying again in {wait:?}");
        status.failures += 1;
        let since = match status.state {
            State::Failing { since, .. } => since,
            _ => self.clock.now(),
        };
        status.state = State::Failing {
            since,
            error: error.to_owned(),
        };
        *delay = (wait * 2).min(LAST_DELAY);
        wait
    }
}

/// An error and everything that caused it, in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Tasks that are done once and run to their end, whoever stops waiting for them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks {
    live: Arc<Live>,
    context: Context,
}

#[derive(Debug, Default)]
struct Live {
    count: AtomicUsize,
    idle: tokio::sync::Notify,
}

/// Held by a task while it lives.
struct Guard(Arc<Live>);

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Tasks {
    /// Gives the output of `work`, which runs in a task of its own: when the caller is dropped, the work goes on, and a stopping server waits for it.
    ///
    /// # Errors
    /// If the work panicked; others are not affected.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where requests' tasks come from"
    )]
    pub async fn run<F>(&self, work: F) -> Result<F::Output, Panicked>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let guard = self.enter();
        let task = tokio::spawn(async move {
            let output = work.await;
            drop(guard);
            output
        });
        match task.await {
            Ok(output) => Ok(output),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Err(Panicked(panic)),
                // Nobody aborts these tasks; only a runtime that is being torn down does, and the caller goes with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Starts `work` and does not wait for it. A panic is logged under `name`.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where background tasks come from"
    )]
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = self.enter();
        tokio::spawn(async move {
            let _guard = guard;
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                error!(task = name, error = %panic_text(&*panic), "panicked");
            }
        });
    }

    /// Runs synchronous work on the blocking pool, to its end.
    ///
    /// # Errors
    /// If the work panicked.
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let guard = self.enter();
        let task = tokio::task::spawn_blocking(move || {
            let output = work();
            drop(guard);
            output
        });
        match task.await {
            Ok(output) => Ok(output),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Err(Panicked(panic)),
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// The same view of the server that workers get.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// How many tasks and workers live right now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.live.count.load(Ordering::Acquire)
    }

    fn enter(&self) -> Guard {
        self.live.count.fetch_add(1, Ordering::AcqRel);
        Guard(Arc::clone(&self.live))
    }

    /// Ends when no task lives any more.
    async fn finished(&self) {
        loop {
            let idle = self.live.idle.notified();
            tokio::pin!(idle);
            // Listening begins before the count is read, so that the last guard cannot slip through between the two.
            idle.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// A task panicked. Shows the panic's own words.
pub struct Panicked(Box<dyn Any + Send>);

impl Panicked {
    /// Goes on panicking, here.
    pub fn resume(self) -> ! {
        resume_unwind(self.0)
    }
}

impl From<Box<dyn Any + Send>> for Panicked {
    fn from(panic: Box<dyn Any + Send>) -> Self {
        Self(panic)
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", panic_text(&*self.0))
    }
}

impl StdError for Panicked {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::sync::mpsc;

    use super::*;
    use crate::clock::ManualClock;

    /// Does what a list says, and reports each step with tokio's (paused) time.
    struct Scripted {
        script: VecDeque<fn() -> Result<Next, WorkerError>>,
        seen: mpsc::UnboundedSender<Duration>,
        start: tokio::time::Instant,
    }

    impl Worker for Scripted {
        fn name(&self) -> String {
            "scripted".to_owned()
        }

        async fn step(&mut self, cx: &Context) -> Result<Next, WorkerError> {
            self.seen.send(self.start.elapsed()).unwrap();
            match self.script.pop_front() {
                Some(step) => step(),
                None => {
                    cx.stopping().await;
                    Ok(Next::Stop)
                }
            }
        }
    }

    struct Stubborn;

    impl Worker for Stubborn {
        fn name(&self) -> String {
            "stubborn".to_owned()
        }

        async fn step(&mut self, _: &Context) -> Result<Next, WorkerError> {
            std::future::pending().await
        }
    }

    fn supervisor() -> Supervisor {
        Supervisor::new(ManualClock::plausible().shared())
    }

    fn scripted(
        script: impl IntoIterator<Item = fn() -> Result<Next, WorkerError>>,
    ) -> (Scripted, mpsc::UnboundedReceiver<Duration>) {
        let (seen, steps) = mpsc::unbounded_channel();
        (
            Scripted {
                script: script.into_iter().collect(),
                seen,
                start: tokio::time::Instant::now(),
            },
            steps,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn errors_and_panics_are_tried_again_after_growing_delays() {
        let supervisor = supervisor();
        let (worker, mut steps) = scripted([
            (|| Err("no disk".into())) as fn() -> _,
            || panic!("broken"),
            || Err("no disk".into()),
            || Ok(Next::Again),
        ]);
        supervisor.start(worker);
        let mut times = Vec::new();
        for turn in 0..5 {
            times.push(steps.recv().await.unwrap().as_millis());
            if turn == 0 {
                let status = supervisor.status().remove(0);
                assert!(matches!(status.state, State::Failing { error, .. } if error == "no disk"));
            }
        }
        assert_eq!(times, [0, 100, 300, 700, 700], "{times:?}");
        let status = supervisor.status().remove(0);
        assert_eq!(
            (status.state, status.steps, status.failures),
            (State::Running, 1, 3)
        );
        assert!(supervisor.shutdown(Duration::from_secs(1)).await);
        assert!(supervisor.status().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn delays_stop_growing_at_a_minute() {
        let supervisor = supervisor();
        let (worker, mut steps) =
            scripted(std::iter::repeat_n((|| Err("no".into())) as fn() -> _, 20));
        supervisor.start(worker);
        let mut times = Vec::new();
        for _ in 0..20 {
            times.push(steps.recv().await.unwrap());
        }
        let last = times[19] - times[18];
        assert!(
            (LAST_DELAY..LAST_DELAY + Duration::from_millis(5)).contains(&last),
            "{last:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeping_worker_stops_at_once_and_a_stubborn_one_at_the_deadline() {
        let quick = supervisor();
        let (worker, mut steps) =
            scripted([(|| Ok(Next::After(Duration::from_secs(3600)))) as fn() -> _]);
        quick.start(worker);
        steps.recv().await.unwrap();
        assert!(quick.shutdown(Duration::from_secs(1)).await);

        let stubborn = supervisor();
        stubborn.start(Stubborn);
        tokio::task::yield_now().await;
        let start = tokio::time::Instant::now();
        assert!(!stubborn.shutdown(Duration::from_secs(10)).await);
        assert!(start.elapsed() < Duration::from_secs(11));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_runs_to_its_end_and_shutdown_waits_for_it() {
        let supervisor = supervisor();
        let (done, mut finished) = mpsc::unbounded_channel();
        let tasks = supervisor.tasks();
        let request = tasks.run(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            done.send(()).unwrap();
        });
        assert!(
            request.now_or_never().is_none(),
            "the caller hangs up while the request runs"
        );
        assert!(supervisor.shutdown(Duration::from_secs(10)).await);
        assert_eq!(finished.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn a_panicking_request_is_told_apart() {
        let tasks = supervisor().tasks();
        let error = tasks
            .run(async { panic!("at {}", "noon") })
            .await
            .map(|(): ()| ())
            .unwrap_err();
        assert_eq!(error.to_string(), "panicked: at noon");
        assert_eq!(tasks.run(async { 5 }).await.unwrap(), 5);
        assert_eq!(tasks.count(), 0);
    }
}
