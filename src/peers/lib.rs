//! Asking other servers, and the key with which we sign.

mod error;
mod keys;

pub use error::Error;
pub use keys::OwnKey;
