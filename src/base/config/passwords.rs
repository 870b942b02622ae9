//! The `[passwords]` section.

use serde::{Deserialize, Serialize};

use super::units::ByteSize;

/// How passwords are kept. The defaults make guessing expensive for whoever steals the database, and a login about 30 ms long.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct PasswordsConfig {
    /// Memory per hash (Argon2id). The least possible, `"8 KiB"`, is for tests.
    pub memory: ByteSize,
    /// Passes over that memory, at least 1.
    pub passes: u32,
    /// How many characters a new password needs at least.
    pub min_length: usize,
}

impl Default for PasswordsConfig {
    fn default() -> Self {
        Self {
            memory: ByteSize::from_mib(19),
            passes: 2,
            min_length: 8,
        }
    }
}
