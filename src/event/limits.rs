//! Every size an event must keep to (client-server API, *Size limits*; room versions, *Event format*).

/// The whole event as canonical JSON with its signatures, in bytes.
pub const EVENT_BYTES: usize = 65_536;

/// An event as a peer wrote it, before it is parsed: room for white space, escapes and `unsigned`, which we drop.
pub const RAW_EVENT_BYTES: usize = 1024 * 1024;

/// `sender`, `room_id`, `event_id`, `type` and `state_key`, in bytes each.
pub const FIELD_BYTES: usize = 255;

/// Entries of `prev_events`.
pub const PREV_EVENTS: usize = 20;

/// Entries of `auth_events`.
pub const AUTH_EVENTS: usize = 10;

/// How deep arrays and objects may nest in any JSON we parse.
pub const JSON_DEPTH: usize = 128;

/// The largest integer of canonical JSON, 2^53 - 1; the smallest is its negation.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// How far ahead of the moment it was fetched a signing key may be trusted: seven days, in milliseconds.
pub const KEY_TRUST_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;
