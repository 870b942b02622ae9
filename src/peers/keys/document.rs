//! A server's key document (server-server API, *Publishing Keys*): reading one that came from outside, and checking that it is what it claims to be.
//! Pure; fetching is `fetch.rs`.

use std::collections::{BTreeMap, HashSet};

use event::canonical::{self, Object};
use event::rules::Json;
use event::sign::{self, PublicKey};
use ruma::{CanonicalJsonObject, OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How many keys a document may hold, old ones included. Servers have one or two, and a few old ones.
pub(crate) const KEYS: usize = 256;
/// How long the name of a key may be.
const KEY_ID_BYTES: usize = 255;

/// A document whose own server has signed it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// The text, as it was signed.
    pub(crate) json: String,
    pub(crate) server: OwnedServerName,
    pub(crate) valid_until: u64,
    pub(crate) keys: Vec<Published>,
}

/// A key that a document publishes.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) key_id: String,
    pub(crate) key: PublicKey,
    /// When it went out of use; none if it is in use.
    pub(crate) expired: Option<u64>,
}

#[derive(Deserialize)]
struct Wire {
    server_name: OwnedServerName,
    valid_until_ts: u64,
    verify_keys: BTreeMap<String, Current>,
    #[serde(default)]
    old_verify_keys: BTreeMap<String, Old>,
}

#[derive(Deserialize)]
struct Current {
    key: String,
}

#[derive(Deserialize)]
struct Old {
    key: String,
    expired_ts: u64,
}

impl Document {
    /// Reads the document of `server`, without keys that are `refused`. At least one of the keys in use must have signed it, which shows that whoever wrote it has that key.
    pub(crate) fn check(
        json: &str,
        server: &ServerName,
        refused: &HashSet<String>,
    ) -> Result<Self, String> {
        // The strict reader comes first: it refuses what another reader might read in another way.
        let object =
            canonical::parse_object(json, Json::Strict).map_err(|error| error.to_string())?;
        let wire: Wire = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if wire.server_name != *server {
            return Err(format!("it is the document of {}", wire.server_name));
        }
        if wire.verify_keys.len() + wire.old_verify_keys.len() > KEYS {
            return Err(format!("it holds more than {KEYS} keys"));
        }
        let current = wire
            .verify_keys
            .into_iter()
            .map(|(key_id, current)| (key_id, current.key, None));
        let old = wire
            .old_verify_keys
            .into_iter()
            .map(|(key_id, old)| (key_id, old.key, Some(old.expired_ts)));
        // A key of a kind that we do not know, or that makes no sense, does not spoil the others.
        let keys: Vec<Published> = current
            .chain(old)
            .filter(|(key_id, ..)| key_id.starts_with("ed25519:") && key_id.len() <= KEY_ID_BYTES)
            .filter_map(|(key_id, key, expired)| {
                let key = PublicKey::from_base64(&key).ok()?;
                (!refused.contains(&key.to_base64())).then_some(Published {
                    key_id,
                    key,
                    expired,
                })
            })
            .collect();
        let current = |key_id: &str| {
            let named = |key: &&Published| key.key_id == key_id && key.expired.is_none();
            keys.iter().find(named).map(|key| key.key)
        };
        let signed = is_signed(&object, server, current);
        if !signed {
            return Err("none of its own keys has signed it".to_owned());
        }
        Ok(Self {
            json: json.to_owned(),
            server: wire.server_name,
            valid_until: wire.valid_until_ts,
            keys,
        })
    }
}

/// Whether an object has a right signature by one of a server's keys.
pub(crate) fn is_signed(
    object: &Object<'_>,
    server: &ServerName,
    key: impl Fn(&str) -> Option<PublicKey>,
) -> bool {
    let signatures = object
        .get("signatures")
        .and_then(|all| all.as_object()?.get(server.as_str())?.as_object());
    let Some(signatures) = signatures else {
        return false;
    };
    let signed = sign::signed_part(object);
    signatures
        .iter()
        .filter_map(|(key_id, signature)| Some((key(key_id)?, signature.as_str()?)))
        .take(KEYS)
        .any(|(key, signature)| key.verifies(signed.as_bytes(), signature))
}

/// The answer of a notary: documents of several servers.
#[derive(Deserialize)]
pub(crate) struct Documents {
    pub(crate) server_keys: Vec<Box<RawValue>>,
}

/// The server that a document is about, before anything of it is believed.
pub(crate) fn subject(json: &str) -> Option<OwnedServerName> {
    #[derive(Deserialize)]
    struct Subject {
        server_name: OwnedServerName,
    }
    serde_json::from_str::<Subject>(json)
        .ok()
        .map(|subject| subject.server_name)
}

/// The object in a text, as the signer wants it.
pub(crate) fn object(json: &str) -> Option<CanonicalJsonObject> {
    serde_json::from_str(json).ok()
}
