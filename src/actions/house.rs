//! The handles of the levels below, and what an operator chose that more than one action asks.

use std::sync::Arc;

use base::Lanes;
use base::Tasks;
use base::config::{RegistrationConfig, WellKnownConfig};
use media::Media;
use peers::Peers;
use rooms::Rooms;
use ruma::{OwnedUserId, ServerName, UserId};
use users::Users;

/// What every action needs. Clones are handles of the same house.
#[derive(Clone)]
pub struct House {
    /// Rooms and their events.
    pub rooms: Rooms,
    /// Accounts and what belongs to them.
    pub users: Users,
    /// Uploads and thumbnails.
    pub media: Media,
    /// Other servers.
    pub peers: Peers,
    pub(crate) tasks: Tasks,
    /// Device lists that are being fetched: each once, however many ask for it.
    pub(crate) device_lists: Arc<Lanes<OwnedUserId>>,
    choices: Arc<Choices>,
}

/// What the operator chose.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// Who may make an account.
    pub registration: RegistrationConfig,
    /// Where clients and servers find us.
    pub well_known: WellKnownConfig,
}

impl House {
    /// Puts the house together.
    pub fn new(
        rooms: Rooms,
        users: Users,
        media: Media,
        peers: Peers,
        tasks: Tasks,
        choices: Choices,
    ) -> Self {
        Self {
            rooms,
            users,
            media,
            peers,
            tasks,
            device_lists: Arc::default(),
            choices: Arc::new(choices),
        }
    }

    /// What the operator chose.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// Our name.
    pub fn server_name(&self) -> &ServerName {
        self.users.server_name()
    }

    /// Is this user one of ours, going by the ID?
    pub fn is_local(&self, user: &UserId) -> bool {
        self.users.is_local(user)
    }
}
