//! What someone gets to see: `/sync` and sliding sync, unread counts, and the bells that wake a waiting client.
//!
//! [`Sync`] is the handle. An answer is built from one snapshot by plain functions; between answers a client sleeps on its
//! [`bells`], which `ringer.rs` rings as it follows the log. How an event looks to a reader is decided in [`client_form`] alone, for
//! every endpoint. Nothing here changes a room or an account.

pub mod bells;
mod classic;
pub mod client_form;
mod delta;
mod devices;
mod ephemeral;
mod error;
pub mod filter;
mod json;
mod lazy;
mod members;
pub mod notifications;
mod push;
mod ringer;
mod scope;
mod sight;
mod sliding;
pub mod token;
pub mod unread;
mod unsigned;
mod view;
mod window;

#[cfg(test)]
mod promises;

use std::sync::Arc;

use base::{SharedClock, SharedRandom, Supervisor};
use quick_cache::sync::Cache;
use rooms::Rooms;
use store::{Snapshot, Store, UserNo};
use users::Users;

use bells::Bells;
use filter::Filter;
use lazy::Told;
use sliding::{Connections, Recency};
use unread::Unread;
use view::{Events, View};

pub use classic::{Body, Dialect, Params};
pub use error::{Error, Result};
pub use sliding::Params as SlidingParams;

/// Filters kept ready.
const FILTERS: usize = 4_000;

/// What someone gets to see. Clones are handles of the same.
#[derive(Clone)]
pub struct Sync {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) rooms: Rooms,
    pub(crate) users: Users,
    pub(crate) clock: SharedClock,
    pub(crate) bells: Bells,
    pub(crate) events: Events,
    pub(crate) told: Told,
    pub(crate) unread: Unread,
    pub(crate) connections: Connections,
    pub(crate) recency: Recency,
    pub(crate) filters: Cache<(UserNo, String), Arc<Filter>>,
    /// Tells this process from the ones before it, in tokens.
    pub(crate) epoch: u32,
}

impl Sync {
    /// What there is to see in a store.
    pub fn new(
        store: Store,
        rooms: Rooms,
        users: Users,
        clock: SharedClock,
        random: &SharedRandom,
    ) -> Self {
        let mut epoch = [0; 4];
        random.fill(&mut epoch);
        // Zero stands for no process at all.
        let epoch = u32::from_be_bytes(epoch).max(1);
        let inner = Inner {
            bells: Bells::new(store.head()),
            store,
            rooms,
            users,
            clock,
            events: Events::default(),
            told: Told::default(),
            unread: Unread::default(),
            filters: Cache::new(FILTERS),
            connections: Connections::new(epoch),
            recency: Recency::default(),
            epoch,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Starts the workers. Without them nobody who waits is woken.
    pub fn start(&self, supervisor: &Supervisor) {
        supervisor.start(ringer::Ringer::new(self.clone()));
        supervisor.start(unread::Keeper::new(self.clone()));
        supervisor.start(sliding::Sweeper::new(self.clone()));
        supervisor.start(push::Pushing::new(self.clone()));
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn view<'a>(&'a self, s: &'a Snapshot) -> View<'a> {
        let Inner {
            store,
            events,
            bells,
            clock,
            ..
        } = self.inner();
        View::new(s, store, events, bells.rung(), clock.now().millis())
    }
}
