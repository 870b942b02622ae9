//! Tables, codec, snapshots, batches and the log; the contract of an engine, and the engine for tests.
//!
//! Decisions are plain synchronous functions over a consistent [`Snapshot`]; their result is a batch of changes with
//! assertions, collected in a [`Tx`] and made durable by one committer. Everything above this crate speaks to a
//! [`Store`] through the typed tables of [`tables`]; everything below it is an [`engine::Engine`]. What a row means
//! belongs to the crate under whose heading the table stands, not to this one.

mod admit;
pub mod batch;
pub mod codec;
mod commit;
pub mod engine;
mod error;
mod follow;
pub mod log;
pub mod memory;
pub mod migrate;
pub mod numbers;
mod read;
pub mod row;
pub mod rows;
mod shared;
mod store;
pub mod suite;
pub mod table;
pub mod tables;
mod write;

#[cfg(test)]
mod tests;

pub use codec::{Key, KeyOf, PrefixOf};
pub use error::{Error, Malformed};
pub use follow::{Follower, Tail};
pub use log::{Change, Pos};
pub use numbers::{EventNo, NodeNo, RoomNo, StateKeyNo, UserNo};
pub use read::{Order, Scan, Snapshot};
pub use row::{Json, Row, RowOf};
pub use shared::{Commit, Health};
pub use store::Store;
pub use table::{Hint, Spec, Table, TableId};
pub use write::Tx;
