//! Naming a file: `mxc://server/media-id` (client-server API, "Matrix Content (`mxc://`) URIs").

use ruma::{OwnedServerName, ServerName};

use crate::Error;

/// The longest media id that is looked at.
const LONGEST: usize = 255;

/// A file's address: who keeps it and under which id. Both parts are well formed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaRef {
    /// The server that the file was uploaded to.
    pub server: OwnedServerName,
    /// The id there.
    pub id: String,
}

impl MediaRef {
    /// Checks both parts against their grammar.
    ///
    /// # Errors
    /// [`Error::BadAddress`] when one of them is not well formed.
    pub fn new(server: &ServerName, id: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.is_empty() || id.len() > LONGEST || !id.bytes().all(allowed) {
            return Err(Error::BadAddress(
                "a media id consists of letters, digits, «-» and «_»",
            ));
        }
        Ok(Self {
            server: server.to_owned(),
            id: id.to_owned(),
        })
    }

    /// The address as clients write it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("mxc://{}/{}", self.server, self.id)
    }

    /// The key of the file in our tables.
    pub(crate) fn key(&self) -> (&str, &str) {
        (self.server.as_str(), self.id.as_str())
    }
}
