//! What an operator may choose about users, and the defaults.

use std::time::Duration;

use base::config::{LimitsConfig, PasswordsConfig, PresenceConfig};

use crate::throttle::Allowance;

/// What an operator may choose about users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Memory that hashing one password takes, in KiB.
    pub password_memory_kib: u32,
    /// How many times a password's hash goes over that memory.
    pub password_passes: u32,
    /// The fewest characters of a password.
    pub password_min_length: usize,
    /// How many passwords are hashed at the same time.
    pub password_workers: usize,
    /// How many more may wait for that.
    pub password_queue: usize,
    /// How often one may try in vain to log in to one account.
    pub logins_per_account: Allowance,
    /// How often one may try in vain to log in from one address.
    pub logins_per_address: Allowance,
    /// How long access tokens of clients that can refresh them are valid.
    pub access_token_lifetime: Duration,
    /// How long access tokens of other clients are valid, if not for ever.
    pub lasting_token_lifetime: Option<Duration>,
    /// How long OpenID tokens are valid.
    pub openid_token_lifetime: Duration,
    /// Whether users see each other's presence.
    pub presence: bool,
    /// How many messages may wait for a device; after that, the oldest go.
    pub to_device_limit: usize,
    /// How many sessions are kept in memory.
    pub cached_sessions: usize,
    /// Of how many users profiles, push rules and the like are kept in memory.
    pub cached_users: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // OWASP's recommendation: 19 MiB, two passes, one lane.
            password_memory_kib: 19 * 1024,
            password_passes: 2,
            password_min_length: 8,
            password_workers: 2,
            password_queue: 256,
            logins_per_account: Allowance {
                burst: 5,
                window: Duration::from_secs(60),
            },
            logins_per_address: Allowance {
                burst: 50,
                window: Duration::from_secs(60),
            },
            access_token_lifetime: Duration::from_secs(60 * 60),
            lasting_token_lifetime: None,
            openid_token_lifetime: Duration::from_secs(60 * 60),
            presence: true,
            to_device_limit: 20_000,
            cached_sessions: 50_000,
            cached_users: 20_000,
        }
    }
}

impl Settings {
    /// What the configuration says.
    #[must_use]
    pub fn of(
        passwords: &PasswordsConfig,
        presence: &PresenceConfig,
        limits: &LimitsConfig,
    ) -> Self {
        let sign_in = if limits.rates {
            Allowance::of(limits.sign_in)
        } else {
            Allowance::UNLIMITED
        };
        Self {
            password_memory_kib: u32::try_from(passwords.memory.bytes() >> 10).unwrap_or(u32::MAX),
            password_passes: passwords.passes,
            password_min_length: passwords.min_length,
            logins_per_account: sign_in,
            // Behind one address there may be a whole house.
            logins_per_address: sign_in.times(10),
            presence: presence.enabled,
            ..Self::default()
        }
    }
}
