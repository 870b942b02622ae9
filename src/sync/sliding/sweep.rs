//! Removes connections that nobody has used for long, whose device may never come back.

use std::time::Duration;

use base::supervise::{Context, Next, Worker, WorkerError};
use store::{Order, Tx, tables};

use super::conn::{Key, remove};
use crate::Sync;
use crate::error::Result;

/// How long a connection is kept that nobody uses.
const KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// How often unused connections are looked for.
const SWEEP: Duration = Duration::from_secs(6 * 3_600);
/// Connections that are removed at once.
const SWEPT: usize = 256;

/// Removes connections that nobody has used for long.
pub(crate) struct Sweeper {
    sync: Sync,
}

impl Sweeper {
    pub(crate) fn new(sync: Sync) -> Self {
        Self { sync }
    }

    async fn sweep(&self) -> Result<usize> {
        let inner = self.sync.inner();
        let now = inner.clock.now().millis();
        let removed = inner
            .store
            .write_relaxed(move |tx: &mut Tx| -> Result<Vec<Key>> {
                let mut old = Vec::new();
                for row in tx.scan(tables::SLIDING, .., Order::Forward) {
                    let (key, row) = row?;
                    if now.saturating_sub(row.used) > KEPT_MS && old.len() < SWEPT {
                        old.push((key, row));
                    }
                }
                for (key, row) in &old {
                    tx.expect(tables::SLIDING, key, Some(row))?;
                    remove(tx, key);
                }
                Ok(old.into_iter().map(|(key, _)| key).collect())
            });
        let (removed, _) = removed.await?;
        removed.iter().for_each(|key| {
            inner.connections.forget(key);
        });
        Ok(removed.len())
    }
}

impl Worker for Sweeper {
    fn name(&self) -> String {
        "sliding sync connections".to_owned()
    }

    async fn step(&mut self, _: &Context) -> Result<Next, WorkerError> {
        let swept = self.sweep().await?;
        Ok(if swept < SWEPT {
            Next::After(SWEEP)
        } else {
            Next::Again
        })
    }
}
