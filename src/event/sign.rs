//! Keys, signatures on JSON (appendices, *Signing JSON*), and the content hash (server-server API, *Signing Events*).
//!
//! Which servers must have signed an event is decided in `unchecked.rs`; where keys come from is not known here.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, ServerName};

use crate::canonical::{self, Object, Value};
use crate::draft::within;
use crate::error::Error;
use crate::limits;
use crate::pdu::Pdu;
use crate::rules::{Json, Rules};

/// A JSON object as ruma's types hold it: sorted, integers only.
pub type CanonicalObject = CanonicalJsonObject;

/// Base64 with or without padding, as the specification wants it read.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// An ed25519 key pair and its name.
pub struct KeyPair {
    key: SigningKey,
    id: String,
}

/// The public half of a key, ready for use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A server's public key and how long it may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyKey {
    key: PublicKey,
    validity: Validity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    /// In use; known to be good up to this time.
    Until(u64),
    /// No longer in use since this time.
    Since(u64),
}

/// The keys of servers that are known here.
pub trait Keys {
    /// The key that `server` publishes as `key_id`.
    fn key(&self, server: &ServerName, key_id: &str) -> Option<VerifyKey>;
}

impl<F: Fn(&ServerName, &str) -> Option<VerifyKey>> Keys for F {
    fn key(&self, server: &ServerName, key_id: &str) -> Option<VerifyKey> {
        self(server, key_id)
    }
}

impl KeyPair {
    /// A key pair from its 32 secret bytes; the version is what follows `ed25519:` in its name.
    pub fn from_seed(seed: &[u8; 32], version: &str) -> Result<Self, Error> {
        let named = !version.is_empty()
            && version
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !named {
            return Err(Error::Key("a version is letters, digits and underscores"));
        }
        Ok(Self {
            key: SigningKey::from_bytes(seed),
            id: format!("ed25519:{version}"),
        })
    }

    /// The same, with the secret in Base64.
    pub fn from_base64(seed: &str, version: &str) -> Result<Self, Error> {
        let seed = decode(seed).ok_or(Error::Key("the secret is not Base64"))?;
        let seed = <[u8; 32]>::try_from(seed)
            .map_err(|_| Error::Key("the secret is not 32 bytes long"))?;
        Self::from_seed(&seed, version)
    }

    /// The secret in Base64, to be kept.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.key.as_bytes())
    }

    /// The key's name, `ed25519:…`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What follows `ed25519:` in the name.
    #[must_use]
    pub fn version(&self) -> &str {
        self.id.split_once(':').map_or("", |(_, version)| version)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key())
    }

    /// A signature in unpadded Base64.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.key.sign(message).to_bytes())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyPair")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl PublicKey {
    /// Reads a key in Base64, in either alphabet.
    pub fn from_base64(text: &str) -> Result<Self, Error> {
        let bytes = decode(text).ok_or(Error::Key("the public key is not Base64"))?;
        Self::from_bytes(&bytes)
    }

    /// Reads a key's 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = <&[u8; 32]>::try_from(bytes)
            .map_err(|_| Error::Key("the public key is not 32 bytes long"))?;
        VerifyingKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| Error::Key("the public key is no point of the curve"))
    }

    /// The key in unpadded Base64.
    #[must_use]
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0.as_bytes())
    }

    /// Whether this is a signature, in Base64, of the message by this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let signature = decode(signature).and_then(|bytes| Signature::from_slice(&bytes).ok());
        // Strict: weak keys are refused, as the library under most homeservers does.
        signature.is_some_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("PublicKey")
            .field(&self.to_base64())
            .finish()
    }
}

impl VerifyKey {
    /// A key in use. It is believed until `valid_until_ts`, but never more than seven days beyond the time it was fetched.
    #[must_use]
    pub fn current(key: PublicKey, valid_until_ts: u64, fetched_at: u64) -> Self {
        let until = valid_until_ts.min(fetched_at.saturating_add(limits::KEY_TRUST_MILLIS));
        Self {
            key,
            validity: Validity::Until(until),
        }
    }

    /// A key that its server used until `expired_ts`.
    #[must_use]
    pub fn old(key: PublicKey, expired_ts: u64) -> Self {
        Self {
            key,
            validity: Validity::Since(expired_ts),
        }
    }

    /// The key itself.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.key
    }

    /// Whether what was signed at this time may be believed. From some version on rooms insist on `valid_until_ts`; a key known
    /// to have expired before is worth nothing anywhere.
    #[must_use]
    pub fn is_good_at(&self, timestamp: u64, rules: &Rules) -> bool {
        match self.validity {
            Validity::Until(until) => !rules.keys_must_be_valid || until >= timestamp,
            Validity::Since(expired) => expired >= timestamp,
        }
    }

    /// Whether a request or an answer made at this time may be believed.
    #[must_use]
    pub fn is_current_at(&self, timestamp: u64) -> bool {
        matches!(self.validity, Validity::Until(until) if until >= timestamp)
    }
}

/// Adds the signature of `entity` to an object, over all of it but `signatures` and `unsigned`.
pub fn sign_json(object: &mut CanonicalObject, entity: &str, key: &KeyPair) -> Result<(), Error> {
    let text = canonical::to_string(object)?;
    let signature =
        key.sign(signed_part(&canonical::parse_object(&text, Json::Strict)?).as_bytes());
    let signatures =
        entry(object, "signatures").ok_or(Error::field("signatures", "is not an object"))?;
    let own = entry(signatures, entity).ok_or(Error::field(
        "signatures",
        "holds something else than objects",
    ))?;
    own.insert(key.id().to_owned(), CanonicalJsonValue::String(signature));
    Ok(())
}

/// Whether a JSON object, given as text, is signed by `entity` with this key.
pub fn verify_json(json: &str, entity: &str, key_id: &str, key: PublicKey) -> Result<bool, Error> {
    let object = canonical::parse_object(json, Json::Strict)?;
    let signature = signature_of(&object, entity, key_id);
    Ok(signature.is_some_and(|signature| key.verifies(signed_part(&object).as_bytes(), signature)))
}

/// Adds our signature to an event that another server wrote: as the invited user's server, or as the resident server that lets
/// someone into a restricted room.
pub fn co_sign(pdu: &Pdu, rules: &Rules, server: &ServerName, key: &KeyPair) -> Result<Pdu, Error> {
    let signature = key.sign(pdu.signed_part(rules)?.as_bytes());
    add_signature(pdu, server, key.id(), &signature)
}

/// Whether an event carries a right signature of this server by this key. Meant for keys that stand in the room's state, such as a
/// policy server's; the servers that must have signed any event are asked by [`crate::UncheckedPdu::check`].
pub fn is_signed_by(
    pdu: &Pdu,
    rules: &Rules,
    server: &ServerName,
    key_id: &str,
    key: PublicKey,
) -> Result<bool, Error> {
    let event = canonical::parse_object(pdu.json(), Json::Lax)?;
    let Some(signature) = signature_of(&event, server.as_str(), key_id) else {
        return Ok(false);
    };
    Ok(key.verifies(pdu.signed_part(rules)?.as_bytes(), signature))
}

/// The event with one more signature, which the caller has seen to be right.
pub fn add_signature(
    pdu: &Pdu,
    server: &ServerName,
    key_id: &str,
    signature: &str,
) -> Result<Pdu, Error> {
    let mut event = canonical::parse_object(pdu.json(), Json::Lax)?;
    let Some(Value::Object(mut signatures)) = event.remove("signatures") else {
        return Err(Error::field("signatures", "is not an object"));
    };
    let mut own = match signatures.remove(server.as_str()) {
        Some(Value::Object(own)) => own,
        _ => Object::default(),
    };
    own.insert(key_id.into(), Value::String(signature.into()));
    signatures.insert(server.as_str().into(), Value::Object(own));
    event.insert("signatures".into(), Value::Object(signatures));
    let mut json = String::with_capacity(pdu.json().len() + 160);
    event.write(&mut json);
    within("the event", json.len(), limits::EVENT_BYTES)?;
    Pdu::from_stored(pdu.event_id().to_owned(), pdu.room_id().to_owned(), json)
}

/// The canonical JSON that a signature on an object covers.
#[must_use]
pub fn signed_part(object: &Object<'_>) -> String {
    let mut out = String::new();
    object.write_some(&mut out, |key| key != "signatures" && key != "unsigned");
    out
}

fn signature_of<'a>(object: &'a Object<'_>, entity: &str, key_id: &str) -> Option<&'a str> {
    object
        .get("signatures")?
        .as_object()?
        .get(entity)?
        .as_object()?
        .get(key_id)?
        .as_str()
}

/// Base64 in either alphabet, padded or not.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    engine.decode(text).ok()
}

fn entry<'a>(object: &'a mut CanonicalObject, key: &str) -> Option<&'a mut CanonicalObject> {
    let empty = CanonicalJsonValue::Object(CanonicalObject::new());
    object
        .entry(key.to_owned())
        .or_insert(empty)
        .as_object_mut()
}

#[cfg(test)]
mod tests;
