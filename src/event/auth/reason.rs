//! Why an event is not allowed: words for the person who asks.

use ruma::OwnedEventId;

use super::levels::Level;

/// Why an event is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A create event follows something.
    #[error("a create event must be the first of its room")]
    CreateHasParents,
    /// A create event names a room although its own id is the room's.
    #[error("the create event of this room version must not have a room_id")]
    CreateNamesRoom,
    /// A create event claims a room id of another server.
    #[error("the room id belongs to another server than the creator")]
    CreateForeign,
    /// A create event asks for a version that nobody knows, or for another one than it is judged by.
    #[error("the room version is not known, or not the room's")]
    CreateVersion,
    /// A create event says nothing about its creator.
    #[error("the create event names no creator")]
    CreateWithoutCreator,
    /// A create event's further creators are not users.
    #[error("additional_creators is not a list of user ids")]
    CreateCreators,
    /// The state has no create event.
    #[error("there is no create event")]
    NoCreate,
    /// The event belongs to another room than the state.
    #[error("the event belongs to another room")]
    OtherRoom,
    /// The room is closed to other servers.
    #[error("the room is not federated, and the sender is on another server")]
    NotFederated,
    /// Aliases under a state key that is not the sender's server.
    #[error("aliases can only be set under the name of the sender's server")]
    AliasesOfOthers,
    /// A member event without a user as its state key.
    #[error("a member event needs a user id as its state_key")]
    NoTarget,
    /// A member event without a membership, in the event or in the state.
    #[error("a member event has no membership")]
    NoMembership,
    /// A membership that this room version does not know.
    #[error("the membership is not known in this room version")]
    UnknownMembership,
    /// Somebody acts for another who must act himself.
    #[error("only the user can do that, nobody else for them")]
    ForAnother,
    /// The user is banned.
    #[error("the user is banned")]
    Banned,
    /// The join rule does not let this user in.
    #[error("the join rule does not let the user in")]
    JoinRule,
    /// Nobody who could let the user in has done so.
    #[error("the user who lets them in is not in the room")]
    AuthoriserNotJoined,
    /// A third-party invite lacks what it needs.
    #[error("the third-party invite lacks signed, mxid or token")]
    InviteIncomplete,
    /// A third-party invite is for another user.
    #[error("the third-party invite is for another user")]
    InviteForAnother,
    /// A third-party invite that was never made, or has been withdrawn.
    #[error("there is no third-party invite with this token")]
    InviteUnknown,
    /// A third-party invite of another sender.
    #[error("the third-party invite was made by somebody else")]
    InviteOfAnother,
    /// A third-party invite signed by nobody whom the room trusts.
    #[error("no signature of the third-party invite matches its keys")]
    InviteUnsigned,
    /// The sender is not in the room.
    #[error("the sender is not in the room")]
    NotJoined,
    /// The invited user is in the room already, or banned.
    #[error("the user is in the room already, or banned")]
    NotInvitable,
    /// Who leaves has nothing to leave.
    #[error("the user is neither in the room nor invited nor knocking")]
    NothingToLeave,
    /// Who knocks is in, invited or banned.
    #[error("the user is in the room, invited or banned, and cannot knock")]
    CannotKnock,
    /// The sender has too little power.
    #[error("{action} needs power level {needed}, and the sender has {}", level(*.has))]
    TooWeak {
        /// What the sender wanted to do.
        action: &'static str,
        /// What that needs.
        needed: i64,
        /// What the sender has.
        has: Level,
    },
    /// The sender acts on somebody who is as strong.
    #[error("the user has as much power as the sender")]
    TargetTooStrong,
    /// State under another user's id.
    #[error("the state belongs to another user")]
    StateOfAnother,
    /// Power levels of a form that does not count.
    #[error("the power levels under {0} are malformed")]
    BadLevels(&'static str),
    /// Power levels that name a creator.
    #[error("a creator cannot have a power level")]
    CreatorLevel,
    /// A power level is changed that is, or would be, above the sender's.
    #[error("the power level of {0} is above the sender's")]
    LevelTooHigh(String),
    /// A redaction of somebody else's event.
    #[error("the sender may not redact the event")]
    Redaction,
    /// An authorising event is not known.
    #[error("the auth event {0} is not known")]
    AuthUnknown(OwnedEventId),
    /// Two authorising events for one place in the state.
    #[error("the auth event {0} takes the place of another one")]
    AuthDuplicate(OwnedEventId),
    /// An authorising event that does not authorise this kind of event.
    #[error("the auth event {0} does not belong among the auth events")]
    AuthUnexpected(OwnedEventId),
    /// An authorising event that was itself rejected.
    #[error("the auth event {0} was rejected")]
    AuthRejected(OwnedEventId),
    /// An authorising event of another room.
    #[error("the auth event {0} belongs to another room")]
    AuthForeign(OwnedEventId),
    /// The create event is not among the authorising events.
    #[error("the create event is not among the auth events")]
    AuthWithoutCreate,
}

fn level(level: Level) -> String {
    match level {
        Level::Int(level) => level.to_string(),
        Level::Infinite => "no end of it".to_owned(),
    }
}
