//! What happens by itself as time passes: expired things are deleted, people who have gone become unavailable, and when
//! devices were last seen is written down.

use std::time::Duration;

use base::{Context, Next, Worker, WorkerError};
use store::Order;
use store::tables::{EXPIRING, LOGIN_TOKENS, OPENID_TOKENS, TO_DEVICE_SEEN};

use crate::{Error, Users};

/// Kinds of things that expire, as they stand in the table.
pub(crate) const LOGIN_TOKEN: u8 = 1;
pub(crate) const OPENID_TOKEN: u8 = 2;
pub(crate) const TO_DEVICE_TXN: u8 = 3;

/// How many expired things one batch deletes.
const AT_ONCE: usize = 1000;
const EVERY: Duration = Duration::from_secs(1);
/// Every how many ticks expired rows are looked for.
const SWEEP: u64 = 60;

/// The worker that lets time pass for users.
pub struct Sweeper {
    users: Users,
    ticks: u64,
}

impl Sweeper {
    /// To be started once per server.
    #[must_use]
    pub fn new(users: Users) -> Self {
        Self { users, ticks: 0 }
    }
}

impl Worker for Sweeper {
    fn name(&self) -> String {
        "users".to_owned()
    }

    async fn step(&mut self, _: &Context) -> Result<Next, WorkerError> {
        self.users.tick_presence().await?;
        if self.ticks.is_multiple_of(SWEEP) {
            self.users.write_seen().await?;
            while self.users.sweep_expired().await? == AT_ONCE {}
        }
        self.ticks += 1;
        Ok(Next::After(EVERY))
    }
}

impl Users {
    /// Deletes some of what has expired, and says how much that was.
    pub async fn sweep_expired(&self) -> Result<usize, Error> {
        let now = self.now();
        self.write(move |tx| {
            let expired = tx
                .scan(EXPIRING, ..(now, 0, [0; 32]), Order::Forward)
                .keys()
                .take(AT_ONCE);
            let expired: Vec<_> = expired.collect::<Result<_, _>>()?;
            for (time, kind, key) in &expired {
                match *kind {
                    LOGIN_TOKEN => tx.delete(LOGIN_TOKENS, key),
                    OPENID_TOKEN => tx.delete(OPENID_TOKENS, key),
                    TO_DEVICE_TXN => tx.delete(TO_DEVICE_SEEN, key),
                    _ => tracing::warn!(kind, "something of an unknown kind has expired"),
                }
                tx.delete(EXPIRING, &(*time, *kind, *key));
            }
            Ok(expired.len())
        })
        .await
    }
}
