//! The rules as fixtures: a state, an event, a verdict; each a line of text.
//!
//! A line is `sender type state_key content`, with `.x` for `m.room.x`, `''` for the empty state key and `-` for none. After the
//! content may follow `id=`, `prev=`, `room=` and `redacts=`. Every room is `!create:one`, made by `$create:one`.

mod arbitrary;
mod compare;
mod create;
mod fixture;
mod levels;
mod list;
mod member;
mod other;
mod select;
