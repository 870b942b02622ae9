//! Rows of the tables that `sync` owns.

use minicbor::{Decode, Encode};

use crate::cbor_row;
use crate::log::Pos;
use crate::numbers::{EventNo, RoomNo};

/// What has been counted as unread for a user in a room. Everything in it can be counted again.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UnreadRow {
    /// Counted up to here.
    #[n(0)]
    pub upto: Pos,
    /// For the user's rules as of here.
    #[n(1)]
    pub rules: Pos,
    /// The newest unread events, one by one, oldest first.
    #[n(2)]
    pub recent: Vec<CountedEvent>,
    /// Older ones, in sums.
    #[n(3)]
    pub older: Vec<CountedSum>,
}

/// An unread event.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CountedEvent {
    /// Where it is in the log.
    #[n(0)]
    pub pos: Pos,
    /// The event.
    #[n(1)]
    pub event: EventNo,
    /// 1 notifies, 2 highlights, 4 is unread.
    #[n(2)]
    pub kind: u8,
    /// The root of its thread.
    #[n(3)]
    pub thread: Option<EventNo>,
}

/// The unread events of a thread that are no longer remembered one by one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CountedSum {
    /// The thread's root; none for the main timeline.
    #[n(0)]
    pub thread: Option<EventNo>,
    /// How many notify.
    #[n(1)]
    pub notify: u64,
    /// How many highlight.
    #[n(2)]
    pub highlight: u64,
    /// How many are unread.
    #[n(3)]
    pub unread: u64,
    /// The thread had been read up to here.
    #[n(4)]
    pub from: Pos,
    /// The last event in the sum.
    #[n(5)]
    pub upto: Pos,
}

/// A connection of sliding sync. It has two generations: the one that the client has said to have, by asking from there, and the one
/// that it was given last and may not have received.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SlidingRow {
    /// Tells this connection from earlier ones of the same name.
    #[n(0)]
    pub nonce: u64,
    /// The generation that the last answer was built on; none if that was the first answer.
    #[n(1)]
    pub base: Option<u64>,
    /// The generation that the last answer made.
    #[n(2)]
    pub latest: u64,
    /// What differs between the two: what had been told of these rooms in `base`.
    #[n(3)]
    pub undo: Vec<UndoRow>,
    /// When the connection was last written, in milliseconds.
    #[n(4)]
    pub used: u64,
    /// The sets of state that rooms of the connection are told.
    #[n(5)]
    pub wants: Vec<WantRow>,
    /// Whether the account's own data has been told in `latest`.
    #[n(6)]
    #[cbor(default)]
    pub data: bool,
    /// The same in `base`.
    #[n(7)]
    #[cbor(default)]
    pub data_before: bool,
}

/// What had been told of a room before the last answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UndoRow {
    /// The room.
    #[n(0)]
    pub room: RoomNo,
    /// What had been told; nothing if none.
    #[n(1)]
    pub told: Option<ToldRow>,
}

/// State that a client wants to be told of a room.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WantRow {
    /// How rooms name it.
    #[n(0)]
    pub id: u64,
    /// Types and state keys, sorted.
    #[n(1)]
    pub state: Vec<(String, String)>,
}

/// What a connection has been told of a room. Where a position is asked for, the greatest one means: all that its client's token
/// covers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ToldRow {
    /// Whether it was told as a room that the user is in; otherwise as one that they are invited to, or knock at.
    #[n(0)]
    pub joined: bool,
    /// Up to where.
    #[n(1)]
    pub upto: Pos,
    /// How many of the newest events the client has at least.
    #[n(2)]
    pub limit: u32,
    /// Which state.
    #[n(3)]
    pub want: u64,
    /// Up to where receipts have been told; none if never.
    #[n(4)]
    pub receipts: Option<Pos>,
    /// Up to where the room's account data has been told; none if never.
    #[n(5)]
    pub data: Option<Pos>,
}

cbor_row!(UnreadRow, SlidingRow, ToldRow);
