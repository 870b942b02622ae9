//! What can go wrong with users, in domain words. Which `M_*` code a client is told stands in `web/errors.rs`.

use std::time::Duration;

/// Why something about a user did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The name is taken, or was once.
    #[error("this user name is taken")]
    UserInUse,
    /// The name does not follow the grammar of user names.
    #[error("this is not a user name: {0}")]
    InvalidUsername(&'static str),
    /// The name belongs to an application service.
    #[error("this user name is reserved by an application service")]
    Exclusive,
    /// The password does not follow this server's policy.
    #[error("the password is too weak: {0}")]
    WeakPassword(String),
    /// It is not allowed.
    #[error("{0}")]
    Forbidden(Refusal),
    /// The account has been deactivated.
    #[error("this account has been deactivated")]
    Deactivated,
    /// The token is not one of ours, or not any more.
    #[error("unknown or expired token")]
    UnknownToken {
        /// Whether the client may keep its state and ask for a new token.
        soft: bool,
    },
    /// There is no such thing.
    #[error("{0} not found")]
    NotFound(What),
    /// The keys belong to a version of the key backup that is not the newest one.
    #[error("this is not the current version of the key backup")]
    WrongVersion {
        /// The newest one.
        current: String,
    },
    /// A parameter has a value that makes no sense.
    #[error("{0}")]
    InvalidParam(String),
    /// A parameter that is needed is missing.
    #[error("{0} is missing")]
    MissingParam(&'static str),
    /// JSON that is not what it should be.
    #[error("{0}")]
    BadJson(String),
    /// A signature does not verify.
    #[error("{0}")]
    InvalidSignature(String),
    /// A key with this id exists, and is another one.
    #[error("a key with the id {0} exists already, and is another one")]
    KeyExists(String),
    /// The name of a profile field is too long.
    #[error("the name of a profile field may have at most 255 bytes")]
    KeyTooLarge,
    /// The profile would become too large.
    #[error("a profile may have at most 64 KiB")]
    ProfileTooLarge,
    /// Something else is too large.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// There are as many of these as there may be.
    #[error("there are too many {0}")]
    TooMany(&'static str),
    /// The server manages this kind of account data itself.
    #[error("{0} is managed by the server")]
    ServerManaged(String),
    /// A push rule could not be changed.
    #[error("{0}")]
    PushRule(#[from] RuleError),
    /// Too many attempts.
    #[error("too many attempts, try again in {} s", retry_after.as_secs() + 1)]
    LimitExceeded {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too much work waits; this would have to wait too long.
    #[error("the server is too busy to check passwords")]
    Busy,
    /// A password could not be hashed.
    #[error("hashing a password: {0}")]
    Hash(String),
    /// Something stored cannot be read.
    #[error("damaged {0} in the database")]
    Damaged(&'static str),
    /// Something that cannot happen, with its place.
    #[error("bug in users: {0}")]
    Bug(&'static str),
}

/// Why it is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name or the password is wrong; which one, nobody is told.
    #[error("wrong user name or password")]
    Password,
    /// The login token is unknown, used or expired.
    #[error("the login token is not valid")]
    LoginToken,
    /// The registration token is unknown, used up or expired.
    #[error("the registration token is not valid")]
    RegistrationToken,
    /// The message authentication code does not match.
    #[error("the MAC is not right")]
    Mac,
    /// It is for the user themselves.
    #[error("this belongs to another user")]
    NotYours,
    /// A cross-signing key has the same id as one of the user's devices.
    #[error("the key's id is that of a device")]
    KeyIsDevice,
    /// This user-interactive authentication was begun for something else.
    #[error("the request is not the one that the authentication was begun for")]
    OtherRequest,
}

/// What was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// A user.
    #[error("user")]
    User,
    /// A device.
    #[error("device")]
    Device,
    /// A key backup, or a version of it.
    #[error("key backup")]
    Backup,
    /// A key in a backup.
    #[error("key in the backup")]
    BackedUpKey,
    /// Account data.
    #[error("account data")]
    AccountData,
    /// A tag.
    #[error("tag")]
    Tag,
    /// A push rule.
    #[error("push rule")]
    PushRule,
    /// A filter.
    #[error("filter")]
    Filter,
    /// A profile field.
    #[error("profile field")]
    ProfileField,
    /// A dehydrated device.
    #[error("dehydrated device")]
    Dehydrated,
    /// A registration token.
    #[error("registration token")]
    RegistrationToken,
    /// A session of user-interactive authentication.
    #[error("authentication session")]
    UiaSession,
    /// A key.
    #[error("key")]
    Key,
    /// An e-mail address or telephone number.
    #[error("address")]
    Threepid,
}

/// Why a push rule could not be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Its id begins with a dot.
    #[error("rule ids that begin with a dot are the server's")]
    ServerDefault,
    /// Its id contains a slash or a backslash.
    #[error("rule ids may not contain slashes")]
    InvalidId,
    /// It shall stand next to a rule of the server's.
    #[error("a rule cannot be placed next to one of the server's")]
    NextToServerDefault,
    /// The rule next to which it shall stand does not exist.
    #[error("the rule named by before or after does not exist")]
    UnknownNeighbour,
    /// It shall stand before a rule that stands before the one that it shall stand after.
    #[error("the rule named by before comes before the one named by after")]
    Order,
    /// There is no such kind of rule.
    #[error("there is no such kind of push rule")]
    UnknownKind,
}
