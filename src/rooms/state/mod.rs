//! The state of a room: now (`now.rs`), and before or after any event (`at.rs`). How states are stored is hidden in `trie.rs`.

pub mod at;
pub mod now;
pub(crate) mod trie;

pub use at::At;
pub use trie::Difference;
