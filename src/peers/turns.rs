//! One at a time per name: whoever holds a name's turn does the work, and the others find it done.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// The turns that are taken or waited for.
pub(crate) struct Turns<K> {
    taken: Mutex<HashMap<K, Weak<Turn<()>>>>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self {
            taken: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash> Turns<K> {
    /// Waits for the turn of `key`, and holds it as long as what is returned lives.
    pub(crate) async fn take(&self, key: K) -> OwnedMutexGuard<()> {
        let turn = self.turn(key);
        turn.lock_owned().await
    }

    fn turn(&self, key: K) -> Arc<Turn<()>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = taken.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        // What nobody waits for any more is swept out before the map would grow.
        if taken.len() == taken.capacity() {
            taken.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::default();
        taken.insert(key, Arc::downgrade(&turn));
        turn
    }
}
