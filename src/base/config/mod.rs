//! The configuration: one struct per section, each key with its meaning and its default.
//!
//! Defaults, then the file, then `MYELIN_…` variables of the environment, nested with `__` (`MYELIN_STORAGE__PATH`). What is not understood is refused with
//! the place and the nearest thing that would have been understood. `config.example.toml` is written from this folder by a test. A crate receives
//! only its own section.

mod check;
#[cfg(test)]
mod example;
mod federation;
mod keys;
mod limits;
mod listen;
mod load;
mod log;
mod media;
mod passwords;
mod presence;
mod registration;
mod rooms;
mod storage;
mod tls;
mod units;
mod well_known;

use serde::{Deserialize, Serialize};

pub use federation::FederationConfig;
pub use limits::LimitsConfig;
pub use listen::ListenConfig;
pub use load::{Error, environment, locate};
pub use log::{LogConfig, LogFormat};
pub use media::MediaConfig;
pub use passwords::PasswordsConfig;
pub use presence::PresenceConfig;
pub use registration::RegistrationConfig;
pub use rooms::RoomsConfig;
pub use storage::StorageConfig;
pub use tls::TlsConfig;
pub use units::{ByteSize, Rate, Span};
pub use well_known::WellKnownConfig;

/// Everything that can be set. Every key has a default; a real server sets `server_name` and where it can be reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The part after the colon in user names: `@alice:example.org`. It can never be changed later.
    pub server_name: String,
    /// `[listen]`
    pub listen: ListenConfig,
    /// `[tls]`
    pub tls: TlsConfig,
    /// `[well_known]`
    pub well_known: WellKnownConfig,
    /// `[federation]`
    pub federation: FederationConfig,
    /// `[storage]`
    pub storage: StorageConfig,
    /// `[registration]`
    pub registration: RegistrationConfig,
    /// `[passwords]`
    pub passwords: PasswordsConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[media]`
    pub media: MediaConfig,
    /// `[rooms]`
    pub rooms: RoomsConfig,
    /// `[presence]`
    pub presence: PresenceConfig,
    /// `[log]`
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: "localhost".to_owned(),
            listen: ListenConfig::default(),
            tls: TlsConfig::default(),
            well_known: WellKnownConfig::default(),
            federation: FederationConfig::default(),
            storage: StorageConfig::default(),
            registration: RegistrationConfig::default(),
            passwords: PasswordsConfig::default(),
            limits: LimitsConfig::default(),
            media: MediaConfig::default(),
            rooms: RoomsConfig::default(),
            presence: PresenceConfig::default(),
            log: LogConfig::default(),
        }
    }
}
