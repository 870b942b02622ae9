//! The graph of a room's events: its ends, and the places where we lack what came before.

mod backfill;
pub mod gaps;
mod tips;

pub(crate) use tips::DUMMY;
