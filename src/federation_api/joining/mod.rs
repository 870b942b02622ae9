//! Coming and going of other servers' users (SS "Joining Rooms", "Knocking upon a room", "Leaving Rooms"): first a template, then the event that
//! their server made of it. Everything is decided in `rooms::handshake`.

pub(crate) mod make;
pub(crate) mod send;
