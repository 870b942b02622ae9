//! The `[well_known]` section.

use serde::{Deserialize, Serialize};

/// What `https://<server_name>/.well-known/matrix/…` answers, for a server that is reached under another address than its name. Answered by this server
/// if the requests reach it, and told to clients as they log in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WellKnownConfig {
    /// The address that clients should use.
    ///
    /// Example: `"https://matrix.example.org"`
    pub client: Option<String>,
    /// The host and port that other servers should use.
    ///
    /// Example: `"matrix.example.org:443"`
    pub server: Option<String>,
}
