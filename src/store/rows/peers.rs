//! Rows about other servers: their keys, and how they have failed.

use minicbor::{Decode, Encode};

use crate::cbor_row;

/// Everything that is known of a server's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ServerKeysRow {
    /// The keys, each once.
    #[n(0)]
    pub keys: Vec<ServerKeyRow>,
    /// The document that the server published last, as it signed it.
    #[n(1)]
    pub document: Option<String>,
    /// When that was fetched, in milliseconds since 1970.
    #[n(2)]
    pub fetched: u64,
    /// Until when the document says of itself that it is valid.
    #[n(3)]
    pub valid_until: u64,
}

cbor_row!(ServerKeysRow);

/// A public key of a server.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ServerKeyRow {
    /// Its name, `ed25519:…`.
    #[n(0)]
    pub key_id: String,
    /// The key in Base64.
    #[n(1)]
    pub key: String,
    /// Until when it is good, or was in use.
    #[n(2)]
    pub until: u64,
    /// Whether it is no longer in use.
    #[n(3)]
    pub old: bool,
    /// When this was learnt, in milliseconds since 1970.
    #[n(4)]
    pub fetched: u64,
}

/// A server that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BackOffRow {
    /// How many attempts have failed in a row.
    #[n(0)]
    pub failures: u64,
    /// When the first of them did, in milliseconds since 1970.
    #[n(1)]
    pub since: u64,
    /// Until when it is left alone.
    #[n(2)]
    pub until: u64,
}

cbor_row!(BackOffRow);
