//! Rooms: their graph of events, intake and judging, state, timeline, membership, and what else happens in a room.
//!
//! [`Rooms`] is the handle with the verbs; each is decided in its room's lane and committed as one batch. Reading is done by
//! functions on a snapshot, so that whoever composes an answer reads one moment: [`state`], [`timeline`], [`members`],
//! [`visibility`], … Nothing here knows requests, accounts or devices' keys.

mod ask;
mod error;
pub mod members;
mod membership;
pub mod receipts;
pub mod state;
mod stored;
pub mod summary;
pub mod timeline;
pub mod typing;
pub mod visibility;

use std::sync::Arc;

use base::config::RoomsConfig;
use base::{SharedClock, SharedRandom};
use event::KeyPair;
use ruma::{OwnedRoomId, OwnedServerName};
use ruma::{RoomAliasId, RoomId, ServerName, UserId};
use store::Store;

pub use ask::{
    Change, Created, FirstState, Invitee, NewRoom, Redact, Say, Sent, SetState, Txn, Upgrade,
    Upgraded,
};
pub use error::{Error, Result};
pub use membership::Membership;
pub use stored::Stored;
pub use typing::Typing;

/// The name and the key with which this server signs.
#[derive(Clone)]
pub struct OwnKey {
    /// Our name.
    pub server_name: OwnedServerName,
    /// Our key.
    pub key: Arc<KeyPair>,
}

/// All rooms of this server. Clones are handles of the same ones.
#[derive(Clone)]
pub struct Rooms {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    own: OwnKey,
    clock: SharedClock,
    random: SharedRandom,
    typing: Typing,
    config: RoomsConfig,
}

impl Rooms {
    /// The rooms in a store.
    #[must_use]
    pub fn new(
        config: &RoomsConfig,
        store: Store,
        own: OwnKey,
        clock: SharedClock,
        random: SharedRandom,
    ) -> Self {
        let typing = Typing::new(clock.clone());
        let inner = Inner {
            store,
            own,
            clock,
            random,
            typing,
            config: config.clone(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The name of this server.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.inner.own.server_name
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

    pub(crate) fn now(&self) -> u64 {
        self.inner.clock.now().millis()
    }
}

const SOON: Error = Error::Bug("not landed yet");

impl Rooms {
    /// Makes a room: all its first events become visible at once.
    pub async fn create(&self, new: NewRoom) -> Result<Created> {
        let _ = (
            new,
            &self.inner.random,
            &self.inner.config,
            &self.inner.own.key,
        );
        Err(SOON)
    }

    /// Sends a message-like event. A transaction that was done before is not done again; its event is returned.
    pub async fn send(&self, say: Say, txn: Option<Txn>) -> Result<Sent> {
        let _ = (say, txn);
        Err(SOON)
    }

    /// Sends a state event. One that would change nothing is not sent; the present one is returned.
    pub async fn set_state(&self, set: SetState) -> Result<Sent> {
        let _ = set;
        Err(SOON)
    }

    /// Redacts an event.
    pub async fn redact(&self, redact: Redact, txn: Option<Txn>) -> Result<Sent> {
        let _ = (redact, txn);
        Err(SOON)
    }

    /// Changes a membership: join, leave, invite, kick, ban, unban, knock, or a new profile of a member.
    pub async fn change_membership(&self, change: Change) -> Result<Sent> {
        let _ = change;
        Err(SOON)
    }

    /// Forgets a room that the user has left.
    pub async fn forget(&self, room: &RoomId, user: &UserId) -> Result<()> {
        let _ = (room, user);
        Err(SOON)
    }

    /// Replaces a room by a new one of another version.
    pub async fn upgrade(&self, upgrade: Upgrade) -> Result<Upgraded> {
        let _ = upgrade;
        Err(SOON)
    }

    /// Points an alias of ours to a room.
    pub async fn create_alias(
        &self,
        alias: &RoomAliasId,
        room: &RoomId,
        by: &UserId,
    ) -> Result<()> {
        let _ = (alias, room, by);
        Err(SOON)
    }

    /// Removes an alias: by whoever made it, by those who may set the canonical alias of its room, or by an administrator.
    pub async fn delete_alias(
        &self,
        alias: &RoomAliasId,
        by: &UserId,
        is_admin: bool,
    ) -> Result<OwnedRoomId> {
        let _ = (alias, by, is_admin);
        Err(SOON)
    }

    /// Lists a room in the directory, or takes it out.
    pub async fn publish(
        &self,
        room: &RoomId,
        by: &UserId,
        listed: bool,
        is_admin: bool,
    ) -> Result<()> {
        let _ = (room, by, listed, is_admin);
        Err(SOON)
    }
}
