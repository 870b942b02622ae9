//! Rows of the tables that `outbox` owns.

use minicbor::{Decode, Encode};

use crate::cbor_row;
use crate::log::Pos;
use crate::numbers::{EventNo, RoomNo, UserNo};

/// How far another server has been told, and what it is being told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DestinationRow {
    /// Every event up to here that the server must hear was delivered, or stands among what it is owed.
    #[n(0)]
    pub sent: Pos,
    /// The transaction that it has not answered yet.
    #[n(1)]
    pub flight: Option<FlightRow>,
}

/// A transaction on its way. As long as it is not answered it is repeated with the same ID and the same body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FlightRow {
    /// The transaction ID.
    #[n(0)]
    pub id: String,
    /// Its `origin_server_ts`.
    #[n(1)]
    pub ts: u64,
    /// Its events, in their order.
    #[n(2)]
    pub events: Vec<EventNo>,
    /// Its EDUs, as JSON.
    #[n(3)]
    pub edus: Vec<String>,
    /// The server will have been told everything up to here; none if it is catching up.
    #[n(4)]
    pub upto: Option<Pos>,
    /// The rooms in which it catches up, and up to where.
    #[n(5)]
    #[cbor(default)]
    pub rooms: Vec<(RoomNo, Pos)>,
    /// The last of the to-device messages in it.
    #[n(6)]
    pub to_device: Option<Pos>,
    /// The users whose device lists it tells of, and up to which change.
    #[n(7)]
    #[cbor(default)]
    pub device_lists: Vec<(UserNo, Pos)>,
    /// How many of the EDUs must not be lost; the others come after them.
    #[n(8)]
    #[cbor(default)]
    pub lasting: u64,
}

/// A stretch of changes that a server has not been told.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OwedRow {
    /// The first of them.
    #[n(0)]
    pub since: Pos,
    /// The last of them.
    #[n(1)]
    pub newest: Pos,
    /// Whether the last of them took the server out of the room: what follows is none of its business.
    #[n(2)]
    #[cbor(default)]
    pub left: bool,
}

cbor_row!(DestinationRow, OwedRow);
