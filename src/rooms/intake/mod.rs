//! How an accepted event gets into its room.

pub(crate) mod append;
mod judge;
pub(crate) mod members;
pub(crate) mod redact;
pub(crate) mod relate;

pub use judge::Taken;
