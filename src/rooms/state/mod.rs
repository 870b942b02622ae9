//! The state of a room: now (`now.rs`), and before or after any event (`at.rs`). States that
//! differ are resolved in `settle.rs`. How states are stored is hidden in `trie.rs`.

pub mod at;
pub mod now;
mod settle;
pub(crate) mod trie;

pub use at::At;
pub use trie::Difference;
