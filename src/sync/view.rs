//! The house at one moment, as everything here reads it: a snapshot, and a bounded cache of events that makes reading the
//! same event for two thousand people cost one read.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rooms::Stored;
use store::{Change, EventNo, Pos, Snapshot, Store};

use crate::error::{Error, Result};

/// Bytes of events kept in memory.
const BYTES: u64 = 24 * 1024 * 1024;
/// Changes looked through for redactions that the ringer has not come to yet.
const BEHIND: usize = 1024;

#[derive(Clone)]
struct Size;

impl Weighter<EventNo, Arc<Stored>> for Size {
    fn weight(&self, _: &EventNo, event: &Arc<Stored>) -> u64 {
        event.json().len() as u64 + 480
    }
}

/// Events in memory. Only a redaction changes what is stored of an event: the ringer takes it out then.
pub(crate) struct Events {
    cache: Cache<EventNo, Arc<Stored>, Size>,
    /// The last redaction that was seen to.
    redacted: AtomicU64,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            cache: Cache::with_weighter(20_000, BYTES, Size),
            redacted: AtomicU64::new(0),
        }
    }
}

impl Events {
    /// Forgets an event that lost its content at this position.
    pub(crate) fn redacted(&self, event: EventNo, pos: Pos) {
        self.redacted.fetch_max(pos.get(), Ordering::SeqCst);
        self.cache.remove(&event);
    }

    fn insert(&self, event: EventNo, stored: &Arc<Stored>, head: Pos) {
        self.cache.insert(event, stored.clone());
        // A reader whose snapshot is older than a redaction must not put back what the redaction took out.
        if self.redacted.load(Ordering::SeqCst) > head.get() {
            self.cache.remove(&event);
        }
    }
}

/// Which of the events in memory are as this snapshot has them.
enum Trust {
    All,
    AllBut(Vec<EventNo>),
    None,
}

/// One moment.
pub(crate) struct View<'a> {
    pub(crate) s: &'a Snapshot,
    /// The wall clock, in milliseconds.
    pub(crate) now: u64,
    /// Whether the device that reads has been told of an event that it sent itself.
    pub(crate) echoed: Cell<bool>,
    events: &'a Events,
    trust: Trust,
}

impl<'a> View<'a> {
    /// A view of a snapshot; `rung` is how far the cache has been kept.
    pub(crate) fn new(
        s: &'a Snapshot,
        store: &Store,
        events: &'a Events,
        rung: Pos,
        now: u64,
    ) -> Self {
        let trust = if rung >= s.head() {
            Trust::All
        } else {
            store
                .recent_changes(rung, s.head(), BEHIND)
                .map_or(Trust::None, |changes| {
                    let whole = changes.len() < BEHIND;
                    let redacted = changes.into_iter().filter_map(|(_, change)| match change {
                        Change::Redaction { event, .. } => Some(event),
                        _ => None,
                    });
                    if whole {
                        Trust::AllBut(redacted.collect())
                    } else {
                        Trust::None
                    }
                })
        };
        Self {
            s,
            now,
            echoed: Cell::new(false),
            events,
            trust,
        }
    }

    /// One event.
    pub(crate) fn event(&self, no: EventNo) -> Result<Arc<Stored>> {
        if let Some(event) = self.cached(no) {
            return Ok(event);
        }
        let event = Arc::new(Stored::get(self.s, no)?);
        self.events.insert(no, &event, self.s.head());
        Ok(event)
    }

    /// Many events, in the order of their numbers' list.
    pub(crate) fn events(&self, numbers: &[EventNo]) -> Result<Vec<Arc<Stored>>> {
        let mut found: Vec<Option<Arc<Stored>>> =
            numbers.iter().map(|no| self.cached(*no)).collect();
        let missing: Vec<EventNo> = numbers
            .iter()
            .zip(&found)
            .filter(|(_, event)| event.is_none())
            .map(|(no, _)| *no)
            .collect();
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        let mut read = Stored::get_many(self.s, &missing)?
            .into_iter()
            .map(Arc::new);
        for slot in found.iter_mut().filter(|slot| slot.is_none()) {
            let event = read.next().ok_or(Error::Bug("reading many events"))?;
            self.events.insert(event.no(), &event, self.s.head());
            *slot = Some(event);
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn cached(&self, no: EventNo) -> Option<Arc<Stored>> {
        let may = match &self.trust {
            Trust::All => true,
            Trust::AllBut(redacted) => !redacted.contains(&no),
            Trust::None => false,
        };
        if may {
            self.events.cache.get(&no)
        } else {
            None
        }
    }
}
