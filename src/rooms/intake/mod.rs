//! How events get into rooms: those that were made here, and those from other servers.

pub(crate) mod append;
mod import;
pub(crate) mod judge;
pub(crate) mod members;
pub(crate) mod outliers;
pub(crate) mod redact;
pub(crate) mod relate;

pub use import::{Import, Imported};
pub use judge::Taken;
