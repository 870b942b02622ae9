//! What someone can do: one file per verb, whoever asks.
//!
//! Each action is one public async function that takes `&House` (the handles of the levels below) and the person acting: permissions and policy first, then
//! the calls into `rooms`, `users` and `media`. Nothing here knows HTTP, and nothing here stores.

pub mod create_room;
mod error;

pub use error::{Error, Result};
