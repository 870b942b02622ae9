//! The public room directory (SS "Public Room Directory").

pub(crate) mod public_rooms;
