//! Those who follow the log: with a position that survives a restart, or only from now on.

use tokio::sync::watch;

use crate::error::Error;
use crate::log::{Change, Pos};
use crate::store::Store;
use crate::tables;
use crate::write::Tx;

/// A follower whose position is stored. It sees a change again until it has moved its position past it, best in the
/// transaction that writes what follows from the change.
pub struct Follower {
    store: Store,
    name: String,
    heads: watch::Receiver<Pos>,
}

impl Follower {
    pub(crate) fn new(store: Store, name: &str) -> Self {
        let heads = store.watch();
        Self {
            store,
            name: name.to_owned(),
            heads,
        }
    }

    /// The last position it is done with.
    pub fn position(&self) -> Result<Pos, Error> {
        let stored = self
            .store
            .snapshot()
            .get(tables::FOLLOWERS, self.name.as_str())?;
        Ok(stored.unwrap_or(Pos::ZERO))
    }

    /// Waits until there is something after its position, and returns at most `max` changes.
    pub async fn next(&mut self, max: usize) -> Result<Vec<(Pos, Change)>, Error> {
        let position = self.position()?;
        next_after(&self.store, &mut self.heads, position, max).await
    }

    /// As `next`, without waiting: empty when there is nothing.
    pub fn try_next(&self, max: usize) -> Result<Vec<(Pos, Change)>, Error> {
        self.store.changes(self.position()?, self.store.head(), max)
    }

    /// Moves the position, once the transaction is committed.
    pub fn advance(&self, tx: &mut Tx, to: Pos) -> Result<(), Error> {
        tx.put(tables::FOLLOWERS, self.name.as_str(), &to)
    }
}

/// A follower that starts where it is told and keeps its position to itself.
pub struct Tail {
    store: Store,
    position: Pos,
    heads: watch::Receiver<Pos>,
}

impl Tail {
    pub(crate) fn new(store: Store, position: Pos) -> Self {
        let heads = store.watch();
        Self {
            store,
            position,
            heads,
        }
    }

    /// The last position it has returned.
    pub fn position(&self) -> Pos {
        self.position
    }

    /// Waits until there is something after its position, returns at most `max` changes and moves past them.
    pub async fn next(&mut self, max: usize) -> Result<Vec<(Pos, Change)>, Error> {
        let changes = next_after(&self.store, &mut self.heads, self.position, max).await?;
        if let Some((last, _)) = changes.last() {
            self.position = *last;
        }
        Ok(changes)
    }
}

async fn next_after(
    store: &Store,
    heads: &mut watch::Receiver<Pos>,
    position: Pos,
    max: usize,
) -> Result<Vec<(Pos, Change)>, Error> {
    let head = *heads
        .wait_for(|head| *head > position)
        .await
        .map_err(|_| Error::Closed)?;
    if let Some(recent) = store.recent_changes(position, head, max) {
        return Ok(recent);
    }
    let reader = store.clone();
    store
        .read(move |_| reader.changes(position, head, max))
        .await
}
