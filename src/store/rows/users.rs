//! Rows of `users`: accounts, sessions, devices, keys, and what people keep with their accounts.

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use crate::cbor_row;
use crate::log::Pos;
use crate::numbers::{EventNo, RoomNo, UserNo};

/// An account of this server. It is never removed, so that its name is never given again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Account {
    /// When it was created, in milliseconds since 1970.
    #[n(0)]
    pub created: u64,
    /// Whether it belongs to a guest.
    #[n(1)]
    #[cbor(default)]
    pub guest: bool,
    /// Whether its owner administers this server.
    #[n(2)]
    #[cbor(default)]
    pub admin: bool,
    /// When it was deactivated.
    #[n(3)]
    pub deactivated: Option<u64>,
    /// Whether its owner asked to be forgotten when it was deactivated.
    #[n(4)]
    #[cbor(default)]
    pub erased: bool,
    /// Whether a moderator locked it: nothing but logging out is possible.
    #[n(5)]
    #[cbor(default)]
    pub locked: bool,
    /// Whether a moderator suspended it: reading is possible, speaking is not.
    #[n(6)]
    #[cbor(default)]
    pub suspended: bool,
    /// The application service that owns it.
    #[n(7)]
    pub appservice: Option<String>,
}

/// A token that lets somebody register.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RegistrationToken {
    /// How many accounts it may create; without a number, any.
    #[n(0)]
    pub uses_allowed: Option<u64>,
    /// How many it has created.
    #[n(1)]
    pub completed: u64,
    /// When it ceases to be valid, in milliseconds since 1970.
    #[n(2)]
    pub expires: Option<u64>,
    /// When it was made.
    #[n(3)]
    pub created: u64,
}

/// An e-mail address or telephone number that belongs to an account.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Threepid {
    /// When its owner proved that it is theirs.
    #[n(0)]
    pub validated: u64,
    /// When it was added.
    #[n(1)]
    pub added: u64,
}

/// The two tokens given out together. Only their hashes are kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TokenPair {
    /// SHA-256 of the access token.
    #[n(0)]
    pub access: ByteArray<32>,
    /// SHA-256 of the refresh token.
    #[n(1)]
    pub refresh: Option<ByteArray<32>>,
}

/// The tokens of a device: one chain of pairs, each made from the one before.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Session {
    /// The pair in use.
    #[n(0)]
    pub current: TokenPair,
    /// A newer pair that its owner has not used yet; until then the current one stays valid, in case the answer got lost.
    #[n(1)]
    pub next: Option<TokenPair>,
    /// Hashes of the latest refresh tokens that have been used up; seeing one again means that it was stolen.
    #[n(2)]
    pub used: Vec<ByteArray<32>>,
    /// When the session began.
    #[n(3)]
    pub created: u64,
}

/// What an access token stands for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AccessToken {
    /// Whose it is.
    #[n(0)]
    pub user: UserNo,
    /// Of which device.
    #[n(1)]
    pub device: String,
    /// When it expires, if ever.
    #[n(2)]
    pub expires: Option<u64>,
}

/// What a refresh token stands for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RefreshToken {
    /// Whose it is.
    #[n(0)]
    pub user: UserNo,
    /// Of which device.
    #[n(1)]
    pub device: String,
}

/// A token that stands for a user for a short while.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ShortLived {
    /// Whom it stands for.
    #[n(0)]
    pub user: UserNo,
    /// When it expires.
    #[n(1)]
    pub expires: u64,
}

/// A device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Device {
    /// What its owner calls it.
    #[n(0)]
    pub display_name: Option<String>,
    /// When it first appeared.
    #[n(1)]
    pub created: u64,
    /// Whether it is dehydrated: nobody is logged in with it, it only keeps messages for a later login.
    #[n(2)]
    #[cbor(default)]
    pub dehydrated: bool,
}

/// When and whence a device was last used. Written now and then, not at every request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Seen {
    /// When.
    #[n(0)]
    pub at: u64,
    /// From which address.
    #[n(1)]
    pub address: Option<String>,
    /// With which program.
    #[n(2)]
    pub user_agent: Option<String>,
}

/// A device's identity keys.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceKeys {
    /// The object as canonical JSON, without `unsigned`, with the signatures of its owner.
    #[n(0)]
    pub json: String,
    /// The device's name, if it belongs to another server's user.
    #[n(1)]
    pub display_name: Option<String>,
}

/// A key to fall back to when the one-time keys are used up.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FallbackKey {
    /// Its id, without the algorithm.
    #[n(0)]
    pub key_id: String,
    /// The key.
    #[n(1)]
    pub json: String,
    /// Whether it has been given to somebody.
    #[n(2)]
    #[cbor(default)]
    pub used: bool,
}

/// What a pusher is to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Push {
    /// The event that the user is notified of; none if only the number of unread ones has changed.
    #[n(0)]
    pub event: Option<EventNo>,
    /// How many notifications the user has not read, over all rooms.
    #[n(1)]
    pub unread: u64,
    /// Whether it is shown as a mention.
    #[n(2)]
    #[cbor(default)]
    pub highlight: bool,
    /// The sound to play.
    #[n(3)]
    pub sound: Option<String>,
    /// When it was queued, in milliseconds since 1970.
    #[n(4)]
    pub queued: u64,
}

/// The latest change of a device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DeviceChange {
    /// When it was.
    #[n(0)]
    pub pos: Pos,
    /// The change of a device of the same user before it.
    #[n(1)]
    pub previous: Option<Pos>,
}

/// What we know of the device list of another server's user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RemoteDevices {
    /// The number of the last change that we know.
    #[n(0)]
    pub stream_id: u64,
    /// Whether we have missed a change since.
    #[n(1)]
    #[cbor(default)]
    pub stale: bool,
}

/// A version of a user's key backup.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyBackup {
    /// How the keys are encrypted.
    #[n(0)]
    pub algorithm: String,
    /// What the algorithm needs to know, as JSON.
    #[n(1)]
    pub auth_data: String,
    /// Grows with every change of the keys.
    #[n(2)]
    pub etag: u64,
    /// How many keys it holds.
    #[n(3)]
    pub count: u64,
    /// Whether it was deleted. The row stays, so that a version is never given twice.
    #[n(4)]
    #[cbor(default)]
    pub deleted: bool,
}

/// A key in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BackedUpKey {
    /// The index of the first message that it can decrypt.
    #[n(0)]
    pub first_message_index: u64,
    /// How many times it was forwarded.
    #[n(1)]
    pub forwarded_count: u64,
    /// Whether the device that uploaded it had verified the device it came from.
    #[n(2)]
    #[cbor(default)]
    pub is_verified: bool,
    /// The encrypted key, as JSON.
    #[n(3)]
    pub session_data: String,
}

/// A device that waits to be brought back to life.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Dehydrated {
    /// Its id.
    #[n(0)]
    pub device: String,
    /// Its encrypted secrets, as JSON.
    #[n(1)]
    pub data: String,
}

/// A piece of account data.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AccountData {
    /// When it was last changed.
    #[n(0)]
    pub pos: Pos,
    /// Its content, as JSON; `{}` if it was deleted.
    #[n(1)]
    pub content: String,
    /// Whether it was deleted. The row stays, so that a client which was away hears of it.
    #[n(2)]
    #[cbor(default)]
    pub deleted: bool,
}

/// Which piece of account data changed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DataKey {
    /// Of which room, or of the account.
    #[n(0)]
    pub room: Option<RoomNo>,
    /// Its type.
    #[n(1)]
    pub kind: String,
}

/// Where to tell of events for a user.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Pusher {
    /// The pusher, as its client gave it.
    #[n(0)]
    pub json: String,
    /// The device that set it.
    #[n(1)]
    pub device: String,
    /// When it was set.
    #[n(2)]
    pub created: u64,
    /// Whether it is to be used.
    #[n(3)]
    pub enabled: bool,
}

/// A user's presence, as others were last told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Presence {
    /// When it last changed.
    #[n(0)]
    pub pos: Pos,
    /// `online`, `unavailable` or `offline`.
    #[n(1)]
    pub state: String,
    /// What the user says of it.
    #[n(2)]
    pub status: Option<String>,
    /// When the user last did something.
    #[n(3)]
    pub last_active: u64,
    /// Whether the user is doing something just now.
    #[n(4)]
    #[cbor(default)]
    pub currently_active: bool,
}

cbor_row!(
    Account,
    RegistrationToken,
    Threepid,
    Session,
    AccessToken,
    RefreshToken,
    ShortLived,
    Device,
    Seen,
    DeviceKeys,
    FallbackKey,
    DeviceChange,
    Push,
    RemoteDevices,
    KeyBackup,
    BackedUpKey,
    Dehydrated,
    AccountData,
    DataKey,
    Pusher,
    Presence,
);
