//! The `[rooms]` section.

use serde::{Deserialize, Serialize};

/// Rooms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomsConfig {
    /// The version of rooms created without asking for one.
    pub default_version: String,
}

impl Default for RoomsConfig {
    fn default() -> Self {
        Self {
            default_version: "12".to_owned(),
        }
    }
}
