//! Event and room ids, and the reference hash they are made of (server-server API, *Calculating the reference hash*).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId, ServerName};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::limits;
use crate::rules::{EventIds, Rules};

/// A SHA-256.
pub type Hash = [u8; 32];

/// The reference hash of an event, given what of it is signed: redacted, without `signatures` and `unsigned`.
#[must_use]
pub fn reference_hash(signed: &str) -> Hash {
    Sha256::digest(signed.as_bytes()).into()
}

/// The event id made of a reference hash, where ids are hashes.
pub fn of_hash(hash: &Hash, rules: &Rules) -> Result<OwnedEventId, Error> {
    let mut id = String::with_capacity(44);
    id.push('$');
    match rules.event_ids {
        EventIds::Chosen => {
            return Err(Error::Bug("an id that must be chosen was asked of a hash"));
        }
        EventIds::Hash => STANDARD_NO_PAD.encode_string(hash, &mut id),
        EventIds::UrlSafeHash => URL_SAFE_NO_PAD.encode_string(hash, &mut id),
    }
    OwnedEventId::try_from(id).map_err(|_| Error::Bug("a hash is always an event id"))
}

/// The room that a create event makes, where room ids are the create event's.
pub fn room_of_create(event_id: &EventId) -> Result<OwnedRoomId, Error> {
    let opaque = event_id.as_str().strip_prefix('$').unwrap_or_default();
    RoomId::parse(format!("!{opaque}")).map_err(|_| Error::field("event_id", "makes no room id"))
}

/// The create event of a room, where room ids are the create event's.
#[must_use]
pub fn create_of_room(room_id: &RoomId) -> Option<OwnedEventId> {
    let opaque = room_id.as_str().strip_prefix('!')?;
    EventId::parse(format!("${opaque}")).ok()
}

/// Whether the room's id is that of this create event.
#[must_use]
pub fn is_create_of(create: &EventId, room_id: &RoomId) -> bool {
    create.as_str().strip_prefix('$') == room_id.as_str().strip_prefix('!')
}

/// The server in an event id that was chosen.
#[must_use]
pub fn server_of(event_id: &EventId) -> Option<&ServerName> {
    let (_, server) = event_id.as_str().split_once(':')?;
    <&ServerName>::try_from(server).ok()
}

/// Reads an event id in whichever form, within the limit.
pub(crate) fn parse_event_id(text: &str) -> Option<OwnedEventId> {
    if text.len() > limits::FIELD_BYTES {
        return None;
    }
    EventId::parse(text).ok()
}
