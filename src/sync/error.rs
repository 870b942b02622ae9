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
    /// A request of sliding sync that is not JSON, or not of the shape such a request has.
    #[error("the request cannot be read: {0}")]
    BadRequest(serde_json::Error),
    /// A request that asks for more than anybody gets.
    #[error("the request has too many {0}")]
    TooMany(&'static str),
    /// A position of sliding sync that is not, or no longer, known: the client has to begin anew.
    #[error("the position is not known")]
    UnknownPos,
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
