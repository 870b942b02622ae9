//! The `[presence]` section.

use serde::{Deserialize, Serialize};

/// Who is online.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct PresenceConfig {
    /// Whether users see each other's presence.
    pub enabled: bool,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}
