//! Rooms: their graph of events, intake and judging, state, timeline, membership, and what else happens in a room.
//!
//! [`Rooms`] is the handle with the verbs; each is decided in its room's lane and committed as one batch. Reading is done by
//! functions on a snapshot, so that whoever composes an answer reads one moment: [`state`], [`timeline`], [`members`],
//! [`visibility`], … Nothing here knows requests, accounts or devices' keys.

pub mod acl;
pub mod aliases;
pub mod answers;
mod ask;
mod change;
mod compose;
pub mod context;
mod create;
pub mod dag;
pub mod delayed;
pub mod directory;
mod edus;
mod error;
pub mod explain;
pub mod handshake;
mod head;
pub mod hierarchy;
mod intake;
mod lane;
pub mod members;
mod membership;
pub mod receipts;
pub mod relations;
pub mod search;
mod send;
pub mod servers;
pub mod shown;
pub mod state;
mod stored;
pub mod summary;
pub mod threads;
pub mod timeline;
mod transactions;
pub mod typing;
mod upgrade;
pub mod visibility;

#[cfg(test)]
mod promises;

use std::sync::Arc;

use base::config::RoomsConfig;
use base::{Random, SharedClock, SharedRandom};
use peers::{OwnKey, Peers};
use ruma::{RoomVersionId, ServerName, UserId};
use store::Store;

use crate::intake::Queue;
use crate::lane::RoomLanes;

pub use ask::{
    Change, Created, FirstState, Invitee, NewRoom, Redact, Say, Sent, SetState, Txn, Upgrade,
    Upgraded,
};
pub use edus::ReceiptEdu;
pub use error::{Error, Result};
pub use intake::{Import, Imported, Received, Taken};
pub use membership::Membership;
pub use stored::Stored;
pub use typing::Typing;

// What readers take and give: whoever composes them names these, and nothing else of the store.
pub use store::{EventNo, Order, Pos, RoomNo, Snapshot, StateKeyNo, UserNo};

/// All rooms of this server. Clones are handles of the same ones.
#[derive(Clone)]
pub struct Rooms {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    peers: Peers,
    queue: Arc<Queue>,
    clock: SharedClock,
    random: SharedRandom,
    typing: Typing,
    delays: delayed::Delays,
    lanes: RoomLanes,
    config: RoomsConfig,
}

impl Rooms {
    /// The rooms in a store.
    #[must_use]
    pub fn new(
        config: &RoomsConfig,
        store: Store,
        peers: Peers,
        clock: SharedClock,
        random: SharedRandom,
    ) -> Self {
        let typing = Typing::new(clock.clone());
        let inner = Inner {
            store,
            peers,
            queue: Arc::default(),
            clock,
            random,
            typing,
            delays: delayed::Delays::default(),
            lanes: RoomLanes::new(),
            config: config.clone(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The name of this server.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        self.inner.peers.server_name()
    }

    /// Whether a user is one of this server's.
    #[must_use]
    pub fn is_ours(&self, user: &UserId) -> bool {
        user.server_name() == self.server_name()
    }

    /// The store in which the rooms are.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Who is typing.
    #[must_use]
    pub fn typing(&self) -> &Typing {
        &self.inner.typing
    }

    /// The version of rooms that are made without asking for one.
    #[must_use]
    pub fn default_version(&self) -> RoomVersionId {
        let version = self.inner.config.default_version.as_str();
        let known = event::Rules::named(version).unwrap_or_else(|| event::Rules::newest());
        known.room_version()
    }

    /// Other servers.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.inner.peers
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.inner.queue
    }

    pub(crate) fn own(&self) -> &OwnKey {
        self.inner.peers.own()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.inner.random
    }

    pub(crate) fn delays(&self) -> &delayed::Delays {
        &self.inner.delays
    }

    pub(crate) fn lanes(&self) -> &RoomLanes {
        &self.inner.lanes
    }

    pub(crate) fn now(&self) -> u64 {
        self.inner.clock.now().millis()
    }
}
