//! What can go wrong when somebody does something, in words of the doing. Which HTTP status and code a client sees for it is
//! decided in `web/errors.rs` alone.

/// Why an action was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The person may not do this.
    #[error("{0}")]
    NotAllowed(String),
    /// Guests may not do this, or this may not be done to guests.
    #[error("guests may not do this")]
    GuestsNotAllowed,
    /// The account is suspended: it may read and leave, and no more.
    #[error("this account is suspended")]
    Suspended,
    /// Accounts are not handed out here, or not in the way that was tried.
    #[error("{0}")]
    RegistrationClosed(&'static str),
    /// The invited person has blocked invites.
    #[error("{0} does not accept invites")]
    InviteBlocked(String),
    /// A parameter has the right type and a value that makes no sense.
    #[error("{0}")]
    InvalidParameter(String),
    /// A parameter that is needed is absent.
    #[error("{0} is missing")]
    MissingParameter(&'static str),
    /// A piece of JSON is not what it ought to be.
    #[error("{0}")]
    BadJson(String),
    /// The room version is not one of ours.
    #[error("room version {0:?} is not supported here")]
    UnsupportedRoomVersion(String),
    /// The state asked for cannot be the state of a room.
    #[error("the initial state of the room is invalid: {0}")]
    InvalidRoomState(String),
    /// The alias wanted for a new room belongs to another one.
    #[error("the alias {0} is taken")]
    AliasTaken(String),
    /// There is no such thing, or none that this person may know of.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The account is locked: nobody can sign in to it.
    #[error("this account is locked")]
    Locked,
    /// Rooms would not, or could not.
    #[error(transparent)]
    Rooms(#[from] rooms::Error),
    /// Users would not, or could not.
    #[error(transparent)]
    Users(#[from] users::Error),
    /// Another server would not, or could not be asked.
    #[error(transparent)]
    Peers(#[from] peers::Error),
    /// Something that cannot happen has happened.
    #[error("bug in {0}")]
    Bug(&'static str),
}

/// The result of an action.
pub type Result<T, E = Error> = std::result::Result<T, E>;
