//! Accounts, sessions, devices, keys, profiles, account data, presence and to-device messages: what belongs to people,
//! not to rooms.
//!
//! [`Users`] is the handle that everybody holds; its verbs stand in the module of their subject. Functions that take a
//! `&Snapshot` first are for those who compose several reads in one moment. Who may do what to whom, and what reaches
//! other servers, is decided in `actions`; which error code a client is told, in `web`.

pub mod account_data;
pub mod accounts;
mod cached;
pub mod cross_signing;
pub mod dehydrated;
pub mod device_keys;
pub mod device_lists;
pub mod devices;
mod error;
pub mod filters;
pub mod key_backup;
pub mod key_queries;
pub mod one_time_keys;
pub mod passwords;
pub mod presence;
pub mod profile;
pub mod push_queue;
pub mod push_rules;
pub mod pushers;
pub mod registration;
pub mod registration_tokens;
pub mod remote_devices;
pub mod sessions;
mod settings;
pub mod shared_secret;
mod signed_json;
mod sweep;
pub mod threepids;
pub mod throttle;
pub mod to_device;
pub mod to_device_out;
pub mod tokens;
pub mod uia;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use base::{Lanes, SharedClock, SharedRandom};
use ruma::{OwnedServerName, ServerName, UserId};
use store::{Snapshot, Store, UserNo};

pub use error::{Error, Refusal, RuleError, What};
pub use sessions::Identity;
pub use settings::Settings;
pub use sweep::Sweeper;

/// Everything about users. Clones are handles of the same thing.
#[derive(Clone)]
pub struct Users {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: SharedClock,
    random: SharedRandom,
    server_name: OwnedServerName,
    settings: Settings,
    /// Changes of one user that read what they replace, one at a time. Work in a lane ends even if its caller hangs up,
    /// so that caches learn of every commit.
    lanes: Lanes<UserNo>,
    token_lanes: Lanes<String>,
    passwords: passwords::Pool,
    throttle: throttle::Throttle,
    sessions: sessions::Hot,
    seen: devices::SeenLater,
    claims: one_time_keys::InFlight,
    counts: one_time_keys::Counts,
    inboxes: to_device::Inboxes,
    outboxes: to_device_out::Outboxes,
    profiles: profile::Hot,
    rules: push_rules::Hot,
    pushed: pushers::Pushed,
    ignored: account_data::HotIgnored,
    presence: presence::Live,
    uia: uia::Sessions,
    nonces: shared_secret::Nonces,
}

impl Users {
    /// The users of the server called `server_name`.
    #[must_use]
    pub fn new(
        settings: Settings,
        server_name: &ServerName,
        store: Store,
        clock: SharedClock,
        random: SharedRandom,
    ) -> Self {
        let inner = Inner {
            server_name: server_name.to_owned(),
            lanes: Lanes::new(),
            token_lanes: Lanes::new(),
            passwords: passwords::Pool::new(&settings, random.clone()),
            throttle: throttle::Throttle::new(clock.clone(), 65_536),
            sessions: sessions::Hot::new(settings.cached_sessions),
            seen: devices::SeenLater::default(),
            claims: one_time_keys::InFlight::default(),
            counts: one_time_keys::Counts::new(settings.cached_sessions),
            inboxes: to_device::Inboxes::new(65_536),
            outboxes: to_device_out::Outboxes::new(4_096),
            profiles: profile::Hot::new(settings.cached_users),
            rules: push_rules::Hot::new(settings.cached_users),
            pushed: pushers::Pushed::default(),
            ignored: account_data::HotIgnored::new(settings.cached_users),
            presence: presence::Live::default(),
            uia: uia::Sessions::new(clock.clone(), random.clone()),
            nonces: shared_secret::Nonces::new(clock.clone(), random.clone()),
            store,
            clock,
            random,
            settings,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The name of this server.
    #[must_use]
    pub fn server_name(&self) -> &ServerName {
        &self.inner.server_name
    }

    /// Whether a user is one of this server's, going by their id.
    #[must_use]
    pub fn is_local(&self, user: &UserId) -> bool {
        user.server_name() == self.inner.server_name
    }

    /// The throttle that counts logins; `web` and `actions` count other things with it.
    #[must_use]
    pub fn throttle(&self) -> &throttle::Throttle {
        &self.inner.throttle
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Milliseconds since 1970.
    fn now(&self) -> u64 {
        self.inner.clock.now().millis()
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.store.read(read).await
    }

    async fn write<T: Send + 'static>(
        &self,
        decide: impl FnMut(&mut store::Tx) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.store.write(decide).await.map(|(value, _)| value)
    }

    /// The number of a user who has an account here.
    fn local_no(&self, user: &UserId) -> Result<UserNo, Error> {
        self.inner
            .store
            .snapshot()
            .user_no(user)?
            .ok_or(Error::NotFound(What::User))
    }

    /// Runs `work` after whatever else is under way for this user. Must not be called from within such work.
    async fn in_lane<T, F>(&self, user: UserNo, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.inner.lanes.run(user, work).await
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Users of {}", self.inner.server_name)
    }
}

/// The number of a user who must be known.
fn known(snapshot: &Snapshot, user: &UserId) -> Result<UserNo, Error> {
    snapshot.user_no(user)?.ok_or(Error::NotFound(What::User))
}
