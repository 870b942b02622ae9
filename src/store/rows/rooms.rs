//! Rows of the tables that `rooms` owns.

use minicbor::{Decode, Encode};

use crate::cbor_row;
use crate::log::Pos;
use crate::numbers::{EventNo, NodeNo, RoomNo, StateKeyNo, UserNo};

/// What never changes about a room.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RoomRow {
    /// The room version's name.
    #[n(0)]
    pub version: String,
    /// The create event.
    #[n(1)]
    pub create: EventNo,
    /// Who sent it.
    #[n(2)]
    pub creator: UserNo,
}

/// The end of a room's graph of events. Every batch that moves it asserts what it was.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HeadRow {
    /// The events that no other one follows yet.
    #[n(0)]
    pub tips: Vec<EventNo>,
    /// The greatest depth among them.
    #[n(1)]
    pub depth: u64,
    /// The present state, resolved across the tips; none before the create event.
    #[n(2)]
    pub root: Option<NodeNo>,
}

/// What lists of rooms show of a room, kept as its state changes. Everything here can be rebuilt from the state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SummaryRow {
    /// `m.room.name`.
    #[n(0)]
    pub name: Option<String>,
    /// `m.room.topic`.
    #[n(1)]
    pub topic: Option<String>,
    /// `m.room.canonical_alias`.
    #[n(2)]
    pub canonical_alias: Option<String>,
    /// The `url` of `m.room.avatar`.
    #[n(3)]
    pub avatar_url: Option<String>,
    /// `m.room.join_rules`.
    #[n(4)]
    pub join_rule: Option<String>,
    /// `m.room.history_visibility`.
    #[n(5)]
    pub history_visibility: Option<String>,
    /// Whether `m.room.guest_access` is `can_join`.
    #[n(6)]
    #[cbor(default)]
    pub guests_can_join: bool,
    /// The algorithm of `m.room.encryption`.
    #[n(7)]
    pub encryption: Option<String>,
    /// The `type` of the create event.
    #[n(8)]
    pub room_type: Option<String>,
    /// The room that `m.room.tombstone` points to; empty if it points nowhere.
    #[n(9)]
    pub replacement: Option<String>,
    /// How many users have joined.
    #[n(10)]
    #[cbor(default)]
    pub joined: u64,
    /// How many are invited.
    #[n(11)]
    #[cbor(default)]
    pub invited: u64,
    /// How many of the joined are ours.
    #[n(12)]
    #[cbor(default)]
    pub joined_here: u64,
    /// The rooms of the `allow` conditions of the join rule.
    #[n(13)]
    #[cbor(default)]
    pub allowed_rooms: Vec<String>,
}

/// An event: its canonical bytes, and in front of them what readers ask without parsing.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EventRow {
    /// Its ID.
    #[n(0)]
    pub id: String,
    /// Its room.
    #[n(1)]
    pub room: RoomNo,
    /// Its sender.
    #[n(2)]
    pub sender: UserNo,
    /// Its place in the timeline; none if it never got one (outliers, rejected and soft-failed events).
    #[n(3)]
    pub pos: Option<Pos>,
    /// The state before it; none if there was none.
    #[n(4)]
    pub before: Option<NodeNo>,
    /// Which state it sets, if it is a state event.
    #[n(5)]
    pub state_key: Option<StateKeyNo>,
    /// The state event it took the place of.
    #[n(6)]
    pub replaces: Option<EventNo>,
    /// Its `origin_server_ts`.
    #[n(7)]
    pub ts: u64,
    /// Its depth.
    #[n(8)]
    pub depth: u64,
    /// Why it was not accepted, if it was not.
    #[n(9)]
    pub refused: Option<RefusalRow>,
    /// Where in `json` the parts stand that clients get.
    #[n(10)]
    pub spans: SpansRow,
    /// Canonical JSON, as federated; redacted if it has been redacted.
    #[n(11)]
    pub json: String,
    /// The event that redacted it.
    #[n(12)]
    pub redacted_by: Option<EventNo>,
    /// The device that sent it, and its transaction ID: told to that device alone.
    #[n(13)]
    pub device: Option<String>,
    /// See `device`.
    #[n(14)]
    pub txn: Option<String>,
    /// The event that it relates to, and how.
    #[n(15)]
    pub relates: Option<RelatesRow>,
    /// Whether it is known without its past: the state before it is not known, and it is no part of the timeline.
    #[n(16)]
    #[cbor(default)]
    pub outlier: bool,
    /// Whether it was stored before the events that authorise it, as an invitation from outside is. Of all other events the
    /// number is greater than those of theirs.
    #[n(17)]
    #[cbor(default)]
    pub early: bool,
}

/// A relation as its child tells it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RelatesRow {
    /// The parent, if we know it.
    #[n(0)]
    pub parent: Option<EventNo>,
    /// The relation type.
    #[n(1)]
    pub rel_type: String,
}

/// Why an event was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RefusalRow {
    /// Whether it only failed softly: allowed by its own past, not by the present.
    #[n(0)]
    pub soft: bool,
    /// The verdict's reason.
    #[n(1)]
    pub reason: String,
}

/// Offsets and lengths of values in an event's JSON; (0, 0) where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct SpansRow {
    /// `content`.
    #[n(0)]
    pub content: (u32, u32),
    /// `redacts`.
    #[n(1)]
    pub redacts: (u32, u32),
    /// `sender`.
    #[n(2)]
    pub sender: (u32, u32),
    /// `state_key`.
    #[n(3)]
    pub state_key: (u32, u32),
    /// `type`.
    #[n(4)]
    pub event_type: (u32, u32),
}

/// A user's membership of a room.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MembershipRow {
    /// 1 join, 2 invite, 3 knock, 4 leave, 5 ban.
    #[n(0)]
    pub membership: u8,
    /// The `m.room.member` event.
    #[n(1)]
    pub event: EventNo,
    /// Its position.
    #[n(2)]
    pub since: Pos,
    /// Who sent it.
    #[n(3)]
    pub by: UserNo,
    /// Where the user's last stay in the room ended; none while it lasts or if there was none.
    #[n(4)]
    pub left_at: Option<Pos>,
    /// Whether the user wants to hear no more of the room.
    #[n(5)]
    #[cbor(default)]
    pub forgotten: bool,
    /// The display name in the room.
    #[n(6)]
    pub display_name: Option<String>,
    /// The avatar in the room.
    #[n(7)]
    pub avatar_url: Option<String>,
    /// Whether the invite was to a direct chat.
    #[n(8)]
    #[cbor(default)]
    pub is_direct: bool,
    /// Where the user's present stay in the room began; none if they are not in it.
    #[n(9)]
    pub joined_at: Option<Pos>,
    /// Whether it is known from outside only: no state of the room here says so.
    #[n(10)]
    #[cbor(default)]
    pub outside: bool,
}

/// What we know of a room only because one of ours was invited to it, or knocked on it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OutsideRow {
    /// The room version's name.
    #[n(0)]
    pub version: String,
    /// Servers that are, or were, in the room; the likeliest first.
    #[n(1)]
    pub servers: Vec<String>,
}

/// What a list of members tells of one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MemberRow {
    /// The `m.room.member` event.
    #[n(0)]
    pub event: EventNo,
    /// The display name in the room.
    #[n(1)]
    pub display_name: Option<String>,
}

/// One event's relation to another, from the other's side.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RelationRow {
    /// The event that relates.
    #[n(0)]
    pub child: EventNo,
    /// How.
    #[n(1)]
    pub rel_type: String,
    /// The type of the event that relates.
    #[n(2)]
    pub event_type: String,
    /// Who sent it.
    #[n(3)]
    pub sender: UserNo,
    /// The key, of an annotation.
    #[n(4)]
    pub key: Option<String>,
}

/// What others have related to an event: as much as is told along with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RelatedRow {
    /// The newest valid edit.
    #[n(0)]
    pub edit: Option<EventNo>,
    /// Where that stands.
    #[n(1)]
    pub edit_pos: Option<Pos>,
    /// How many events its thread has, itself not counted.
    #[n(2)]
    #[cbor(default)]
    pub thread_count: u64,
    /// The newest event of its thread.
    #[n(3)]
    pub thread_latest: Option<EventNo>,
    /// Where that stands.
    #[n(4)]
    pub thread_pos: Option<Pos>,
    /// How many events refer to it.
    #[n(5)]
    #[cbor(default)]
    pub references: u64,
}

/// A read receipt.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ReceiptRow {
    /// The event that was read.
    #[n(0)]
    pub event_id: String,
    /// Where it stands, if we know it.
    #[n(1)]
    pub at: Option<Pos>,
    /// When it was read.
    #[n(2)]
    pub ts: u64,
    /// The receipt's own position.
    #[n(3)]
    pub pos: Pos,
}

/// Which receipt moved.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ReceiptMoveRow {
    /// Whose.
    #[n(0)]
    pub user: UserNo,
    /// 0 public, 1 private.
    #[n(1)]
    pub kind: u8,
    /// Of which thread: empty for none, `main`, or the root's ID.
    #[n(2)]
    pub thread: String,
}

/// A room alias.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AliasRow {
    /// The room.
    #[n(0)]
    pub room: RoomNo,
    /// Who made it.
    #[n(1)]
    pub by: UserNo,
}

/// An event from another server that waits to be judged.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InboxRow {
    /// The server that sent it to us.
    #[n(0)]
    pub origin: String,
    /// Its ID.
    #[n(1)]
    pub event_id: String,
    /// The event as it was sent.
    #[n(2)]
    pub json: String,
    /// When it came, in milliseconds.
    #[n(3)]
    pub arrived: u64,
    /// How often what it builds on was asked for in vain.
    #[n(4)]
    #[cbor(default)]
    pub attempts: u32,
    /// When it is to be tried again, in milliseconds.
    #[n(5)]
    #[cbor(default)]
    pub not_before: u64,
}

/// An event that was given up before it could be judged.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DroppedRow {
    /// The server that sent it to us.
    #[n(0)]
    pub origin: String,
    /// What was wrong or missing.
    #[n(1)]
    pub reason: String,
    /// When it was given up, in milliseconds.
    #[n(2)]
    pub at: u64,
}

/// An event that is sent later, or was sent or cancelled lately.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DelayedRow {
    /// Who sends it.
    #[n(0)]
    pub sender: UserNo,
    /// Its room's ID.
    #[n(1)]
    pub room: String,
    /// Its type.
    #[n(2)]
    pub event_type: String,
    /// Its state key, if it is state.
    #[n(3)]
    pub state_key: Option<String>,
    /// Its content as JSON; empty once it is done.
    #[n(4)]
    pub content: String,
    /// How long it waits, in milliseconds.
    #[n(5)]
    pub delay: u64,
    /// Since when it waits, or has been done, in milliseconds.
    #[n(6)]
    pub since: u64,
    /// The head of the log when it was put off.
    #[n(7)]
    pub head: Pos,
    /// The transaction by which a repeated request is recognised.
    #[n(8)]
    pub txn: Option<String>,
    /// Whether it was sent or cancelled.
    #[n(9)]
    pub done: bool,
}

impl DelayedRow {
    /// When it is to be sent, or forgotten, in milliseconds.
    pub fn due(&self) -> u64 {
        self.since.saturating_add(self.delay)
    }
}

cbor_row!(
    DelayedRow,
    InboxRow,
    DroppedRow,
    RoomRow,
    HeadRow,
    SummaryRow,
    EventRow,
    MembershipRow,
    OutsideRow,
    MemberRow,
    RelationRow,
    RelatedRow,
    ReceiptRow,
    ReceiptMoveRow,
    AliasRow
);

/// A transaction of another server that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AnsweredRow {
    /// Grows with each transaction of that server.
    #[n(0)]
    pub number: u64,
    /// What the server calls it.
    #[n(1)]
    pub txn_id: String,
    /// The answer, a JSON text.
    #[n(2)]
    pub answer: String,
}

cbor_row!(AnsweredRow);
