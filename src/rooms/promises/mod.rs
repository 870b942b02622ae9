//! What rooms promise, on the memory engine with a stopped clock.

mod house;
mod making;
