//! Every table there is, grouped by the crate that owns it, each with a sentence — and nothing else.
//!
//! A table is named by its owner only. Add yours under your heading, and to the list that closes the heading;
//! `docs/schema.md` is rendered from this file.

use crate::codec::Key;
use crate::log::{Change, Pos};
use crate::numbers::{EventNo, NodeNo, RoomNo, StateKeyNo, UserNo};
use crate::row::{Json, Row};
use crate::rows;
use crate::table::{Hint, Spec, Table};

/// Every table, by heading.
pub const ALL: &[&[Spec]] = &[STORE, ROOMS_TABLES, USERS, MEDIA_TABLES, SYNC, HOUSE];

/// Every table there is: what an engine has to open.
pub fn all() -> impl Iterator<Item = Spec> {
    ALL.iter().flat_map(|group| group.iter().copied())
}

const fn table<K: Key, V: Row>(name: &'static str, hint: Hint) -> Table<K, V> {
    Table::new(name, hint)
}

// ── store ──

/// name → bytes. What the store knows about itself: schema version, counters, the head of the log.
pub const META: Table<String, Vec<u8>> = table("meta", Hint::Point);

/// position → change. The one log that everything follows.
pub const LOG: Table<Pos, Change> = table("log", Hint::Append);

/// follower → position. How far each follower of the log has come.
pub const FOLLOWERS: Table<String, Pos> = table("followers", Hint::Point);

/// user ID → number.
pub const USER_NO: Table<String, UserNo> = table("user_no", Hint::Point);

/// number → user ID.
pub const USER_ID: Table<UserNo, String> = table("user_id", Hint::Point);

/// room ID → number.
pub const ROOM_NO: Table<String, RoomNo> = table("room_no", Hint::Point);

/// number → room ID.
pub const ROOM_ID: Table<RoomNo, String> = table("room_id", Hint::Point);

/// event ID → number.
pub const EVENT_NO: Table<String, EventNo> = table("event_no", Hint::Point);

/// number → event ID.
pub const EVENT_ID: Table<EventNo, String> = table("event_id", Hint::Append);

/// event type, state key → number.
pub const STATE_KEY_NO: Table<(String, String), StateKeyNo> = table("state_key_no", Hint::Point);

/// number → event type, state key.
pub const STATE_KEY: Table<StateKeyNo, rows::house::StateKey> = table("state_key", Hint::Point);

const STORE: &[Spec] = &[
    META.spec(),
    LOG.spec(),
    FOLLOWERS.spec(),
    USER_NO.spec(),
    USER_ID.spec(),
    ROOM_NO.spec(),
    ROOM_ID.spec(),
    EVENT_NO.spec(),
    EVENT_ID.spec(),
    STATE_KEY_NO.spec(),
    STATE_KEY.spec(),
];

// ── rooms ──

/// room → version, create event. What never changes about a room.
pub const ROOMS: Table<RoomNo, rows::rooms::RoomRow> = table("rooms", Hint::Point);

/// room → tips, depth, state root. The end of a room's graph of events.
pub const ROOM_HEADS: Table<RoomNo, rows::rooms::HeadRow> = table("room_heads", Hint::Point);

/// room → name, topic, counts, … What lists of rooms show.
pub const SUMMARIES: Table<RoomNo, rows::rooms::SummaryRow> = table("summaries", Hint::Point);

/// event → its canonical bytes and what readers ask first.
pub const EVENTS: Table<EventNo, rows::rooms::EventRow> = table("events", Hint::Append);

/// earlier event, later event → (). Which events follow an event in the graph.
pub const EDGES: Table<(EventNo, EventNo), ()> = table("edges", Hint::Append);

/// room, position → event. The room's timeline as we accepted it, oldest first.
pub const TIMELINE: Table<(RoomNo, Pos), EventNo> = table("timeline", Hint::Append);

/// room, time, event → (). The room's timeline by the events' own times.
pub const TIMES: Table<(RoomNo, u64, EventNo), ()> = table("times", Hint::Append);

/// room, 1 if a membership, type with state key → event. The room's present state, resolved.
pub const STATE_NOW: Table<(RoomNo, u8, StateKeyNo), EventNo> = table("state_now", Hint::Point);

/// node → its branches. The states of rooms as trees that share what they have in common.
pub const STATE_NODES: Table<NodeNo, Vec<u8>> = table("state_nodes", Hint::Append);

/// user, room → membership. Everything a user has ever had to do with.
pub const MEMBERSHIPS: Table<(UserNo, RoomNo), rows::rooms::MembershipRow> =
    table("memberships", Hint::Point);

/// room, membership, whether of another server, user → event. Who is in a room, by how they are in it.
pub const MEMBERS: Table<(RoomNo, u8, bool, UserNo), rows::rooms::MemberRow> =
    table("members", Hint::Point);

/// user, room → a JSON list of stripped state. What an invited or knocking user may know of a room.
pub const STRIPPED: Table<(UserNo, RoomNo), Json> = table("stripped", Hint::Point);

/// room, user, device, what was sent, transaction → event. Requests already done.
pub const TXNS: Table<(RoomNo, UserNo, String, String, String), EventNo> =
    table("txns", Hint::Point);

/// event, kind of relation, position → event that relates to it.
pub const RELATIONS: Table<(EventNo, u8, Pos), rows::rooms::RelationRow> =
    table("relations", Hint::Append);

/// event → what relates to it, in short.
pub const RELATED: Table<EventNo, rows::rooms::RelatedRow> = table("related", Hint::Point);

/// room, position of its newest event → root of a thread.
pub const THREADS: Table<(RoomNo, Pos), EventNo> = table("threads", Hint::Append);

/// room, user, 0 public or 1 private, thread → read receipt.
pub const RECEIPTS: Table<(RoomNo, UserNo, u8, String), rows::rooms::ReceiptRow> =
    table("receipts", Hint::Point);

/// room, position → which receipt moved last at that position.
pub const RECEIPT_MOVES: Table<(RoomNo, Pos), rows::rooms::ReceiptMoveRow> =
    table("receipt_moves", Hint::Queue);

/// alias → room.
pub const ALIASES: Table<String, rows::rooms::AliasRow> = table("aliases", Hint::Point);

/// room, alias → (). The local aliases of a room.
pub const ROOM_ALIASES: Table<(RoomNo, String), ()> = table("room_aliases", Hint::Point);

/// room → (). The rooms that are listed in the directory.
pub const DIRECTORY: Table<RoomNo, ()> = table("directory", Hint::Point);

const ROOMS_TABLES: &[Spec] = &[
    ROOMS.spec(),
    ROOM_HEADS.spec(),
    SUMMARIES.spec(),
    EVENTS.spec(),
    EDGES.spec(),
    TIMELINE.spec(),
    TIMES.spec(),
    STATE_NOW.spec(),
    STATE_NODES.spec(),
    MEMBERSHIPS.spec(),
    MEMBERS.spec(),
    STRIPPED.spec(),
    TXNS.spec(),
    RELATIONS.spec(),
    RELATED.spec(),
    THREADS.spec(),
    RECEIPTS.spec(),
    RECEIPT_MOVES.spec(),
    ALIASES.spec(),
    ROOM_ALIASES.spec(),
    DIRECTORY.spec(),
];

// ── users ──

const USERS: &[Spec] = &[];

// ── media ──

/// server, media id → what is known of an uploaded file.
pub const MEDIA: Table<(String, String), rows::media::MediaFile> = table("media", Hint::Point);

/// media id → reservation. Addresses that were given out before their files.
pub const MEDIA_RESERVED: Table<String, rows::media::Reservation> =
    table("media_reserved", Hint::Point);

/// user, media id → nothing. The addresses that a user has reserved.
pub const MEDIA_RESERVED_BY: Table<(String, String), ()> = table("media_reserved_by", Hint::Point);

/// server, media id, width, method → a thumbnail that was made.
pub const THUMBNAILS: Table<(String, String, u64, String), rows::media::Thumbnail> =
    table("thumbnails", Hint::Point);

const MEDIA_TABLES: &[Spec] = &[
    MEDIA.spec(),
    MEDIA_RESERVED.spec(),
    MEDIA_RESERVED_BY.spec(),
    THUMBNAILS.spec(),
];

// ── sync ──

const SYNC: &[Spec] = &[];

// ── house ──

const HOUSE: &[Spec] = &[];
