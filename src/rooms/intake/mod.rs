//! How events get into rooms: those that were made here, and those from other servers.

pub(crate) mod append;
pub(crate) mod asking;
pub(crate) mod gather;
mod import;
pub(crate) mod inbox;
pub(crate) mod judge;
pub(crate) mod members;
pub(crate) mod outliers;
mod queue;
pub(crate) mod redact;
pub(crate) mod relate;

pub use import::{Import, Imported};
pub use inbox::Received;
pub use judge::Taken;
pub(crate) use queue::Queue;
