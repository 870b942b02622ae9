//! Rows of the tables that `sync` owns.

use minicbor::{Decode, Encode};

use crate::cbor_row;
use crate::log::Pos;
use crate::numbers::EventNo;

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

cbor_row!(UnreadRow);
