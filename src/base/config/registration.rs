//! The `[registration]` section.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Who may make an account. `myelin user create` on the server's own command line always works.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RegistrationConfig {
    /// Whether clients can register accounts. Needs `token` or `open`.
    pub enabled: bool,
    /// A word that a new user must know to register.
    ///
    /// Example: `"a word you tell to friends"`
    pub token: Option<Secret>,
    /// Whether just anybody can register, without a token. Such servers are found and used by spammers within days.
    pub open: bool,
    /// Whether clients can have guest accounts, which can look at rooms that allow it.
    pub guests: bool,
    /// A secret with which programs can create users, administrators too, through the administration API.
    ///
    /// Example: `"a long random word"`
    pub shared_secret: Option<Secret>,
}
