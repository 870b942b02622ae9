//! Our own keys as others see them: the document under `/_matrix/key/v2/server` (server-server API, *Publishing Keys*).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::{SharedClock, Timestamp};
use event::sign::{PublicKey, VerifyKey, sign_json};
use ruma::{CanonicalJsonObject, ServerName};
use serde_json::json;

use super::document;
use crate::error::{Error, Result};
use crate::own_key::OwnKey;

/// How long others may believe the document without asking again.
const VALID: Duration = Duration::from_secs(24 * 60 * 60);
/// How long one document is given out before a new one is made.
const RENEWED: Duration = Duration::from_secs(60 * 60);

/// A key that this server signed with in the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldKey {
    /// Its name, `ed25519:…`.
    pub key_id: String,
    /// The public half.
    pub key: PublicKey,
    /// When it went out of use.
    pub expired: Timestamp,
}

impl OldKey {
    /// Reads `ed25519:<version> <public key in Base64> <milliseconds since 1970>`.
    ///
    /// # Errors
    /// With what is wrong, as the rest of a sentence.
    pub fn parse(line: &str) -> Result<Self, String> {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let [key_id, key, expired] = parts[..] else {
            return Err(format!(
                "{line:?} must hold a name, a public key and a time"
            ));
        };
        let version = key_id.strip_prefix("ed25519:").unwrap_or_default();
        let named = !version.is_empty()
            && version
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !named {
            return Err(format!(
                "{key_id:?} is no name of a key, such as \"ed25519:a_AbCd\""
            ));
        }
        Ok(Self {
            key_id: key_id.to_owned(),
            key: PublicKey::from_base64(key).map_err(|error| format!("{key:?}: {error}"))?,
            expired: expired
                .parse()
                .map(Timestamp::from_millis)
                .map_err(|_| format!("{expired:?} is no time in milliseconds since 1970"))?,
        })
    }
}

impl std::fmt::Display for OldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.key_id,
            self.key.to_base64(),
            self.expired.millis()
        )
    }
}

/// The key we sign with, and those we signed with.
pub(crate) struct OwnKeys {
    own: OwnKey,
    old: Vec<OldKey>,
    clock: SharedClock,
    document: Mutex<Option<(Timestamp, String)>>,
}

impl OwnKeys {
    pub(crate) fn new(own: OwnKey, old: Vec<OldKey>, clock: SharedClock) -> Self {
        Self {
            own,
            old,
            clock,
            document: Mutex::new(None),
        }
    }

    pub(crate) fn server_name(&self) -> &ServerName {
        &self.own.server_name
    }

    /// One of our keys. What we sign with now is good for as long as anybody asks.
    pub(crate) fn key(&self, key_id: &str) -> Option<VerifyKey> {
        if key_id == self.own.key.id() {
            return Some(VerifyKey::current(
                self.own.key.public(),
                u64::MAX,
                u64::MAX,
            ));
        }
        let old = self.old.iter().find(|old| old.key_id == key_id)?;
        Some(VerifyKey::old(old.key, old.expired.millis()))
    }

    /// The signed document. Renewed often enough to be valid for most of a day whenever somebody fetches it.
    pub(crate) fn document(&self) -> Result<String> {
        let now = self.clock.now();
        let mut kept = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        // A document of the future was made before the clock was set back.
        if let Some((made, document)) = &*kept
            && *made <= now
            && now.since(*made) < RENEWED
        {
            return Ok(document.clone());
        }
        let document = self.make(now)?;
        *kept = Some((now, document.clone()));
        Ok(document)
    }

    fn make(&self, now: Timestamp) -> Result<String> {
        let old = self.old.iter().map(|old| {
            let key = json!({ "key": old.key.to_base64(), "expired_ts": old.expired.millis() });
            (old.key_id.clone(), key)
        });
        let document = json!({
            "server_name": self.own.server_name,
            "valid_until_ts": now.plus(VALID).millis(),
            "verify_keys": { self.own.key.id(): { "key": self.own.key.public().to_base64() } },
            "old_verify_keys": old.collect::<serde_json::Map<_, _>>(),
        });
        let object = document::object(&document.to_string());
        self.sign(object.ok_or(Error::Unsignable(event::Error::Bug(
            "our own key document is no canonical JSON",
        )))?)
    }

    /// The object with our signature added.
    pub(crate) fn sign(&self, mut object: CanonicalJsonObject) -> Result<String> {
        sign_json(&mut object, self.own.server_name.as_str(), &self.own.key)
            .map_err(Error::Unsignable)?;
        event::canonical::to_string(&object).map_err(Error::Unsignable)
    }
}
