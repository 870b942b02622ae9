//! Which servers do not answer, and how long each is left alone: longer after each failure, up to a day.
//!
//! What will last longer than a moment is in the store as well, so that a restart does not begin by knocking at every dead server's door. A server that
//! speaks to us is alive: whoever waits for it is woken. Sending in order, and what is owed to whom, is not known here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{SharedClock, SharedRandom, Timestamp};
use ruma::{OwnedServerName, ServerName};
use store::rows::peers::BackOffRow;
use store::{Order, Store, tables};
use tokio::sync::Notify;

use crate::error::Result;

/// How long a server is left alone after one failure.
const FIRST: Duration = Duration::from_secs(2);
/// And at most.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How much each failure lengthens it.
const FACTOR: u32 = 2;
/// Pauses from here on are kept in the store.
const WORTH_KEEPING: Duration = Duration::from_secs(60);
/// How many failing servers are remembered. One costs about 200 bytes.
const SERVERS: usize = 50_000;

/// Which servers do not answer. Clones share what they know.
#[derive(Clone)]
pub struct Backoff {
    inner: Arc<Inner>,
}

struct Inner {
    servers: Mutex<HashMap<OwnedServerName, Failing>>,
    store: Store,
    clock: SharedClock,
    random: SharedRandom,
}

struct Failing {
    failures: u32,
    since: Timestamp,
    until: Timestamp,
    /// Whether it stands in the store, too.
    kept: bool,
    why: String,
    wake: Arc<Notify>,
}

/// How a server has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How many attempts have failed in a row.
    pub failures: u32,
    /// Since when.
    pub since: Timestamp,
    /// Until when it is left alone.
    pub until: Timestamp,
    /// What came of the last attempt; empty if that was before the last restart.
    pub why: String,
}

impl Backoff {
    pub(crate) fn new(store: Store, clock: SharedClock, random: SharedRandom) -> Result<Self> {
        let mut servers = HashMap::new();
        let snapshot = store.snapshot();
        for row in snapshot
            .scan(tables::BACK_OFFS, .., Order::Forward)
            .take(SERVERS)
        {
            let (server, row) = row?;
            if let Ok(server) = ServerName::parse(&server) {
                servers.insert(server, Failing::kept(&row));
            }
        }
        let inner = Inner {
            servers: Mutex::new(servers),
            store,
            clock,
            random,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Until when the server is left alone; none if it may be asked.
    #[must_use]
    pub fn wait_until(&self, server: &ServerName) -> Option<Timestamp> {
        let now = self.inner.clock.now();
        let servers = self.servers();
        let until = servers.get(server)?.until;
        // Further ahead than the longest pause lies only what a clock that was set back has made so.
        (until > now && until.since(now) <= spread(LONGEST, u8::MAX)).then_some(until)
    }

    /// How the server has failed, if it has.
    #[must_use]
    pub fn failure(&self, server: &ServerName) -> Option<Failure> {
        self.servers().get(server).map(|failing| Failure {
            failures: failing.failures,
            since: failing.since,
            until: failing.until,
            why: failing.why.clone(),
        })
    }

    /// Returns when the server may be asked: at once, when its time has come, or when it has spoken to us.
    pub async fn ready(&self, server: &ServerName) {
        while let Some(until) = self.wait_until(server) {
            let Some(wake) = self
                .servers()
                .get(server)
                .map(|failing| failing.wake.clone())
            else {
                return;
            };
            let woken = wake.notified();
            tokio::pin!(woken);
            // Listening begins before the second look, so that nothing is missed between the two.
            woken.as_mut().enable();
            if self.wait_until(server).is_none() {
                return;
            }
            let left = until.since(self.inner.clock.now());
            let _ = tokio::time::timeout(left, woken).await;
        }
    }

    /// The server has spoken to us, or answered: it is alive.
    pub fn heard_from(&self, server: &ServerName) {
        let Some(failing) = self.servers().remove(server) else {
            return;
        };
        if failing.kept {
            let mut tx = self.inner.store.tx();
            tx.delete(tables::BACK_OFFS, server.as_str());
            // A row that outlives its reason costs one pause after the next restart.
            drop(self.inner.store.submit_relaxed(tx));
        }
        failing.wake.notify_waiters();
    }

    /// The server has not answered a question that was asked at `asked`.
    pub(crate) fn failed(&self, server: &ServerName, asked: Timestamp, why: &str) {
        let now = self.inner.clock.now();
        let mut dice = [0];
        self.inner.random.fill(&mut dice);
        let [dice] = dice;
        let mut servers = self.servers();
        if !servers.contains_key(server) && !make_room(&mut servers, now) {
            return;
        }
        let failing = servers
            .entry(server.to_owned())
            .or_insert_with(|| Failing::new(now));
        // Of many questions that were under way together, the first failure counts.
        if failing.failures > 0 && asked < failing.until && failing.until > now {
            return;
        }
        failing.failures = failing.failures.saturating_add(1);
        why.clone_into(&mut failing.why);
        let pause = pause(failing.failures);
        failing.until = now.plus(spread(pause, dice));
        failing.kept = pause >= WORTH_KEEPING;
        if failing.kept {
            let row = BackOffRow {
                failures: u64::from(failing.failures),
                since: failing.since.millis(),
                until: failing.until.millis(),
            };
            drop(servers);
            self.keep(server, &row);
        }
    }

    fn keep(&self, server: &ServerName, row: &BackOffRow) {
        let mut tx = self.inner.store.tx();
        match tx.put(tables::BACK_OFFS, server.as_str(), row) {
            Ok(()) => drop(self.inner.store.submit_relaxed(tx)),
            Err(error) => tracing::warn!(%server, %error, "cannot keep that a server fails"),
        }
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<OwnedServerName, Failing>> {
        self.inner
            .servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failing {
    fn new(now: Timestamp) -> Self {
        Self {
            failures: 0,
            since: now,
            until: now,
            kept: false,
            why: String::new(),
            wake: Arc::default(),
        }
    }

    fn kept(row: &BackOffRow) -> Self {
        Self {
            failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
            since: Timestamp::from_millis(row.since),
            until: Timestamp::from_millis(row.until),
            kept: true,
            why: String::new(),
            wake: Arc::default(),
        }
    }
}

/// How long a server is left alone after so many failures in a row.
fn pause(failures: u32) -> Duration {
    FACTOR
        .checked_pow(failures.saturating_sub(1))
        .and_then(|factor| FIRST.checked_mul(factor))
        .unwrap_or(LONGEST)
        .min(LONGEST)
}

/// The pause and up to a quarter of it, so that servers which failed together are not asked together.
fn spread(pause: Duration, dice: u8) -> Duration {
    pause + pause / 4 * u32::from(dice) / u32::from(u8::MAX)
}

/// Whether there is room for one more, after forgetting those who may be asked again.
fn make_room(servers: &mut HashMap<OwnedServerName, Failing>, now: Timestamp) -> bool {
    if servers.len() >= SERVERS {
        servers.retain(|_, failing| failing.until > now);
    }
    servers.len() < SERVERS
}

#[cfg(test)]
mod tests {
    use base::{Clock, ManualClock, SeededRandom};
    use ruma::server_name;

    use super::*;

    fn backoff(clock: &ManualClock, store: &Store) -> Backoff {
        Backoff::new(store.clone(), clock.shared(), SeededRandom::new(1).shared()).unwrap()
    }

    fn fail(backoff: &Backoff, clock: &ManualClock, server: &ServerName) -> Duration {
        backoff.failed(server, clock.now(), "no answer");
        backoff.wait_until(server).unwrap().since(clock.now())
    }

    /// Waits for what was queued: the store writes in order.
    fn written(store: &Store) {
        let row = BackOffRow {
            failures: 1,
            since: 0,
            until: 0,
        };
        store
            .write_blocking(|tx| tx.put(tables::BACK_OFFS, "last.example", &row))
            .unwrap();
    }

    #[test]
    fn pauses_grow_to_a_day_and_end_when_the_server_speaks() {
        let (clock, store) = (ManualClock::plausible(), Store::memory());
        let backoff = backoff(&clock, &store);
        let server = server_name!("dead.example");
        assert_eq!(backoff.wait_until(server), None);
        let mut last = Duration::ZERO;
        for _ in 0..16 {
            let pause = fail(&backoff, &clock, server);
            assert!(pause > last && pause <= last * 3 + FIRST * 2, "{pause:?}");
            last = pause;
            clock.advance(pause);
            assert_eq!(backoff.wait_until(server), None);
        }
        for _ in 0..100 {
            let pause = fail(&backoff, &clock, server);
            assert!(pause >= LONGEST && pause <= LONGEST * 5 / 4, "{pause:?}");
            clock.advance(pause);
        }
        fail(&backoff, &clock, server);
        backoff.heard_from(server);
        assert_eq!(backoff.wait_until(server), None);
        assert_eq!(backoff.failure(server), None);
        assert!(fail(&backoff, &clock, server) < FIRST * 2);
    }

    #[test]
    fn questions_that_fail_together_count_once() {
        let (clock, store) = (ManualClock::plausible(), Store::memory());
        let backoff = backoff(&clock, &store);
        let server = server_name!("dead.example");
        let asked = clock.now();
        for _ in 0..50 {
            backoff.failed(server, asked, "no answer");
        }
        assert_eq!(backoff.failure(server).unwrap().failures, 1);
    }

    #[test]
    fn long_pauses_survive_a_restart_and_short_ones_do_not() {
        let (clock, store) = (ManualClock::plausible(), Store::memory());
        let (dead, slow) = (server_name!("dead.example"), server_name!("slow.example"));
        let before = backoff(&clock, &store);
        fail(&before, &clock, slow);
        let mut pause = Duration::ZERO;
        while pause < WORTH_KEEPING {
            clock.advance(pause);
            pause = fail(&before, &clock, dead);
        }
        written(&store);
        let after = backoff(&clock, &store);
        assert_eq!(after.wait_until(dead), before.wait_until(dead));
        assert_eq!(after.wait_until(slow), None);
        after.heard_from(dead);
        written(&store);
        assert_eq!(backoff(&clock, &store).wait_until(dead), None);
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let (clock, store) = (ManualClock::plausible(), Store::memory());
        let backoff = backoff(&clock, &store);
        let server = server_name!("dead.example");
        fail(&backoff, &clock, server);
        clock.set(clock.now().minus(LONGEST * 30));
        assert_eq!(backoff.wait_until(server), None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken_when_the_server_speaks() {
        let (clock, store) = (ManualClock::plausible(), Store::memory());
        let backoff = backoff(&clock, &store);
        let server = server_name!("dead.example");
        backoff.ready(server).await;
        fail(&backoff, &clock, server);
        let ready = backoff.ready(server);
        tokio::pin!(ready);
        assert!(futures_util::poll!(&mut ready).is_pending());
        backoff.heard_from(server);
        assert!(futures_util::poll!(&mut ready).is_ready());
    }
}
