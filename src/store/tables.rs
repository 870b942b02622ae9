//! Every table there is, grouped by the crate that owns it, each with a sentence — and nothing else.
//!
//! A table is named by its owner only. Add yours under your heading, and to the list that closes the heading;
//! `docs/schema.md` is rendered from this file.

use crate::codec::Key;
use crate::log::{Change, Pos};
use crate::numbers::{EventNo, RoomNo, StateKeyNo, UserNo};
use crate::row::Row;
use crate::rows;
use crate::table::{Hint, Spec, Table};

/// Every table, by heading.
pub const ALL: &[&[Spec]] = &[STORE, ROOMS, USERS, MEDIA, SYNC, HOUSE];

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

const ROOMS: &[Spec] = &[];

// ── users ──

const USERS: &[Spec] = &[];

// ── media ──

const MEDIA: &[Spec] = &[];

// ── sync ──

const SYNC: &[Spec] = &[];

// ── house ──

const HOUSE: &[Spec] = &[];
