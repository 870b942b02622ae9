//! The handles of the levels below, and what an operator chose that more than one action asks.

use std::sync::Arc;

use base::config::{RegistrationConfig, RoomsConfig, WellKnownConfig};
use base::{SharedClock, Tasks};
use media::Media;
use rooms::Rooms;
use ruma::{RoomVersionId, ServerName, UserId};
use users::Users;

use crate::error::{Error, Result};

/// What every action needs. Clones are handles of the same house.
#[derive(Clone)]
pub struct House {
    /// Rooms and their events.
    pub rooms: Rooms,
    /// Accounts and what belongs to them.
    pub users: Users,
    /// Uploads and thumbnails.
    pub media: Media,
    pub(crate) clock: SharedClock,
    pub(crate) tasks: Tasks,
    choices: Arc<Choices>,
}

/// What the operator chose.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// Who may make an account.
    pub registration: RegistrationConfig,
    /// How rooms begin.
    pub rooms: RoomsConfig,
    /// Where clients and servers find us.
    pub well_known: WellKnownConfig,
}

impl House {
    /// Puts the house together.
    ///
    /// # Errors
    /// If the configured room version is not one of ours.
    pub fn new(
        rooms: Rooms,
        users: Users,
        media: Media,
        clock: SharedClock,
        tasks: Tasks,
        choices: Choices,
    ) -> Result<Self> {
        let version = &choices.rooms.default_version;
        let ours = RoomVersionId::try_from(version.as_str())
            .ok()
            .and_then(|id| event::Rules::of(&id));
        if ours.is_none() {
            return Err(Error::UnsupportedRoomVersion(version.clone()));
        }
        Ok(Self {
            rooms,
            users,
            media,
            clock,
            tasks,
            choices: Arc::new(choices),
        })
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

    /// The version of rooms created without asking for one.
    pub fn default_room_version(&self) -> RoomVersionId {
        // Checked by `new`; the fallback only spares every caller an error that cannot happen.
        RoomVersionId::try_from(self.choices.rooms.default_version.as_str())
            .unwrap_or(RoomVersionId::V12)
    }
}
