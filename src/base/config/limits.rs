//! The `[limits]` section.

use serde::{Deserialize, Serialize};

use super::units::{ByteSize, Rate, Span};

/// What one client may ask for. Rates count per user, or per address (IPv6: per /64 network) before anybody has signed in; `"5/m burst 20"` means twenty
/// at once after a rest, and five a minute in the long run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsConfig {
    /// The largest request body, uploads aside.
    pub body: ByteSize,
    /// How long a request's body may take to arrive, uploads aside.
    pub body_time: Span,
    /// Whether rates are limited at all. Switch it off only for tests and benchmarks.
    pub rates: bool,
    /// Requests of any kind.
    pub requests: Rate,
    /// Messages and other events.
    pub messages: Rate,
    /// Attempts to sign in.
    pub sign_in: Rate,
    /// Attempts to register, and questions whether a name is free.
    pub registration: Rate,
    /// Requests of one other server.
    pub servers: Rate,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            body: ByteSize::from_mib(4),
            body_time: Span::from_secs(60),
            rates: true,
            requests: Rate::per_second(100, 500),
            messages: Rate::per_second(10, 100),
            sign_in: Rate::per_minute(10, 5),
            registration: Rate::per_minute(10, 10),
            servers: Rate::per_second(200, 2000),
        }
    }
}
