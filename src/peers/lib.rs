//! Asking other servers: finding them, proving who we are, knowing their keys, and leaving those alone that do not answer.
//!
//! Nothing here knows a room, an account or what is asked for. [`Peers`] is the handle; how requests travel is a [`Transport`]:
//! [`real::Real`] in earnest, [`loopback::Network`] in tests.

mod addresses;
mod ask;
mod asker;
mod backoff;
mod error;
mod header;
mod keys;
pub mod loopback;
mod own_key;
mod peers;
pub mod real;
mod signing;
pub mod testing;
#[cfg(test)]
mod tests;
mod trace;
mod transport;
mod turns;
mod verify;

pub use addresses::AddressRules;
pub use ask::{Ask, Patience, path, path_and_query};
pub use asker::Reply;
pub use backoff::{Backoff, Failure};
pub use error::{Error, Result};
pub use keys::{KeyQuery, KeyRing, Keys, OldKey, Wanted};
pub use own_key::OwnKey;
pub use peers::{Needs, Peers};
pub use trace::{Outcome, Step};
pub use transport::{Body, Transport};
pub use verify::VerifyRequest;
