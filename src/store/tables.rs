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
pub const ALL: &[&[Spec]] = &[
    STORE,
    PEERS,
    ROOMS_TABLES,
    USERS,
    MEDIA_TABLES,
    SYNC,
    OUTBOX,
    HOUSE,
];

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

// ── peers ──

/// server → its keys. What other servers have published, and until when it is good.
pub const SERVER_KEYS: Table<String, rows::peers::ServerKeysRow> =
    table("server_keys", Hint::Point);

/// server → failures. Servers that do not answer, so that a restart does not begin to ask them anew.
pub const BACK_OFFS: Table<String, rows::peers::BackOffRow> = table("back_offs", Hint::Point);

const PEERS: &[Spec] = &[SERVER_KEYS.spec(), BACK_OFFS.spec()];

// ── rooms ──

/// room → version, create event. What never changes about a room.
pub const ROOMS: Table<RoomNo, rows::rooms::RoomRow> = table("rooms", Hint::Point);

/// room → tips, depth, state root. The end of a room's graph of events.
pub const ROOM_HEADS: Table<RoomNo, rows::rooms::HeadRow> = table("room_heads", Hint::Point);

/// room → name, topic, counts, … What lists of rooms show.
pub const SUMMARIES: Table<RoomNo, rows::rooms::SummaryRow> = table("summaries", Hint::Point);

/// event → its canonical bytes and what readers ask first.
pub const EVENTS: Table<EventNo, rows::rooms::EventRow> = table("events", Hint::Append);

/// event → (). Events of other servers that they asked us to bring into a room: the others in it hear of them from us.
pub const RELAYED: Table<EventNo, ()> = table("relayed", Hint::Point);

/// earlier event, later event → (). Which events follow an event in the graph.
pub const EDGES: Table<(EventNo, EventNo), ()> = table("edges", Hint::Append);

/// room, position → event. The room's timeline as we accepted it, oldest first.
pub const TIMELINE: Table<(RoomNo, Pos), EventNo> = table("timeline", Hint::Append);

/// room → position. Where the last event stands that moves the room up in lists sorted by activity.
pub const BUMPS: Table<RoomNo, Pos> = table("bumps", Hint::Point);
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

/// room, user → version, servers. What goes with a membership of a room that this server is not in.
pub const OUTSIDE: Table<(RoomNo, UserNo), rows::rooms::OutsideRow> = table("outside", Hint::Point);

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

/// root of a thread, user → how many of its events are theirs.
pub const PARTICIPANTS: Table<(EventNo, UserNo), u64> = table("participants", Hint::Point);

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

/// room, server → how many of its users have joined. No row if there are none.
pub const SERVERS: Table<(RoomNo, String), u64> = table("servers", Hint::Point);

/// room, position of an event → the event, which follows others that we do not have.
pub const GAPS: Table<(RoomNo, Pos), EventNo> = table("gaps", Hint::Point);

/// room, event ID → the redaction of it, which came before the event.
pub const REDACTED_UNSEEN: Table<(RoomNo, String), EventNo> = table("redacted_unseen", Hint::Point);

/// room, arrival → an event from another server that has not been judged yet.
pub const INBOX: Table<(RoomNo, u64), rows::rooms::InboxRow> = table("inbox", Hint::Queue);

/// room, event ID → its arrival. What is in the inbox.
pub const INBOX_IDS: Table<(RoomNo, String), u64> = table("inbox_ids", Hint::Queue);

/// room, event ID → why an event from another server was given up before it could be judged.
pub const DROPPED: Table<(RoomNo, String), rows::rooms::DroppedRow> = table("dropped", Hint::Point);

/// delay ID → an event that is sent later, or was.
pub const DELAYED: Table<String, rows::rooms::DelayedRow> = table("delayed", Hint::Queue);

/// time, delay ID → (). When an event is to be sent, or what is left of it forgotten.
pub const DELAYED_DUE: Table<(u64, String), ()> = table("delayed_due", Hint::Queue);

/// user, delay ID → (). The events of a user that wait.
pub const DELAYED_OF: Table<(UserNo, String), ()> = table("delayed_of", Hint::Queue);

/// user, transaction → delay ID. Requests already done.
pub const DELAYED_TXNS: Table<(UserNo, String), String> = table("delayed_txns", Hint::Queue);

/// server, place → one of the last transactions it was answered, and how.
pub const ANSWERED: Table<(String, u8), rows::rooms::AnsweredRow> = table("answered", Hint::Point);

const ROOMS_TABLES: &[Spec] = &[
    ROOMS.spec(),
    ROOM_HEADS.spec(),
    SUMMARIES.spec(),
    EVENTS.spec(),
    RELAYED.spec(),
    EDGES.spec(),
    TIMELINE.spec(),
    BUMPS.spec(),
    TIMES.spec(),
    STATE_NOW.spec(),
    STATE_NODES.spec(),
    MEMBERSHIPS.spec(),
    MEMBERS.spec(),
    STRIPPED.spec(),
    OUTSIDE.spec(),
    TXNS.spec(),
    RELATIONS.spec(),
    RELATED.spec(),
    THREADS.spec(),
    PARTICIPANTS.spec(),
    RECEIPTS.spec(),
    RECEIPT_MOVES.spec(),
    ALIASES.spec(),
    ROOM_ALIASES.spec(),
    DIRECTORY.spec(),
    SERVERS.spec(),
    GAPS.spec(),
    REDACTED_UNSEEN.spec(),
    INBOX.spec(),
    INBOX_IDS.spec(),
    DROPPED.spec(),
    DELAYED.spec(),
    DELAYED_DUE.spec(),
    DELAYED_OF.spec(),
    DELAYED_TXNS.spec(),
    ANSWERED.spec(),
];

// ── users ──

/// user → account. An account stays for ever, so that its name is never given again.
pub const ACCOUNTS: Table<UserNo, rows::users::Account> = table("accounts", Hint::Point);

/// user → the password's hash, as a PHC string.
pub const PASSWORDS: Table<UserNo, String> = table("passwords", Hint::Point);

/// token → who may still register with it.
pub const REGISTRATION_TOKENS: Table<String, rows::users::RegistrationToken> =
    table("registration_tokens", Hint::Point);

/// user, medium, address → the e-mail address or telephone number of an account.
pub const THREEPIDS: Table<(UserNo, String, String), rows::users::Threepid> =
    table("threepids", Hint::Point);

/// medium, address → the account that it belongs to.
pub const THREEPID_OWNERS: Table<(String, String), UserNo> = table("threepid_owners", Hint::Point);

/// user, device → the tokens by which it is logged in.
pub const SESSIONS: Table<(UserNo, String), rows::users::Session> = table("sessions", Hint::Point);

/// SHA-256 of an access token → whose it is.
pub const ACCESS_TOKENS: Table<[u8; 32], rows::users::AccessToken> =
    table("access_tokens", Hint::Point);

/// SHA-256 of a refresh token → whose it is.
pub const REFRESH_TOKENS: Table<[u8; 32], rows::users::RefreshToken> =
    table("refresh_tokens", Hint::Point);

/// SHA-256 of a login token → who may log in with it, once.
pub const LOGIN_TOKENS: Table<[u8; 32], rows::users::ShortLived> =
    table("login_tokens", Hint::Point);

/// SHA-256 of an OpenID token → whom it identifies.
pub const OPENID_TOKENS: Table<[u8; 32], rows::users::ShortLived> =
    table("openid_tokens", Hint::Point);

/// time, kind, key → nothing. What is to be deleted when its time has come.
pub const EXPIRING: Table<(u64, u8, [u8; 32]), ()> = table("expiring", Hint::Queue);

/// user, device → the device.
pub const DEVICES: Table<(UserNo, String), rows::users::Device> = table("devices", Hint::Point);

/// user, device → when and whence it was last used.
pub const DEVICES_SEEN: Table<(UserNo, String), rows::users::Seen> =
    table("devices_seen", Hint::Point);

/// user, device → its identity keys; of our users, and as far as known of others'.
pub const DEVICE_KEYS: Table<(UserNo, String), rows::users::DeviceKeys> =
    table("device_keys", Hint::Point);

/// user, device, algorithm, upload, key id → one-time key.
pub const ONE_TIME_KEYS: Table<(UserNo, String, String, Pos, String), Json> =
    table("one_time_keys", Hint::Queue);

/// user, device, algorithm → fallback key.
pub const FALLBACK_KEYS: Table<(UserNo, String, String), rows::users::FallbackKey> =
    table("fallback_keys", Hint::Point);

/// user, usage → cross-signing key: 0 master, 1 self-signing, 2 user-signing.
pub const CROSS_SIGNING: Table<(UserNo, u8), Json> = table("cross_signing", Hint::Point);

/// user, their key, signer, the signer's key → signature. What somebody says of another user's key; only they see it.
pub const FOREIGN_SIGNATURES: Table<(UserNo, String, UserNo, String), String> =
    table("foreign_signatures", Hint::Point);

/// user → when their devices or keys last changed.
pub const DEVICE_LIST_LAST: Table<UserNo, Pos> = table("device_list_last", Hint::Point);

/// position → whose devices or keys changed then, and not since.
pub const DEVICE_LIST_LOG: Table<Pos, UserNo> = table("device_list_log", Hint::Append);

/// user, device → its latest change, as other servers are told; under no device, that of the cross-signing keys.
pub const DEVICE_CHANGES: Table<(UserNo, String), rows::users::DeviceChange> =
    table("device_changes", Hint::Point);

/// signer, position → whose keys they signed then.
pub const SIGNED_LOG: Table<(UserNo, Pos), UserNo> = table("signed_log", Hint::Append);

/// user of another server → what we know of their device list.
pub const REMOTE_DEVICES: Table<UserNo, rows::users::RemoteDevices> =
    table("remote_devices", Hint::Point);

/// user, device, position → event. To-device messages waiting to be fetched by a device of this server.
pub const TO_DEVICE: Table<(UserNo, String, Pos), Json> = table("to_device", Hint::Queue);

/// server, position → content of an `m.direct_to_device` EDU. To-device messages waiting to be sent to another server.
pub const TO_DEVICE_OUT: Table<(String, Pos), Json> = table("to_device_out", Hint::Queue);

/// hash of sender and transaction → nothing. To-device requests that have been carried out.
pub const TO_DEVICE_SEEN: Table<[u8; 32], ()> = table("to_device_seen", Hint::Point);

/// user, version → key backup.
pub const KEY_BACKUPS: Table<(UserNo, u64), rows::users::KeyBackup> =
    table("key_backups", Hint::Point);

/// user, version, room ID, session → a key in a backup.
pub const BACKED_UP_KEYS: Table<(UserNo, u64, String, String), rows::users::BackedUpKey> =
    table("backed_up_keys", Hint::Point);

/// user → their dehydrated device.
pub const DEHYDRATED: Table<UserNo, rows::users::Dehydrated> = table("dehydrated", Hint::Point);

/// user, field → value. Profiles.
pub const PROFILES: Table<(UserNo, String), Json> = table("profiles", Hint::Point);

/// user, room or none, type → account data.
pub const ACCOUNT_DATA: Table<(UserNo, Option<RoomNo>, String), rows::users::AccountData> =
    table("account_data", Hint::Point);

/// user, position → which account data changed then, and not since.
pub const ACCOUNT_DATA_LOG: Table<(UserNo, Pos), rows::users::DataKey> =
    table("account_data_log", Hint::Append);

/// user, push key, application → pusher.
pub const PUSHERS: Table<(UserNo, String, String), rows::users::Pusher> =
    table("pushers", Hint::Point);

/// push key, application, user → nothing. Whose pushers have this push key.
pub const PUSHER_OWNERS: Table<(String, String, UserNo), ()> = table("pusher_owners", Hint::Point);

/// user, push key, application, position → what the pusher is to be told.
pub const PUSH_QUEUE: Table<(UserNo, String, String, Pos), rows::users::Push> =
    table("push_queue", Hint::Queue);

/// user, id → filter.
pub const FILTERS: Table<(UserNo, String), Json> = table("filters", Hint::Point);

/// user → their presence, as others were last told.
pub const PRESENCE: Table<UserNo, rows::users::Presence> = table("presence", Hint::Point);

/// position → whose presence changed then, and not since.
pub const PRESENCE_LOG: Table<Pos, UserNo> = table("presence_log", Hint::Append);

const USERS: &[Spec] = &[
    ACCOUNTS.spec(),
    PASSWORDS.spec(),
    REGISTRATION_TOKENS.spec(),
    THREEPIDS.spec(),
    THREEPID_OWNERS.spec(),
    SESSIONS.spec(),
    ACCESS_TOKENS.spec(),
    REFRESH_TOKENS.spec(),
    LOGIN_TOKENS.spec(),
    OPENID_TOKENS.spec(),
    EXPIRING.spec(),
    DEVICES.spec(),
    DEVICES_SEEN.spec(),
    DEVICE_KEYS.spec(),
    ONE_TIME_KEYS.spec(),
    FALLBACK_KEYS.spec(),
    CROSS_SIGNING.spec(),
    FOREIGN_SIGNATURES.spec(),
    DEVICE_LIST_LAST.spec(),
    DEVICE_LIST_LOG.spec(),
    DEVICE_CHANGES.spec(),
    SIGNED_LOG.spec(),
    REMOTE_DEVICES.spec(),
    TO_DEVICE.spec(),
    TO_DEVICE_OUT.spec(),
    TO_DEVICE_SEEN.spec(),
    KEY_BACKUPS.spec(),
    BACKED_UP_KEYS.spec(),
    DEHYDRATED.spec(),
    PROFILES.spec(),
    ACCOUNT_DATA.spec(),
    ACCOUNT_DATA_LOG.spec(),
    PUSHERS.spec(),
    PUSHER_OWNERS.spec(),
    PUSH_QUEUE.spec(),
    FILTERS.spec(),
    PRESENCE.spec(),
    PRESENCE_LOG.spec(),
];

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

/// user, room → what has been counted as unread, so that nobody counts from the beginning after a restart.
pub const UNREAD: Table<(UserNo, RoomNo), rows::sync::UnreadRow> = table("unread", Hint::Point);
/// user, device, connection → how far a client of sliding sync has come, and what it asked for.
pub const SLIDING: Table<(UserNo, String, String), rows::sync::SlidingRow> =
    table("sliding", Hint::Point);
/// user, device, connection, room → what that client has been told of the room.
pub const SLIDING_ROOMS: Table<(UserNo, String, String, RoomNo), rows::sync::ToldRow> =
    table("sliding_rooms", Hint::Point);

const SYNC: &[Spec] = &[UNREAD.spec(), SLIDING.spec(), SLIDING_ROOMS.spec()];

// ── outbox ──

/// server → how far it has been told, and the transaction that it has not answered yet.
pub const DESTINATIONS: Table<String, rows::outbox::DestinationRow> =
    table("destinations", Hint::Point);

/// server, room → from where to where it was not told. Of servers that cannot be reached or are slow.
pub const OWED: Table<(String, RoomNo), rows::outbox::OwedRow> = table("owed", Hint::Queue);

/// server, user → the changes of the user's device list that it has not been told.
pub const OWED_DEVICE_LISTS: Table<(String, UserNo), rows::outbox::OwedRow> =
    table("owed_device_lists", Hint::Queue);

const OUTBOX: &[Spec] = &[DESTINATIONS.spec(), OWED.spec(), OWED_DEVICE_LISTS.spec()];

// ── house ──

const HOUSE: &[Spec] = &[];
