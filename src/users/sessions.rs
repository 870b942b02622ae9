//! Sessions: who is speaking. Access tokens and refresh tokens, of which only hashes are kept (CS "Using access tokens",
//! "Refreshing access tokens").
//!
//! A device has one session at a time. Refreshing gives a new pair of tokens; the old pair stays valid until the new one
//! is used, since the answer may have got lost. A refresh token that is seen again after that has been copied, so the
//! whole session ends, whoever holds it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use base::{Random, Secret, random};
use minicbor::bytes::ByteArray;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use sha2::{Digest, Sha256};
use store::rows::users::{AccessToken, Device, RefreshToken, Session, TokenPair};
use store::tables::{ACCESS_TOKENS, ACCOUNTS, DEVICES, REFRESH_TOKENS, SESSIONS};
use store::{Snapshot, Tx, UserNo};

use crate::accounts::Account;
use crate::cached::{Cached, Changing};
use crate::{Error, Users, What, devices};

/// Prefixes keep the kinds of tokens apart from each other and from those of application services.
const ACCESS_PREFIX: &str = "mla_";
const REFRESH_PREFIX: &str = "mlr_";
/// Characters of a token behind its prefix, worth 190 bits.
const TOKEN_LENGTH: usize = 32;
/// Used refresh tokens that are recognised; older ones are merely unknown.
const REMEMBERED: usize = 16;
/// Device ids are chosen by clients.
const DEVICE_ID_LIMIT: usize = 255;

/// Who is speaking, as an access token says.
#[derive(Debug)]
pub struct Identity {
    /// The user.
    pub user_id: OwnedUserId,
    /// Their device.
    pub device_id: OwnedDeviceId,
    /// Their account, as it is now.
    pub account: Account,
    user: UserNo,
    expires: Option<u64>,
    /// When it was last noted that the device was seen.
    pub(crate) noted: AtomicU64,
}

impl Identity {
    /// The user's number.
    #[must_use]
    pub fn user_no(&self) -> UserNo {
        self.user
    }
}

/// What somebody who logs in asks for.
#[derive(Debug, Clone, Default)]
pub struct NewSession {
    /// The device to log in with; without one, a new device.
    pub device_id: Option<OwnedDeviceId>,
    /// What to call it, if it is new.
    pub display_name: Option<String>,
    /// Whether the client can refresh its token.
    pub refreshable: bool,
}

/// What somebody who has logged in gets.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Who they are.
    pub user_id: OwnedUserId,
    /// Their device.
    pub device_id: OwnedDeviceId,
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, if they asked for one.
    pub refresh_token: Option<Secret>,
    /// How long the access token is valid, if not for ever.
    pub expires_in_ms: Option<u64>,
}

/// Sessions in memory.
pub(crate) struct Hot(Cached<[u8; 32], Arc<Identity>>);

impl Hot {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cached::new(capacity))
    }

    /// To be held while a user's account or sessions change.
    pub(crate) fn changing(&self, user: UserNo) -> Changing {
        self.0.changing(user)
    }
}

/// The form in which a token is kept.
pub(crate) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

pub(crate) fn new_token(random: &dyn Random, prefix: &str) -> Secret {
    Secret::new(format!("{prefix}{}", random::token(random, TOKEN_LENGTH)))
}

/// A new device's id.
pub(crate) fn new_device_id(random: &dyn Random) -> OwnedDeviceId {
    random::token(random, 10).to_ascii_uppercase().into()
}

/// Two tokens that have not been given to anybody yet.
#[derive(Clone)]
pub(crate) struct Fresh {
    access: Secret,
    refresh: Option<Secret>,
    lifetime: Option<u64>,
}

impl Fresh {
    fn row(&self) -> TokenPair {
        let hash = |token: &Secret| ByteArray::from(digest(token.expose()));
        TokenPair {
            access: hash(&self.access),
            refresh: self.refresh.as_ref().map(hash),
        }
    }

    /// The answer to whoever asked for it.
    pub(crate) fn into_tokens(self, user_id: OwnedUserId, device_id: OwnedDeviceId) -> Tokens {
        Tokens {
            user_id,
            device_id,
            access_token: self.access,
            refresh_token: self.refresh,
            expires_in_ms: self.lifetime,
        }
    }
}

/// The outcome of refreshing.
enum Refreshed {
    Done {
        user: OwnedUserId,
        device: String,
    },
    /// Somebody else has used this token before: the session has ended.
    Replayed,
}

impl Users {
    /// Who an access token speaks for. That the account is locked or suspended is for the caller to judge.
    ///
    /// # Errors
    /// If the token is not valid.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Identity>, Error> {
        let hash = digest(token);
        let identity = match self.inner.sessions.0.get(&hash) {
            Some(identity) => identity,
            None => self.load_identity(hash).await?,
        };
        match identity.expires {
            Some(expires) if expires <= self.now() => Err(Error::UnknownToken { soft: true }),
            _ => Ok(identity),
        }
    }

    async fn load_identity(&self, hash: [u8; 32]) -> Result<Arc<Identity>, Error> {
        let owner = self.read(move |s| Ok(s.get(ACCESS_TOKENS, &hash)?)).await?;
        let Some(AccessToken {
            user,
            device,
            expires,
        }) = owner
        else {
            return Err(Error::UnknownToken { soft: false });
        };
        // An expired token of a newer pair proves nothing, and must not end the older one.
        if expires.is_none_or(|expires| expires > self.now()) {
            self.confirm(user, device, hash).await?;
        }
        let users = self.clone();
        self.read(move |_| {
            let load = || read_identity(&users.store().snapshot(), &hash).map(Arc::new);
            users.inner.sessions.0.load(user, hash, load)
        })
        .await
    }

    /// A token of the newer pair has been used, so the older pair has served its time.
    async fn confirm(&self, user: UserNo, device: String, hash: [u8; 32]) -> Result<(), Error> {
        let is_next = move |s: &Snapshot, key: &(UserNo, String)| -> Result<bool, Error> {
            let next = s.get(SESSIONS, key)?.and_then(|session| session.next);
            Ok(next.is_some_and(|next| *next.access == hash))
        };
        let key = (user, device);
        let probe = key.clone();
        if !self.read(move |s| is_next(s, &probe)).await? {
            return Ok(());
        }
        let users = self.clone();
        self.in_lane(user, async move {
            let _sessions = users.inner.sessions.changing(user);
            users
                .write(move |tx| {
                    let Some(mut session) = tx.get_for_update(SESSIONS, &key)? else {
                        return Ok(());
                    };
                    if session
                        .next
                        .as_ref()
                        .is_some_and(|next| *next.access == hash)
                    {
                        promote(tx, &mut session);
                        tx.put(SESSIONS, &key, &session)?;
                    }
                    Ok(())
                })
                .await
        })
        .await
    }

    /// Logs a user in. Whether they may has been judged; an earlier session of the same device ends.
    pub async fn open_session(&self, user: &UserId, wanted: NewSession) -> Result<Tokens, Error> {
        let (no, now) = (self.local_no(user)?, self.now());
        let fresh = self.fresh(wanted.refreshable);
        let device = self.device_for(wanted.device_id)?;
        let (pair, expires) = (fresh.row(), fresh.lifetime.map(|life| now + life));
        let (users, name, device_row) = (self.clone(), wanted.display_name, device.clone());
        self.in_lane(no, async move {
            let _sessions = users.inner.sessions.changing(no);
            users
                .write(move |tx| {
                    let account = tx
                        .get_for_update(ACCOUNTS, &no)?
                        .ok_or(Error::NotFound(What::User))?;
                    if account.deactivated.is_some() {
                        return Err(Error::Deactivated);
                    }
                    open(tx, no, &device_row, name.as_deref(), &pair, (now, expires))
                })
                .await
        })
        .await?;
        Ok(fresh.into_tokens(user.to_owned(), device))
    }

    /// Logs one device out, and forgets it. That it had gone before is no error.
    pub async fn close_session(&self, user: &UserId, device: &DeviceId) -> Result<(), Error> {
        match self.delete_devices(user, vec![device.to_owned()]).await {
            Ok(()) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Logs every device out, and forgets them.
    pub async fn close_all_sessions(&self, user: &UserId) -> Result<(), Error> {
        let no = self.local_no(user)?;
        let users = self.clone();
        self.in_lane(no, async move {
            let _sessions = users.inner.sessions.changing(no);
            users
                .write(move |tx| devices::remove_others(tx, no, None))
                .await
        })
        .await
    }

    /// Gives a new pair of tokens for a refresh token.
    ///
    /// # Errors
    /// If the token is not valid. If it was used before, the session ends with it.
    pub async fn refresh(&self, token: &str) -> Result<Tokens, Error> {
        let hash = digest(token);
        let owner = self
            .read(move |s| Ok(s.get(REFRESH_TOKENS, &hash)?))
            .await?;
        let Some(RefreshToken { user, device }) = owner else {
            return Err(Error::UnknownToken { soft: false });
        };
        let (fresh, now) = (self.fresh(true), self.now());
        let (pair, expires) = (fresh.row(), fresh.lifetime.map(|life| now + life));
        let users = self.clone();
        let refreshed = self.in_lane(user, async move {
            let _sessions = users.inner.sessions.changing(user);
            users
                .write(move |tx| exchange(tx, hash, (user, device.clone()), &pair, expires))
                .await
        });
        match refreshed.await? {
            Refreshed::Done { user, device } => Ok(fresh.into_tokens(user, device.into())),
            Refreshed::Replayed => Err(Error::UnknownToken { soft: false }),
        }
    }

    pub(crate) fn fresh(&self, refreshable: bool) -> Fresh {
        let (random, settings) = (&*self.inner.random, &self.inner.settings);
        let lifetime = if refreshable {
            Some(settings.access_token_lifetime)
        } else {
            settings.lasting_token_lifetime
        };
        Fresh {
            access: new_token(random, ACCESS_PREFIX),
            refresh: refreshable.then(|| new_token(random, REFRESH_PREFIX)),
            lifetime: lifetime.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// The device to log in with: the wanted one, or a new one.
    pub(crate) fn device_for(&self, wanted: Option<OwnedDeviceId>) -> Result<OwnedDeviceId, Error> {
        match wanted {
            None => Ok(new_device_id(&*self.inner.random)),
            Some(device) if device.as_str().is_empty() || device.as_str() == "*" => {
                Err(Error::InvalidParam("this is not a device id".to_owned()))
            }
            Some(device) if device.as_str().len() > DEVICE_ID_LIMIT => {
                Err(Error::TooLarge("the device id"))
            }
            Some(device) => Ok(device),
        }
    }
}

impl Fresh {
    /// Writes a session with these tokens for an account that is being created.
    pub(crate) fn write(
        &self,
        tx: &mut Tx,
        user: UserNo,
        device: &DeviceId,
        name: Option<&str>,
        now: u64,
    ) -> Result<(), Error> {
        let expires = self.lifetime.map(|life| now + life);
        open(tx, user, device, name, &self.row(), (now, expires))
    }
}

fn read_identity(s: &Snapshot, hash: &[u8; 32]) -> Result<Identity, Error> {
    let unknown = Error::UnknownToken { soft: false };
    let Some(AccessToken {
        user,
        device,
        expires,
    }) = s.get(ACCESS_TOKENS, hash)?
    else {
        return Err(unknown);
    };
    let Some(account) = s.get(ACCOUNTS, &user)? else {
        return Err(unknown);
    };
    if account.deactivated.is_some() {
        return Err(unknown);
    }
    let user_id = s.user_id(user)?;
    Ok(Identity {
        user_id,
        device_id: device.into(),
        account: account.into(),
        user,
        expires,
        noted: AtomicU64::new(0),
    })
}

/// Writes a new session of a device, in place of an older one.
fn open(
    tx: &mut Tx,
    user: UserNo,
    device: &DeviceId,
    name: Option<&str>,
    pair: &TokenPair,
    (now, expires): (u64, Option<u64>),
) -> Result<(), Error> {
    let key = (user, device.as_str().to_owned());
    revoke(tx, &key)?;
    if tx
        .get_for_update(DEVICES, &key)?
        .is_none_or(|known| known.dehydrated)
    {
        let row = Device {
            display_name: name.map(devices::shorten),
            created: now,
            dehydrated: false,
        };
        tx.put(DEVICES, &key, &row)?;
    }
    put_pair(tx, &key, pair, expires)?;
    let session = Session {
        current: pair.clone(),
        next: None,
        used: Vec::new(),
        created: now,
    };
    Ok(tx.put(SESSIONS, &key, &session)?)
}

fn put_pair(
    tx: &mut Tx,
    key: &(UserNo, String),
    pair: &TokenPair,
    expires: Option<u64>,
) -> Result<(), Error> {
    let (user, device) = (key.0, key.1.clone());
    if let Some(refresh) = &pair.refresh {
        tx.put(
            REFRESH_TOKENS,
            &**refresh,
            &RefreshToken {
                user,
                device: device.clone(),
            },
        )?;
    }
    Ok(tx.put(
        ACCESS_TOKENS,
        &*pair.access,
        &AccessToken {
            user,
            device,
            expires,
        },
    )?)
}

fn delete_pair(tx: &mut Tx, pair: &TokenPair) {
    tx.delete(ACCESS_TOKENS, &*pair.access);
    if let Some(refresh) = &pair.refresh {
        tx.delete(REFRESH_TOKENS, &**refresh);
    }
}

/// Ends the session of a device, if it has one.
pub(crate) fn revoke(tx: &mut Tx, key: &(UserNo, String)) -> Result<(), Error> {
    let Some(session) = tx.get_for_update(SESSIONS, key)? else {
        return Ok(());
    };
    for pair in std::iter::once(&session.current).chain(&session.next) {
        delete_pair(tx, pair);
    }
    for used in &session.used {
        tx.delete(REFRESH_TOKENS, &**used);
    }
    tx.delete(SESSIONS, key);
    Ok(())
}

/// Makes the newer pair the current one. The old refresh token is remembered as used.
fn promote(tx: &mut Tx, session: &mut Session) {
    let Some(next) = session.next.take() else {
        return;
    };
    let old = std::mem::replace(&mut session.current, next);
    tx.delete(ACCESS_TOKENS, &*old.access);
    if let Some(refresh) = old.refresh {
        session.used.push(refresh);
        if session.used.len() > REMEMBERED {
            let forgotten = session.used.remove(0);
            tx.delete(REFRESH_TOKENS, &*forgotten);
        }
    }
}

/// Decides what a refresh token is worth, and writes the new pair.
fn exchange(
    tx: &mut Tx,
    token: [u8; 32],
    key: (UserNo, String),
    fresh: &TokenPair,
    expires: Option<u64>,
) -> Result<Refreshed, Error> {
    let unknown = Error::UnknownToken { soft: false };
    let is_this = |pair: &TokenPair| {
        pair.refresh
            .as_ref()
            .is_some_and(|refresh| **refresh == token)
    };
    let Some(mut session) = tx.get_for_update(SESSIONS, &key)? else {
        return Err(unknown);
    };
    if session.next.as_ref().is_some_and(is_this) {
        promote(tx, &mut session);
    } else if !is_this(&session.current) {
        if session.used.iter().any(|used| **used == token) {
            revoke(tx, &key)?;
            tracing::warn!(user = %key.0, "a refresh token was used twice: its session has been ended");
            return Ok(Refreshed::Replayed);
        }
        return Err(unknown);
    }
    // The answer with the pair that nobody has used may have got lost; only one pair may replace the current one.
    if let Some(lost) = session.next.replace(fresh.clone()) {
        delete_pair(tx, &lost);
    }
    put_pair(tx, &key, fresh, expires)?;
    tx.put(SESSIONS, &key, &session)?;
    Ok(Refreshed::Done {
        user: tx.user_id(key.0)?,
        device: key.1,
    })
}
