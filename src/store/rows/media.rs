//! Rows of the content repository.

use minicbor::{Decode, Encode};

use crate::cbor_row;

/// A file that was uploaded completely.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MediaFile {
    /// The type that the uploader gave it.
    #[n(0)]
    pub content_type: Option<String>,
    /// The name that the uploader gave it.
    #[n(1)]
    pub filename: Option<String>,
    /// Bytes.
    #[n(2)]
    pub size: u64,
    /// SHA-256 of the bytes.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub sha256: Vec<u8>,
    /// The local user who uploaded it; none for a file of another server.
    #[n(4)]
    pub uploader: Option<String>,
    /// When, in milliseconds since 1970.
    #[n(5)]
    pub uploaded: u64,
}

cbor_row!(MediaFile);

/// A thumbnail that was made.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Thumbnail {
    /// Its type.
    #[n(0)]
    pub content_type: String,
    /// Its bytes; none when the picture itself is as small and is served in its place.
    #[n(1)]
    pub size: Option<u64>,
}

cbor_row!(Thumbnail);

/// An address that was given out before its file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Reservation {
    /// Who may fill it.
    #[n(0)]
    pub user: String,
    /// When it lapses, in milliseconds since 1970.
    #[n(1)]
    pub until: u64,
}

cbor_row!(Reservation);
