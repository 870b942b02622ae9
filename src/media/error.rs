//! What can go wrong with media.

use std::io;

/// Why a file could not be taken or given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such file, or it belongs to a server that we cannot ask.
    #[error("there is no such file here")]
    NotFound,
    /// The address is reserved, and its file has not arrived within the time that the asker would wait.
    #[error("the file has not been uploaded yet")]
    NotYetUploaded,
    /// The reserved address already has its file.
    #[error("this address already has its file; reserve another")]
    AlreadyUploaded,
    /// The address was reserved by somebody else.
    #[error("this address was reserved by somebody else")]
    NotYours,
    /// The user holds as many reserved addresses as one may.
    #[error("too many reserved addresses are waiting for their files; upload those first")]
    TooManyReserved,
    /// The upload is larger than the configuration allows; the limit in bytes.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// The address is not well formed.
    #[error("{0}")]
    BadAddress(&'static str),
    /// The thumbnail request makes no sense.
    #[error("{0}")]
    BadThumbnail(&'static str),
    /// The file is no picture of a kind that we scale, or a damaged one.
    #[error("no thumbnail can be made of this file")]
    NoThumbnail,
    /// The body ended early or could not be read.
    #[error("the upload broke off: {0}")]
    BrokenUpload(String),
    /// Another server could not be asked for its file, or would not give it.
    #[error(transparent)]
    Peers(#[from] peers::Error),
    /// What another server gave is not a file.
    #[error("{0}")]
    BadRemote(&'static str),
    /// The disk or the file system.
    #[error("media file: {0}")]
    File(#[from] io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Something that cannot happen; the place where it did.
    #[error("a fault in the media repository: {0}")]
    Bug(&'static str),
}
