//! What time it is, as a value that is passed in.
//!
//! Wall time is for data that others see (`origin_server_ts`), monotonic time for everything that is measured or waited for: a clock that is set
//! back must not break a token or a timeout. Waiting itself is tokio's business and does not live here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the beginning of 1970, as Matrix counts time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment so many milliseconds after the beginning of 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the beginning of 1970.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// This moment and `later` more, stopping at the end of time.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(later)))
    }

    /// This moment and `earlier` less, stopping at 1970.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(earlier)))
    }

    /// How long ago `earlier` was, seen from here; nothing if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = i64::try_from(self.0)
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        match moment {
            Some(moment) => write!(f, "{moment}"),
            None => write!(f, "{} ms after 1970", self.0),
        }
    }
}

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock. May jump when somebody sets it.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// The clock that everybody holds.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The machine's clock, with monotonic time counted from now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The machine's clock, ready to be handed around.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    fn now(&self) -> Timestamp {
        // A clock set before 1970 counts as 1970: there is no better answer, and a server that refuses to start helps nobody.
        Timestamp(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, whole_millis),
        )
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until a test moves it. Clones share their time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    wall: Arc<AtomicU64>,
    elapsed: Arc<AtomicU64>,
}

impl ManualClock {
    /// A stopped clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            wall: Arc::new(AtomicU64::new(now.millis())),
            elapsed: Arc::default(),
        }
    }

    /// A stopped clock with some plausible present.
    #[must_use]
    pub fn plausible() -> Self {
        Self::new(Timestamp(1_750_000_000_000))
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        self.wall.fetch_add(whole_millis(time), Ordering::SeqCst);
        self.elapsed.fetch_add(whole_millis(time), Ordering::SeqCst);
    }

    /// Sets the wall clock, as an administrator or a time server would. Monotonic time is not touched.
    pub fn set(&self, now: Timestamp) {
        self.wall.store(now.millis(), Ordering::SeqCst);
    }

    /// This clock, ready to be handed around.
    #[must_use]
    pub fn shared(&self) -> SharedClock {
        Arc::new(self.clone())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.elapsed.load(Ordering::SeqCst))
    }
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Timestamp::from_millis(5_000));
        assert_eq!(clock.now().millis(), 5_000);
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now().millis(), 7_000);
        clock.set(Timestamp::from_millis(1));
        assert_eq!(
            clock.monotonic(),
            Duration::from_secs(2),
            "setting the wall clock does not turn monotonic time"
        );
    }

    #[test]
    fn timestamps_stop_at_both_ends() {
        assert_eq!(
            Timestamp::from_millis(3)
                .minus(Duration::from_secs(1))
                .millis(),
            0
        );
        assert_eq!(
            Timestamp::from_millis(u64::MAX)
                .plus(Duration::from_secs(1))
                .millis(),
            u64::MAX
        );
        assert_eq!(
            Timestamp::from_millis(3).since(Timestamp::from_millis(9)),
            Duration::ZERO
        );
    }

    #[test]
    fn the_system_clock_is_in_this_century() {
        assert!(SystemClock::new().now() > Timestamp::from_millis(1_700_000_000_000));
    }
}
