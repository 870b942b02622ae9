//! How an accepted event gets into its room.

pub(crate) mod append;
pub(crate) mod members;
pub(crate) mod redact;
pub(crate) mod relate;
