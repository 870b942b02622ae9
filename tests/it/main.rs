//! The whole server, in this process: put together as the command line does it, over a memory engine, and asked over real sockets.
//!
//! Files are named by what they ask about. Each test has a server of its own, so that they can run side by side.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests stop at what they did not expect"
)]

#[path = "../../src/wire.rs"]
mod wire;

mod bad_input;
mod house;
mod life;
