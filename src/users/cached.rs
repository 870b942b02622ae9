//! A bounded cache of what the store holds for users, which is never stale: whoever changes a user's rows says so for
//! as long as it takes, and nothing of that user is answered from the cache, or put into it, meanwhile.
//!
//! What is cached belongs to a user; users share a few thousand counters, so that looking whether an entry is still
//! good costs one atomic read. Two users with the same counter only cost each other a reload.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use store::UserNo;

/// How many counters there are; a power of two.
const COUNTERS: usize = 4096;
/// The upper half counts the changes under way, the lower one those that are over.
const UNDER_WAY: u64 = 1 << 32;

/// Per user, how often something has changed.
#[derive(Clone)]
pub(crate) struct Epochs(Arc<[AtomicU64]>);

impl Epochs {
    fn new() -> Self {
        Self((0..COUNTERS).map(|_| AtomicU64::new(0)).collect())
    }

    fn counter(&self, user: UserNo) -> Option<&AtomicU64> {
        // The number of counters is a power of two, so the lowest bits spread consecutive numbers evenly.
        self.0.get(user.get() as usize & (COUNTERS - 1))
    }

    /// The user's present epoch; none while a change is under way.
    fn now(&self, user: UserNo) -> Option<u64> {
        let count = self.counter(user)?.load(Ordering::Acquire);
        (count < UNDER_WAY).then_some(count)
    }
}

/// Held while something of a user changes.
pub(crate) struct Changing {
    epochs: Epochs,
    user: UserNo,
}

impl Drop for Changing {
    fn drop(&mut self) {
        if let Some(counter) = self.epochs.counter(self.user) {
            let ended = |count: u64| {
                let over = (count as u32).wrapping_add(1);
                Some((count >> 32).saturating_sub(1) << 32 | u64::from(over))
            };
            let _ = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, ended);
        }
    }
}

#[derive(Clone)]
struct Entry<V> {
    user: UserNo,
    epoch: u64,
    value: V,
}

/// Values that belong to users.
pub(crate) struct Cached<K, V> {
    epochs: Epochs,
    entries: Cache<K, Entry<V>>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cached<K, V> {
    /// Room for so many.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            epochs: Epochs::new(),
            entries: Cache::new(capacity),
        }
    }

    /// The value, if it is known and still true.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key)?;
        (self.epochs.now(entry.user) == Some(entry.epoch)).then_some(entry.value)
    }

    /// Remembers what `load` finds, unless something changed meanwhile. `load` has to take its own snapshot.
    pub(crate) fn load<E>(
        &self,
        user: UserNo,
        key: K,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let before = self.epochs.now(user);
        let value = load()?;
        if let Some(epoch) = before {
            // Should a change begin just now, the entry carries an epoch that is over before anybody can be misled.
            self.entries.insert(
                key,
                Entry {
                    user,
                    epoch,
                    value: value.clone(),
                },
            );
        }
        Ok(value)
    }

    /// To be held from before a change of the user's rows until it is on disk.
    pub(crate) fn changing(&self, user: UserNo) -> Changing {
        if let Some(counter) = self.epochs.counter(user) {
            counter.fetch_add(UNDER_WAY, Ordering::AcqRel);
        }
        Changing {
            epochs: self.epochs.clone(),
            user,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u64) -> UserNo {
        UserNo::new(number)
    }

    #[test]
    fn nothing_is_remembered_across_a_change() {
        let cached: Cached<u8, u8> = Cached::new(16);
        assert_eq!(cached.load::<()>(user(7), 1, || Ok(10)), Ok(10));
        assert_eq!(cached.get(&1), Some(10));
        let first = cached.changing(user(7));
        let second = cached.changing(user(7));
        assert_eq!(cached.get(&1), None, "while it changes");
        cached.load::<()>(user(7), 1, || Ok(11)).unwrap();
        drop(first);
        assert_eq!(cached.get(&1), None, "while it still changes");
        drop(second);
        assert_eq!(cached.get(&1), None, "after it has changed");
        cached.load::<()>(user(7), 1, || Ok(12)).unwrap();
        assert_eq!(cached.get(&1), Some(12));
    }

    #[test]
    fn a_value_read_before_a_change_ends_is_not_kept() {
        let cached: Cached<u8, u8> = Cached::new(16);
        let read = cached.load::<()>(user(7), 1, || {
            drop(cached.changing(user(7)));
            Ok(1)
        });
        assert_eq!(read, Ok(1));
        assert_eq!(cached.get(&1), None);
    }

    #[test]
    fn other_users_are_not_disturbed() {
        let cached: Cached<u8, u8> = Cached::new(16);
        cached.load::<()>(user(1), 1, || Ok(1)).unwrap();
        let _changing = cached.changing(user(2));
        assert_eq!(cached.get(&1), Some(1));
    }
}
