//! What can go wrong while somebody is told what is new.

/// Why an answer could not be given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A token that this server never handed out.
    #[error("the token is not one of this server's")]
    BadToken,
    /// A filter that is not JSON, or not of the shape a filter has.
    #[error("the filter cannot be read: {0}")]
    BadFilter(serde_json::Error),
    /// The user has stored no filter with this name.
    #[error("there is no such filter")]
    UnknownFilter,
    /// The store failed.
    #[error("reading the store: {0}")]
    Store(#[from] store::Error),
    /// Rooms could not be read.
    #[error("reading rooms: {0}")]
    Rooms(#[from] rooms::Error),
    /// Users could not be read.
    #[error("reading users: {0}")]
    Users(#[from] users::Error),
    /// Something that cannot happen has happened.
    #[error("bug in {0}")]
    Bug(&'static str),
}

/// The result of reading.
pub type Result<T, E = Error> = std::result::Result<T, E>;
