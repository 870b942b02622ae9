//! What can go wrong with rooms, in their own words. What a client is told of it is decided in `web`.

use ruma::{OwnedEventId, OwnedRoomAliasId, OwnedServerName, RoomVersionId};

/// Why something about a room was not done, or not told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such room here, or none that this person may know of.
    #[error("this room is not known here")]
    NoSuchRoom,
    /// There is no such event in the room, or none that this person may see.
    #[error("there is no such event in this room")]
    NoSuchEvent,
    /// The room has no state of this type and key.
    #[error("the room has no such state")]
    NoSuchState,
    /// The alias points nowhere.
    #[error("this alias is not known here")]
    NoSuchAlias,
    /// The event to relate to or to redact does not exist.
    #[error("nothing of this kind was found: {0}")]
    NotFound(&'static str),
    /// The person is not in the room.
    #[error("not in the room")]
    NotJoined,
    /// The person has not left the room.
    #[error("still in the room")]
    StillJoined,
    /// The rules of the room do not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The person may not read this.
    #[error("{0}")]
    NotVisible(&'static str),
    /// The event, or a part of it, is too large.
    #[error("{0}")]
    TooLarge(String),
    /// The content is not what its event type, or canonical JSON, demands.
    #[error("{0}")]
    BadEvent(String),
    /// The same user has annotated the event in the same way before.
    #[error("this has been said about the event already")]
    DuplicateAnnotation,
    /// An event cannot relate to another one like this.
    #[error("{0}")]
    BadRelation(&'static str),
    /// The state that was asked for cannot be.
    #[error("{0}")]
    BadState(String),
    /// A parameter has no sensible meaning.
    #[error("{0}")]
    BadParameter(String),
    /// An alias in an event's content does not point to the room.
    #[error("{0}")]
    BadAlias(String),
    /// An alias that this server does not hand out.
    #[error("the alias {0} is not one of this server's")]
    ForeignAlias(OwnedRoomAliasId),
    /// The alias points to a room already.
    #[error("the alias {0} is taken")]
    AliasInUse(OwnedRoomAliasId),
    /// An event cannot be put off for so long.
    #[error("an event can be put off for {} hours at most", crate::delayed::LONGEST.as_secs() / 3600)]
    DelayTooLong,
    /// The user has put off as many events as anybody can.
    #[error("too many events are waiting to be sent")]
    TooManyDelayed,
    /// We do not speak this room version.
    #[error("room version {0} is not supported")]
    UnsupportedVersion(RoomVersionId),
    /// The room has a version that the other server does not speak.
    #[error("the room has version {0}, which the server that asks does not speak")]
    IncompatibleVersion(RoomVersionId),
    /// Whether somebody may come in depends on rooms that this server is not in.
    #[error("whether this user may join depends on rooms that this server is not in")]
    UnableToAuthorise,
    /// Somebody may come in, but needs one to vouch for them who may invite, and there is none here.
    #[error("nobody on this server has the power to let somebody in")]
    UnableToGrant,
    /// No server is known that could be asked about a room.
    #[error("no server is known that could help with this room")]
    NobodyToAsk,
    /// Another server would not do what it was asked for, and said why.
    #[error("{server} refused: {error}")]
    Refused {
        /// Which.
        server: OwnedServerName,
        /// The HTTP status of its answer.
        status: u16,
        /// The code in its answer.
        errcode: String,
        /// What it said.
        error: String,
    },
    /// Another server answered with something that cannot be used.
    #[error("the answer of {server} cannot be used: {why}")]
    Misbehaved {
        /// Which.
        server: OwnedServerName,
        /// What is wrong with it.
        why: String,
    },
    /// An event cannot be judged before others it builds on are known.
    #[error("events are missing: {}", .0.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", "))]
    Missing(Vec<OwnedEventId>),
    /// Other servers were asked for what is needed, in vain.
    #[error("{0}")]
    NotHad(String),
    /// A user of another server is meant, who cannot be reached.
    #[error("{0} cannot be reached")]
    Unreachable(String),
    /// The room moves too fast for this to get its turn.
    #[error("the room is too busy")]
    Busy,
    /// The store failed.
    #[error("reading or writing rooms: {0}")]
    Store(#[source] store::Error),
    /// Something that cannot happen, with its place.
    #[error("bug in rooms: {0}")]
    Bug(&'static str),
}

impl Error {
    /// Whether something was missing that may be had another time.
    pub(crate) fn is_want(&self) -> bool {
        matches!(self, Self::NotHad(_) | Self::Missing(_))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<event::Error> for Error {
    fn from(error: event::Error) -> Self {
        match error {
            event::Error::TooLarge { .. } => Self::TooLarge(error.to_string()),
            event::Error::Bug(place) => Self::Bug(place),
            other => Self::BadEvent(other.to_string()),
        }
    }
}

/// The result of anything about rooms.
pub type Result<T, E = Error> = std::result::Result<T, E>;
