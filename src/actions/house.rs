//! The handles of the levels below, and what an operator chose that more than one action asks.

use std::sync::Arc;

use base::Tasks;
use base::config::{RegistrationConfig, WellKnownConfig};
use media::Media;
use rooms::Rooms;
use ruma::{ServerName, UserId};
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
    pub(crate) tasks: Tasks,
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
    pub fn new(rooms: Rooms, users: Users, media: Media, tasks: Tasks, choices: Choices) -> Self {
        Self {
            rooms,
            users,
            media,
            tasks,
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
