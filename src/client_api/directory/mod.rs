//! Names of rooms and the list of public ones: specification, "Room aliases" and "Published room directory".

pub(crate) mod alias;
pub(crate) mod list;
pub(crate) mod public_rooms;
