//! What can go wrong with our own key, and with asking others.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use base::Timestamp;
use bytes::Bytes;
use ruma::OwnedServerName;

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the server has no key to sign with, or got no answer from another one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Other users of the machine could read the key, and sign as this server.
    #[error(
        "the signing key {} can be read by others (mode {mode:04o}): make it private with `chmod 600 {}`, and if others may have read it, move it \
         away so that a new one is made",
        path.display(),
        path.display()
    )]
    KeyExposed {
        /// The key's file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something else than a key.
    #[error("the signing key {} cannot be used: {why}", path.display())]
    KeyMalformed {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file or its directory cannot be read or written.
    #[error("cannot {doing} {}: {error}", path.display())]
    KeyFile {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
    /// Something in the `[federation]` section cannot be used.
    #[error("federation.{key} cannot be used: {why}")]
    Configuration {
        /// The key of the section.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// This server does not speak with others.
    #[error("federation is switched off on this server")]
    Disabled,
    /// The name leads back to this server.
    #[error("{0} is this server itself")]
    Ourselves(OwnedServerName),
    /// The server has failed lately and is left alone for a while. Nothing was sent.
    #[error("{server} has not answered lately and is not asked again before {until}")]
    BackingOff {
        /// The server.
        server: OwnedServerName,
        /// When it will be asked again.
        until: Timestamp,
    },
    /// No connection could be made, or it broke.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// The server.
        server: OwnedServerName,
        /// What was tried and what came of it.
        why: String,
    },
    /// The name leads to an address that the configuration does not let us connect to.
    #[error("{server} leads to the address {address}, which may not be connected to")]
    Denied {
        /// The server.
        server: OwnedServerName,
        /// One of its addresses.
        address: IpAddr,
    },
    /// The answer did not come, or did not end, in time.
    #[error("{server} took too long to answer")]
    TimedOut {
        /// The server.
        server: OwnedServerName,
    },
    /// The answer is longer than was asked for.
    #[error("the answer of {server} is longer than {limit} bytes")]
    TooLarge {
        /// The server.
        server: OwnedServerName,
        /// How long it may be.
        limit: usize,
    },
    /// The answer makes no sense.
    #[error("the answer of {server} cannot be understood: {why}")]
    Malformed {
        /// The server.
        server: OwnedServerName,
        /// What is wrong with it.
        why: String,
    },
    /// The server answered, and the answer is no.
    #[error("{server} answered {status} {errcode}: {error}")]
    Answered {
        /// The server.
        server: OwnedServerName,
        /// The HTTP status.
        status: u16,
        /// The Matrix error code; empty if there is none.
        errcode: String,
        /// What the server says about it.
        error: String,
        /// The whole answer, as far as it is read.
        body: Bytes,
    },
    /// A request to this server does not prove who sent it.
    #[error("{0}")]
    Unauthorised(String),
    /// What should be sent is no JSON.
    #[error("what should be sent cannot be signed")]
    Unsignable(#[source] event::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether the other server got the question and refused it, so that asking it again will not help, and what it says is about what was asked.
    #[must_use]
    pub fn is_remote_refusal(&self) -> bool {
        matches!(self, Self::Answered { status, errcode, .. } if (400..500).contains(status) && *status != 429 && !errcode.is_empty())
    }

    /// Whether asking again later, or asking another server, may help.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::BackingOff { .. } | Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Answered { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

/// An error and everything that caused it, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.ends_with(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}
