//! The `[tls]` section.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::units::list;

/// HTTPS without a reverse proxy. The files are read again when they change, so renewing a certificate needs no restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    /// Addresses and ports to listen on with TLS.
    ///
    /// Example: `["0.0.0.0:443", "[::]:443"]`
    #[serde(deserialize_with = "list")]
    pub addresses: Vec<SocketAddr>,
    /// The certificate and those that vouch for it, in PEM form, the server's own first.
    ///
    /// Example: `"/etc/letsencrypt/live/example.org/fullchain.pem"`
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM form.
    ///
    /// Example: `"/etc/letsencrypt/live/example.org/privkey.pem"`
    pub key: Option<PathBuf>,
}
