//! JSON that users sign with their own keys: parsing it, and checking who signed it (appendices, "Signing JSON").

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{Signature, VerifyingKey};
use ruma::{CanonicalJsonObject, CanonicalJsonValue};

use crate::Error;

/// Base64 as Matrix writes it, and with padding, as some write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true),
);

/// Parses an object that can be signed: no floats, no numbers beyond 2^53, no duplicate keys.
pub(crate) fn parse(json: &str) -> Result<CanonicalJsonObject, Error> {
    serde_json::from_str(json)
        .map_err(|error| Error::BadJson(format!("not an object that can be signed: {error}")))
}

/// Writes an object as canonical JSON.
pub(crate) fn write(object: &CanonicalJsonObject) -> Result<String, Error> {
    serde_json::to_string(object).map_err(|_| Error::Bug("an object that is not JSON"))
}

/// What a signature is over: everything but the signatures, and what others may add.
pub(crate) fn signed_bytes(object: &CanonicalJsonObject) -> Result<String, Error> {
    let mut object = object.clone();
    object.remove("signatures");
    object.remove("unsigned");
    write(&object)
}

/// Text at a key.
pub(crate) fn text<'a>(object: &'a CanonicalJsonObject, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

/// An object at a key.
pub(crate) fn object<'a>(
    object: &'a CanonicalJsonObject,
    key: &str,
) -> Option<&'a CanonicalJsonObject> {
    match object.get(key)? {
        CanonicalJsonValue::Object(inner) => Some(inner),
        _ => None,
    }
}

/// The signature of a user's key on an object.
pub(crate) fn signature<'a>(
    signed: &'a CanonicalJsonObject,
    user: &str,
    key_id: &str,
) -> Option<&'a str> {
    text(object(object(signed, "signatures")?, user)?, key_id)
}

/// Whether base64 text stands for so many bytes.
pub(crate) fn is_base64_of(text: &str, bytes: usize) -> bool {
    // Length first: nothing has to be decoded to refuse a novel.
    text.len() <= bytes * 4 / 3 + 4
        && BASE64
            .decode(text)
            .is_ok_and(|decoded| decoded.len() == bytes)
}

/// A public key, from base64.
pub(crate) fn verifying_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = BASE64.decode(text).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

/// Checks one signature over an object.
///
/// # Errors
/// If there is none, or it does not verify.
pub(crate) fn check(
    signed: &CanonicalJsonObject,
    user: &str,
    key_id: &str,
    key: &str,
) -> Result<(), Error> {
    let missing =
        || Error::InvalidSignature(format!("there is no signature by {key_id} of {user}"));
    let signature = signature(signed, user, key_id).ok_or_else(missing)?;
    check_text(&signed_bytes(signed)?, signature, key_id, key)
}

/// Checks one signature over canonical JSON.
pub(crate) fn check_text(
    bytes: &str,
    signature: &str,
    key_id: &str,
    key: &str,
) -> Result<(), Error> {
    let invalid = || Error::InvalidSignature(format!("the signature by {key_id} does not verify"));
    let key = verifying_key(key).ok_or_else(invalid)?;
    let signature = BASE64.decode(signature).map_err(|_| invalid())?;
    let signature = Signature::from_slice(&signature).map_err(|_| invalid())?;
    key.verify_strict(bytes.as_bytes(), &signature)
        .map_err(|_| invalid())
}
