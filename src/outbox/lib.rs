//! What must leave the building: events and EDUs for other servers, and news for push gateways.
//!
//! [`Outbox`] follows the log; nothing that happens in a room waits for it, and nothing above or beside it asks it to send. What it owes survives a
//! restart, is bounded in memory whoever is down, and is delivered in order to each destination. Asking other servers lies below, in `peers`.

mod error;
mod federation;
mod push;
#[cfg(test)]
mod tests;

use base::config::FederationConfig;
use base::{SharedClock, SharedRandom, Supervisor};
use peers::Peers;
use rooms::Rooms;
use ruma::ServerName;
use store::Store;
use users::Users;

pub use error::{Error, Result};
pub use federation::{Failing, Status};

use federation::Federation;
use push::Pushes;

/// What it takes to send.
pub struct Needs {
    /// Where what is to be sent stands.
    pub store: Store,
    /// The rooms whose events are sent.
    pub rooms: Rooms,
    /// The users of whose devices, presence and messages others are told.
    pub users: Users,
    /// The way to other servers.
    pub peers: Peers,
    /// The time.
    pub clock: SharedClock,
    /// For the names of transactions.
    pub random: SharedRandom,
    /// Which addresses may be connected to, and whom to trust there: for push gateways the same as for other servers.
    pub config: FederationConfig,
}

/// What must leave the building. Clones are handles of the same.
#[derive(Clone)]
pub struct Outbox {
    federation: Federation,
    pushes: Pushes,
}

impl Outbox {
    /// What must leave the building; nothing does before [`Outbox::start`].
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub fn new(needs: Needs) -> Result<Self> {
        let pushes = Pushes::new(needs.store.clone(), needs.clock.clone(), &needs.config)?;
        Ok(Self {
            federation: Federation::new(needs),
            pushes,
        })
    }

    /// Starts the workers.
    pub fn start(&self, supervisor: &Supervisor) {
        self.federation.start(supervisor);
        self.pushes.start(supervisor);
    }

    /// How it stands with sending to a server.
    pub async fn status(&self, server: &ServerName) -> Result<Status> {
        self.federation.status(server).await
    }
}
