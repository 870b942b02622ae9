//! Passwords: hashed with Argon2id, off the asynchronous workers, a few at a time.
//!
//! A guess costs as much for a name that does not exist as for one that does, and is counted by account and by address.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base::{Secret, SharedRandom};
use ruma::UserId;
use store::UserNo;
use store::tables::{ACCOUNTS, PASSWORDS};
use tokio::sync::Semaphore;

use crate::throttle::Subject;
use crate::{Error, Refusal, Settings, Users, What, devices};

/// Longer passwords are refused: hashing them costs more, and nobody types them.
const LONGEST: usize = 512;

/// Hashes passwords, a few at a time.
pub(crate) struct Pool {
    params: Params,
    random: SharedRandom,
    workers: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Pool {
    pub(crate) fn new(settings: &Settings, random: SharedRandom) -> Self {
        // Below Argon2's own minimum there is nothing to choose; what an operator may choose is checked by the configuration.
        let (memory, passes) = (
            settings.password_memory_kib.max(Params::MIN_M_COST),
            settings.password_passes.max(1),
        );
        Self {
            params: Params::new(memory, passes, 1, None).unwrap_or_default(),
            random,
            workers: Arc::new(Semaphore::new(settings.password_workers.max(1))),
            waiting: AtomicUsize::new(0),
            most_waiting: settings.password_queue,
        }
    }

    /// The hash of a password, as a PHC string.
    async fn hash(&self, password: Secret) -> Result<String, Error> {
        let (params, mut salt) = (self.params.clone(), [0; 16]);
        self.random.fill(&mut salt);
        self.run(move || hash(params, &password, &salt)).await?
    }

    /// Whether the password is the one that was hashed. Without a hash, it takes as long and says no.
    async fn verify(&self, password: Secret, hash: Option<String>) -> Result<bool, Error> {
        let (params, salt) = (self.params.clone(), [0; 16]);
        self.run(move || match hash {
            Some(hash) => {
                let parsed =
                    PasswordHash::new(&hash).map_err(|_| Error::Damaged("password hash"))?;
                // The costs are those of the stored hash, whatever is configured now.
                Ok(Argon2::default()
                    .verify_password(password.expose().as_bytes(), &parsed)
                    .is_ok())
            }
            None => self::hash(params, &password, &salt).map(|_| false),
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let waiting = Waiting::enter(&self.waiting);
        if waiting.before >= self.most_waiting + self.workers.available_permits() {
            return Err(Error::Busy);
        }
        let turn = self
            .workers
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Busy)?;
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        task.await.map_err(|error| Error::Hash(error.to_string()))
    }
}

/// Counts those who wait, also if they stop waiting.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        Self {
            count,
            before: count.fetch_add(1, Ordering::AcqRel),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

fn hash(params: Params, password: &Secret, salt: &[u8]) -> Result<String, Error> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(password.expose().as_bytes(), salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| Error::Hash(error.to_string()))
}

impl Users {
    /// Checks a password against this server's policy.
    ///
    /// # Errors
    /// If it is too weak.
    pub fn check_password_policy(&self, password: &Secret) -> Result<(), Error> {
        let (length, least) = (
            password.expose().chars().count(),
            self.inner.settings.password_min_length.max(1),
        );
        if length < least {
            return Err(Error::WeakPassword(format!(
                "it needs at least {least} characters"
            )));
        }
        if password.expose().len() > LONGEST {
            return Err(Error::WeakPassword(format!(
                "it may have at most {LONGEST} bytes"
            )));
        }
        Ok(())
    }

    /// The hash of a new password that follows the policy.
    pub(crate) async fn hash_password(&self, password: Secret) -> Result<String, Error> {
        self.check_password_policy(&password)?;
        self.inner.passwords.hash(password).await
    }

    /// Checks the password of a user of this server who tries to log in from an address. Attempts are counted.
    ///
    /// # Errors
    /// If it is wrong, or the account does not exist, has no password, or has been deactivated; or if there were too many
    /// attempts.
    pub async fn check_password(
        &self,
        user: &UserId,
        password: Secret,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        let settings = &self.inner.settings;
        let account = Subject::Account(user.to_string());
        if let Some(from) = from {
            self.inner
                .throttle
                .attempt(&Subject::address(from), settings.logins_per_address)?;
        }
        self.inner
            .throttle
            .attempt(&account, settings.logins_per_account)?;
        let (hash, deactivated) = self.password_hash(user).await?;
        // A password that nobody can have set is not worth the work of hashing megabytes.
        let too_long = password.expose().len() > LONGEST;
        let password = if too_long {
            Secret::default()
        } else {
            password
        };
        let right = self.inner.passwords.verify(password, hash).await? && !too_long;
        if deactivated {
            return Err(Error::Deactivated);
        }
        if !right {
            return Err(Error::Forbidden(Refusal::Password));
        }
        self.inner
            .throttle
            .forgive(&account, settings.logins_per_account);
        if let Some(from) = from {
            self.inner
                .throttle
                .forgive(&Subject::address(from), settings.logins_per_address);
        }
        Ok(())
    }

    /// Whether a user has a password at all.
    pub async fn has_password(&self, user: &UserId) -> Result<bool, Error> {
        Ok(self.password_hash(user).await?.0.is_some())
    }

    async fn password_hash(&self, user: &UserId) -> Result<(Option<String>, bool), Error> {
        if !self.is_local(user) {
            return Ok((None, false));
        }
        let user = user.to_owned();
        self.read(move |s| {
            let Some(no) = s.user_no(&user)? else {
                return Ok((None, false));
            };
            let deactivated = s
                .get(ACCOUNTS, &no)?
                .is_some_and(|account| account.deactivated.is_some());
            Ok((s.get(PASSWORDS, &no)?, deactivated))
        })
        .await
    }

    /// Sets a password, and logs out every device but `keep` if `logout_others`.
    pub async fn set_password(
        &self,
        user: &UserId,
        password: Secret,
        logout_others: Option<LogoutOthers<'_>>,
    ) -> Result<(), Error> {
        let no = self.local_no(user)?;
        let hash = self.hash_password(password).await?;
        let logout = logout_others.map(|others| others.keep.map(ToOwned::to_owned));
        let users = self.clone();
        self.in_lane(no, async move {
            let _sessions = users.inner.sessions.changing(no);
            users
                .write(move |tx| {
                    store_password(tx, no, &hash, logout.as_ref().map(|keep| keep.as_deref()))
                })
                .await
        })
        .await
    }
}

/// Who is logged out when a password changes.
#[derive(Debug, Clone, Copy)]
pub struct LogoutOthers<'a> {
    /// The device that stays.
    pub keep: Option<&'a ruma::DeviceId>,
}

fn store_password(
    tx: &mut store::Tx,
    no: UserNo,
    hash: &str,
    logout: Option<Option<&ruma::DeviceId>>,
) -> Result<(), Error> {
    if !tx.contains(ACCOUNTS, &no)? {
        return Err(Error::NotFound(What::User));
    }
    tx.put(PASSWORDS, &no, hash)?;
    match logout {
        Some(keep) => devices::remove_others(tx, no, keep.map(ruma::DeviceId::as_str)),
        None => Ok(()),
    }
}
