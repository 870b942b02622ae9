//! What can go wrong between an administrator and the server.

/// Why an administrator's request came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The action itself failed.
    #[error(transparent)]
    Action(#[from] actions::Error),
    /// Something about our own key, or about asking other servers.
    #[error(transparent)]
    Peers(#[from] peers::Error),
    /// The server refused, and said why.
    #[error("{0}")]
    Refused(String),
    /// Something about the files or the socket of the server.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The running server said something we cannot read: it is probably of another version.
    #[error(
        "the running server gave an answer this command cannot read ({0}); is it of the same version?"
    )]
    Unreadable(String),
    /// The database could not be opened.
    #[error("no server answers, and its database cannot be opened: {0}")]
    NotOpened(String),
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
}

/// The result of an administrator's request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
