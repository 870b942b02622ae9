//! Writes down, now and then, what has been counted. Losing any of it costs time only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::supervise::{Context, Next, Worker, WorkerError};
use store::rows::sync::UnreadRow;
use store::{RoomNo, Tx, UserNo, tables};
use tokio::sync::Notify;

use crate::Sync;
use crate::error::Error;

/// Rows that may wait; more are dropped, to be counted again should they be needed.
const WAITING: usize = 4_096;
/// Rows written at once.
const BATCH: usize = 256;

/// What is to be written.
#[derive(Default)]
pub(super) struct Unsaved {
    rows: Mutex<HashMap<(UserNo, RoomNo), UnreadRow>>,
    some: Notify,
}

impl Unsaved {
    /// Adds a row, over an older one of the same user and room.
    pub(super) fn add(&self, key: (UserNo, RoomNo), row: UnreadRow) {
        let mut rows = self.lock();
        if rows.len() < WAITING || rows.contains_key(&key) {
            rows.insert(key, row);
            self.some.notify_one();
        }
    }

    fn take(&self) -> Vec<((UserNo, RoomNo), UnreadRow)> {
        let mut rows = self.lock();
        let keys: Vec<(UserNo, RoomNo)> = rows.keys().copied().take(BATCH).collect();
        keys.into_iter()
            .filter_map(|key| rows.remove_entry(&key))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(UserNo, RoomNo), UnreadRow>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker.
pub(crate) struct Keeper {
    sync: Sync,
}

impl Keeper {
    pub(crate) fn new(sync: Sync) -> Self {
        Self { sync }
    }
}

impl Worker for Keeper {
    fn name(&self) -> String {
        "unread counts".to_owned()
    }

    async fn step(&mut self, cx: &Context) -> Result<Next, WorkerError> {
        let unsaved = &self.sync.inner().unread.unsaved;
        let rows = unsaved.take();
        if rows.is_empty() {
            let waited = cx.unless_stopping(unsaved.some.notified()).await;
            return Ok(if waited.is_some() {
                Next::Again
            } else {
                Next::Stop
            });
        }
        let write = move |tx: &mut Tx| -> Result<(), Error> {
            for (key, row) in &rows {
                tx.put(tables::UNREAD, key, row)?;
            }
            Ok(())
        };
        self.sync.inner().store.write_relaxed(write).await?;
        Ok(Next::Again)
    }
}
