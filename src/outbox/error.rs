//! What can go wrong while something leaves the building.

/// Why nothing could be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error("reading what is to be sent: {0}")]
    Store(#[from] store::Error),
    /// Rooms could not be read.
    #[error("reading rooms: {0}")]
    Rooms(#[from] rooms::Error),
    /// Users could not be read.
    #[error("reading users: {0}")]
    Users(#[from] users::Error),
    /// Something in the configuration cannot be used.
    #[error("the push gateways cannot be reached: {0}")]
    Configuration(String),
    /// A push gateway was not told.
    #[error("the push gateway: {0}")]
    Gateway(String),
    /// Something that cannot happen has happened.
    #[error("bug in {0}")]
    Bug(&'static str),
}

/// The result of sending.
pub type Result<T, E = Error> = std::result::Result<T, E>;
