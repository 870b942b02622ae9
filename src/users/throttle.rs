//! How often something may be tried: by account and by address, whoever guesses from wherever. Bounded: a flood of
//! new addresses pushes out old ones, never more memory.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::SharedClock;
use base::config::Rate;
use quick_cache::sync::Cache;

use crate::Error;

/// So many attempts, refilled evenly over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many attempts may follow each other at once.
    pub burst: u32,
    /// How long it takes until all of them are there again.
    pub window: Duration,
}

impl Allowance {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        burst: 0,
        window: Duration::ZERO,
    };

    /// What a configured rate allows.
    #[must_use]
    pub fn of(rate: Rate) -> Self {
        Self {
            burst: rate.burst(),
            window: rate.interval().saturating_mul(rate.burst()),
        }
    }

    /// So many times as much in the same time.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        Self {
            burst: self.burst.saturating_mul(factor),
            ..self
        }
    }
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An account, by its full id; whether or not it exists.
    Account(String),
    /// An address, or the network of 2^64 addresses that it is one of.
    Address(IpAddr),
}

impl Subject {
    /// The subject that an address counts for. A household has 2^64 IPv6 addresses, so all of them count as one.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        })
    }
}

/// Counts attempts.
pub struct Throttle {
    clock: SharedClock,
    /// Per subject, how much of the window is used up, as the moment when nothing of it will be.
    seen: Cache<Subject, Arc<Mutex<Duration>>>,
}

impl Throttle {
    /// Remembers the latest `capacity` subjects.
    #[must_use]
    pub fn new(clock: SharedClock, capacity: usize) -> Self {
        Self {
            clock,
            seen: Cache::new(capacity),
        }
    }

    /// Counts an attempt, or says when the next one is allowed.
    ///
    /// # Errors
    /// If there were too many.
    pub fn attempt(&self, subject: &Subject, allowance: Allowance) -> Result<(), Error> {
        let Some(cost) = cost(allowance) else {
            return Ok(());
        };
        let now = self.clock.monotonic();
        let full = self.full(subject);
        let mut full = full.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (*full).max(now) + cost;
        if after > now + allowance.window {
            return Err(Error::LimitExceeded {
                retry_after: after - now - allowance.window,
            });
        }
        *full = after;
        Ok(())
    }

    /// Takes an attempt back: it was a good one.
    pub fn forgive(&self, subject: &Subject, allowance: Allowance) {
        if let Some(cost) = cost(allowance) {
            let full = self.full(subject);
            let mut full = full.lock().unwrap_or_else(PoisonError::into_inner);
            *full = full.saturating_sub(cost);
        }
    }

    fn full(&self, subject: &Subject) -> Arc<Mutex<Duration>> {
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        match self.seen.get_or_insert_with(subject, fresh) {
            Ok(full) => full,
            Err(never) => match never {},
        }
    }
}

/// What one attempt uses up; nothing if there is no limit.
fn cost(allowance: Allowance) -> Option<Duration> {
    allowance
        .window
        .checked_div(allowance.burst)
        .filter(|cost| !cost.is_zero())
}

#[cfg(test)]
mod tests {
    use base::ManualClock;

    use super::*;

    const FIVE: Allowance = Allowance {
        burst: 5,
        window: Duration::from_secs(50),
    };

    fn throttle() -> (Throttle, ManualClock) {
        let clock = ManualClock::plausible();
        (Throttle::new(clock.shared(), 100), clock)
    }

    fn refused(throttle: &Throttle, subject: &Subject) -> Option<Duration> {
        match throttle.attempt(subject, FIVE) {
            Ok(()) => None,
            Err(Error::LimitExceeded { retry_after }) => Some(retry_after),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn the_sixth_attempt_has_to_wait() {
        let (throttle, clock) = throttle();
        let alice = Subject::Account("@alice:h".to_owned());
        for _ in 0..5 {
            assert_eq!(refused(&throttle, &alice), None);
        }
        assert_eq!(refused(&throttle, &alice), Some(Duration::from_secs(10)));
        assert_eq!(
            refused(&throttle, &Subject::Account("@bob:h".to_owned())),
            None
        );
        clock.advance(Duration::from_secs(10));
        assert_eq!(refused(&throttle, &alice), None);
        assert_eq!(refused(&throttle, &alice), Some(Duration::from_secs(10)));
        throttle.forgive(&alice, FIVE);
        assert_eq!(refused(&throttle, &alice), None);
    }

    #[test]
    fn a_network_of_ipv6_addresses_counts_as_one() {
        let subject = |text: &str| Subject::address(text.parse().unwrap());
        assert_eq!(subject("2001:db8::1"), subject("2001:db8:0:0:ffff::2"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
        assert_eq!(subject("::ffff:192.0.2.1"), subject("192.0.2.1"));
        assert_ne!(subject("192.0.2.1"), subject("192.0.2.2"));
    }

    #[test]
    fn no_burst_means_no_limit() {
        let (throttle, _) = throttle();
        let never = Allowance {
            burst: 0,
            window: Duration::from_secs(50),
        };
        for _ in 0..1000 {
            throttle
                .attempt(&Subject::Account(String::new()), never)
                .unwrap();
        }
    }
}
