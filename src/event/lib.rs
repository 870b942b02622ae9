//! A PDU and every rule about it: pure, without I/O, async or storage.
//!
//! An event from outside is an [`UncheckedPdu`] until its signatures and hash have been looked at; what comes out is a [`Pdu`].
//! An event from here is a [`Draft`] that is filled, hashed and signed into a [`Pdu`]. [`auth::judge`] says whether a PDU is
//! allowed in a state. What a room version changes stands in [`rules`] and nowhere else.

// What tests share with integration tests and benches calls the crate by its name.
#[cfg(test)]
extern crate self as event;

pub mod acl;
pub mod auth;
pub mod canonical;
pub mod draft;
mod effort;
mod error;
mod glob;
pub mod id;
pub mod limits;
pub mod pdu;
pub mod push;
pub mod redact;
pub mod resolve;
pub mod rules;
pub mod sign;
#[cfg(test)]
mod testing;
mod unchecked;

pub use auth::{Verdict, judge};
pub use draft::Draft;
pub use error::Error;
pub use pdu::Pdu;
pub use rules::Rules;
pub use sign::KeyPair;
pub use unchecked::{Checked, UncheckedPdu};
