//! Telling users' push gateways (push gateway API). What they are to be told stands in `users::push_queue`, where `sync` puts it.
//!
//! Each pusher for which something waits has one task, which tells its gateway one thing after the other, in order, and tries again until the gateway
//! has taken it or a day is over. A gateway that is down delays its own pushers only.

mod gateway;
mod notification;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::config::FederationConfig;
use base::supervise::{Context, Next, Tasks, Worker, WorkerError};
use base::{SharedClock, Supervisor};
use store::{Change, Pos, Snapshot, Store, Tail, Tx};
use tokio::sync::Semaphore;
use users::push_queue::{self, Place};
use users::pushers;

use crate::error::{Error, Result};
use gateway::Gateway;
use notification::Notification;

/// Requests to gateways under way at a time.
const AT_ONCE: usize = 128;
/// Changes gone through at a time.
const BATCH: usize = 256;
/// The pause after a failure, which doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// What could not be told for so long is told no more. In milliseconds.
const TOO_LATE: u64 = 24 * 60 * 60 * 1000;

/// The push sender. Clones are handles of the same.
#[derive(Clone)]
pub(crate) struct Pushes {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: SharedClock,
    gateway: Gateway,
    /// The pushers that have a task, and whether more has come for them meanwhile.
    active: Mutex<HashMap<Place, bool>>,
    places: Semaphore,
}

/// What comes next for a pusher.
enum Step {
    /// Nothing.
    Done,
    /// This is no longer worth telling.
    Skip(Pos),
    /// There is no such pusher any more, or none that is ours to tell.
    Forget,
    /// This.
    Tell(Pos, Notification),
}

impl Pushes {
    pub(crate) fn new(store: Store, clock: SharedClock, config: &FederationConfig) -> Result<Self> {
        let inner = Inner {
            store,
            clock,
            gateway: Gateway::new(config)?,
            active: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    pub(crate) fn start(&self, supervisor: &Supervisor) {
        let tail = self.inner.store.tail(self.inner.store.head());
        supervisor.start(Follow {
            pushes: self.clone(),
            tail,
            resumed: false,
            tasks: supervisor.tasks(),
        });
    }

    fn active(&self) -> MutexGuard<'_, HashMap<Place, bool>> {
        self.inner
            .active
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Something waits for a pusher.
    fn wake(&self, place: Place, tasks: &Tasks) {
        if let Some(more) = self.active().get_mut(&place) {
            *more = true;
            return;
        }
        self.active().insert(place.clone(), false);
        let (pushes, context) = (self.clone(), tasks.context().clone());
        tasks.spawn("push", async move {
            context.unless_stopping(pushes.tell_all(&place)).await;
        });
    }

    /// Tells a pusher everything that waits for it.
    async fn tell_all(&self, place: &Place) {
        let mut failures = 0;
        loop {
            match self.tell_next(place).await {
                Ok(true) => failures = 0,
                Ok(false) => {
                    let mut active = self.active();
                    if active.get(place) == Some(&true) {
                        active.insert(place.clone(), false);
                    } else {
                        active.remove(place);
                        return;
                    }
                }
                Err(why) => {
                    tracing::debug!(user = %place.0, app = %place.2, %why, "a push gateway was not told");
                    tokio::time::sleep(pause(failures)).await;
                    failures += 1;
                }
            }
        }
    }

    /// Tells a pusher what comes next. Says whether there was anything.
    async fn tell_next(&self, place: &Place) -> Result<bool> {
        let (wanted, now) = (place.clone(), self.inner.clock.now().millis());
        let read = move |s: &Snapshot| next(s, &wanted, now);
        match self.inner.store.read(read).await? {
            Step::Done => return Ok(false),
            Step::Skip(pos) => {
                self.write(place, move |tx, place| push_queue::told(tx, place, pos))
                    .await?;
            }
            Step::Forget => self.write(place, push_queue::forget).await?,
            Step::Tell(pos, notification) => {
                let permit = self.inner.places.acquire().await;
                let rejected = self.inner.gateway.tell(&notification).await?;
                drop(permit);
                if rejected.contains(&place.1) {
                    tracing::info!(user = %place.0, app = %place.2, "a push gateway does not know a pusher any more: it is removed");
                    self.write(place, pushers::reject).await?;
                } else {
                    self.write(place, move |tx, place| push_queue::told(tx, place, pos))
                        .await?;
                }
            }
        }
        Ok(true)
    }

    /// Should this be lost, somebody is told the same twice, which names the event by which they notice.
    async fn write(
        &self,
        place: &Place,
        change: impl Fn(&mut Tx, &Place) + Send + 'static,
    ) -> Result<()> {
        let place = place.clone();
        let write = move |tx: &mut Tx| {
            change(tx, &place);
            Ok::<_, Error>(())
        };
        self.inner.store.write_relaxed(write).await?;
        Ok(())
    }
}

fn next(s: &Snapshot, place: &Place, now: u64) -> Result<Step> {
    let mut waiting = push_queue::waiting(s, place, 2)?.into_iter();
    let Some((pos, push)) = waiting.next() else {
        return Ok(Step::Done);
    };
    // A number alone is overtaken by whatever comes after it.
    let is_overtaken = push.event.is_none() && waiting.next().is_some();
    if is_overtaken || now.saturating_sub(push.queued) > TOO_LATE {
        return Ok(Step::Skip(pos));
    }
    let Some(pusher) = pushers::get(s, place)? else {
        return Ok(Step::Forget);
    };
    Ok(match notification::of(s, place.0, &pusher, &push)? {
        notification::Told::This(notification) => Step::Tell(pos, notification),
        notification::Told::Nothing => Step::Skip(pos),
        notification::Told::Never => Step::Forget,
    })
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let factor = 2_u32.checked_pow(failures);
    factor
        .and_then(|factor| FIRST_PAUSE.checked_mul(factor))
        .unwrap_or(LONGEST_PAUSE)
        .min(LONGEST_PAUSE)
}

/// The worker: wakes pushers as something is queued for them.
struct Follow {
    pushes: Pushes,
    tail: Tail,
    /// Whether what was left when the server stopped has been taken up.
    resumed: bool,
    tasks: Tasks,
}

impl Worker for Follow {
    fn name(&self) -> String {
        "push sender".to_owned()
    }

    async fn step(&mut self, cx: &Context) -> Result<Next, WorkerError> {
        let store = &self.pushes.inner.store;
        let mut users: Vec<Option<store::UserNo>> = Vec::new();
        if self.resumed {
            let Some(changes) = cx.unless_stopping(self.tail.next(BATCH)).await else {
                return Ok(Next::Stop);
            };
            users.extend(changes?.into_iter().filter_map(|(_, change)| match change {
                Change::Push { user } => Some(Some(user)),
                _ => None,
            }));
            users.dedup();
        } else {
            users.push(None);
        }
        let read = move |s: &Snapshot| {
            let mut places = Vec::new();
            for user in users {
                places.extend(push_queue::places(s, user)?);
            }
            Ok::<_, Error>(places)
        };
        let places = match store.read(read).await {
            Ok(places) => places,
            Err(error) => {
                // Whom this batch was about is found by looking at everybody.
                self.resumed = false;
                return Err(error.into());
            }
        };
        for place in places {
            self.pushes.wake(place, &self.tasks);
        }
        self.resumed = true;
        Ok(Next::Again)
    }
}
