//! Device keys: by which others recognise a device and encrypt to it. What is uploaded is checked here, whoever uploads it;
//! one-time keys are in `one_time_keys.rs`, what others are shown in `key_queries.rs`.

use std::collections::BTreeMap;

use ruma::{CanonicalJsonObject, CanonicalJsonValue, DeviceId, UserId};
use serde_json::value::RawValue;
use store::rows::users::DeviceKeys as Row;
use store::tables::{DEVICE_KEYS, DEVICES, FALLBACK_KEYS, FOREIGN_SIGNATURES, ONE_TIME_KEYS};
use store::{Order, Snapshot, Tx, UserNo};

use crate::one_time_keys::{self, Checked};
use crate::{Error, Users, What, device_lists, signed_json};

/// Largest device key object.
const LIMIT: usize = 16 * 1024;
/// Most algorithms or keys of a device.
const MOST: usize = 32;

/// What a client uploads.
#[derive(Debug, Clone, Default)]
pub struct KeyUpload {
    /// The device's identity keys.
    pub device_keys: Option<Box<RawValue>>,
    /// One-time keys, by `algorithm:id`.
    pub one_time_keys: BTreeMap<String, Box<RawValue>>,
    /// Keys to fall back to, by `algorithm:id`.
    pub fallback_keys: BTreeMap<String, Box<RawValue>>,
}

/// Checks the shape of device keys, of our users' or of others'.
///
/// # Errors
/// If they are not those of this user and device, or not what other servers would accept.
pub(crate) fn check_shape(
    json: &str,
    user: &UserId,
    device: &str,
) -> Result<CanonicalJsonObject, Error> {
    if json.len() > LIMIT {
        return Err(Error::TooLarge("the object with the device keys"));
    }
    let mut keys = signed_json::parse(json)?;
    keys.remove("unsigned");
    if signed_json::text(&keys, "user_id") != Some(user.as_str()) {
        return Err(Error::InvalidParam(
            "the device keys name another user".to_owned(),
        ));
    }
    if signed_json::text(&keys, "device_id") != Some(device) {
        return Err(Error::InvalidParam(
            "the device keys name another device".to_owned(),
        ));
    }
    match keys.get("algorithms") {
        Some(CanonicalJsonValue::Array(list))
            if list.len() <= MOST && list.iter().all(CanonicalJsonValue::is_string) => {}
        _ => {
            return Err(Error::BadJson(
                "the device keys have no list of algorithms".to_owned(),
            ));
        }
    }
    let named = signed_json::object(&keys, "keys")
        .ok_or_else(|| Error::BadJson("the device keys have no keys".to_owned()))?;
    let belongs = |(id, key): (&String, &CanonicalJsonValue)| {
        let of_device = id
            .split_once(':')
            .is_some_and(|(algorithm, of)| !algorithm.is_empty() && of == device);
        of_device && key.as_str().is_some_and(|key| !key.is_empty())
    };
    if named.is_empty() || named.len() > MOST || !named.iter().all(belongs) {
        return Err(Error::BadJson(
            "the keys of a device are named algorithm:device and are text".to_owned(),
        ));
    }
    check_signatures_shape(&keys)?;
    Ok(keys)
}

/// Signatures are texts by key by user.
pub(crate) fn check_signatures_shape(object: &CanonicalJsonObject) -> Result<(), Error> {
    let by_key = |value: &CanonicalJsonValue| match value {
        CanonicalJsonValue::Object(keys) => keys.values().all(CanonicalJsonValue::is_string),
        _ => false,
    };
    match object.get("signatures") {
        None => Ok(()),
        Some(CanonicalJsonValue::Object(users)) if users.values().all(by_key) => Ok(()),
        Some(_) => Err(Error::BadJson(
            "signatures are texts, by key, by user".to_owned(),
        )),
    }
}

/// Checks device keys that one of our users uploads: also that the device has signed them.
fn check_upload(json: &str, user: &UserId, device: &str) -> Result<CanonicalJsonObject, Error> {
    let keys = check_shape(json, user, device)?;
    let key_id = format!("ed25519:{device}");
    let key =
        signed_json::object(&keys, "keys").and_then(|named| signed_json::text(named, &key_id));
    let key = key.ok_or_else(|| Error::BadJson(format!("the device keys have no {key_id}")))?;
    signed_json::check(&keys, user.as_str(), &key_id, key)?;
    Ok(keys)
}

/// Whether a device has keys.
pub(crate) fn has(s: &Snapshot, user: UserNo, device: &str) -> Result<bool, Error> {
    Ok(s.contains(DEVICE_KEYS, &(user, device))?)
}

/// Stores device keys, unless they are those that are there. Says whether something changed.
fn store(
    tx: &mut Tx,
    user: UserNo,
    user_id: &UserId,
    device: &str,
    keys: &CanonicalJsonObject,
) -> Result<bool, Error> {
    let before: Option<Row> = tx.get_for_update(DEVICE_KEYS, &(user, device))?;
    let mut keys = keys.clone();
    if let Some(before) = &before {
        let old = signed_json::parse(&before.json)?;
        if signed_json::signed_bytes(&old)? == signed_json::signed_bytes(&keys)? {
            keep_signatures(&mut keys, &old, user_id);
        } else {
            tx.delete_prefix(FOREIGN_SIGNATURES, &(user, device));
        }
    }
    let row = Row {
        json: signed_json::write(&keys)?,
        display_name: None,
    };
    if before.as_ref() == Some(&row) {
        return Ok(false);
    }
    tx.put(DEVICE_KEYS, &(user, device), &row)?;
    Ok(true)
}

/// The same keys, uploaded again, keep the cross-signing signatures that they had.
fn keep_signatures(keys: &mut CanonicalJsonObject, old: &CanonicalJsonObject, user: &UserId) {
    let old = signed_json::object(old, "signatures")
        .and_then(|users| signed_json::object(users, user.as_str()));
    let (Some(old), Some(CanonicalJsonValue::Object(users))) = (old, keys.get_mut("signatures"))
    else {
        return;
    };
    if let Some(CanonicalJsonValue::Object(new)) = users.get_mut(user.as_str()) {
        for (key, signature) in old {
            new.entry(key.clone()).or_insert_with(|| signature.clone());
        }
    }
}

/// Removes every key of a device. Says whether others knew its identity keys.
pub(crate) fn remove(tx: &mut Tx, user: UserNo, device: &str) -> Result<bool, Error> {
    tx.delete_prefix(ONE_TIME_KEYS, &(user, device));
    tx.delete_prefix(FALLBACK_KEYS, &(user, device));
    if !has(tx, user, device)? {
        return Ok(false);
    }
    tx.delete(DEVICE_KEYS, &(user, device));
    tx.delete_prefix(FOREIGN_SIGNATURES, &(user, device));
    Ok(true)
}

impl Users {
    /// Stores the keys of a device, and says how many one-time keys of each algorithm it has then.
    ///
    /// # Errors
    /// If something about them is wrong; then nothing is stored.
    pub async fn upload_keys(
        &self,
        user: &UserId,
        device: &DeviceId,
        upload: KeyUpload,
    ) -> Result<BTreeMap<String, u64>, Error> {
        let no = self.local_no(user)?;
        let checked = check(user, device, &upload)?;
        let device_name = device.as_str().to_owned();
        if checked.is_empty() {
            return self.one_time_counts_of(no, device_name).await;
        }
        let (users, user) = (self.clone(), user.to_owned());
        self.in_lane(no, async move {
            let _counts = users.inner.counts.changing(no);
            users
                .write(move |tx| {
                    if !tx.contains(DEVICES, &(no, &device_name))? {
                        return Err(Error::NotFound(What::Device));
                    }
                    put(tx, no, &user, &device_name, &checked)
                })
                .await
        })
        .await
    }
}

/// An upload in which everything is as it should be.
pub(crate) struct CheckedUpload {
    device_keys: Option<CanonicalJsonObject>,
    one_time: Vec<Checked>,
    fallback: Vec<Checked>,
}

impl CheckedUpload {
    fn is_empty(&self) -> bool {
        self.device_keys.is_none() && self.one_time.is_empty() && self.fallback.is_empty()
    }
}

/// Checks a whole upload.
pub(crate) fn check(
    user: &UserId,
    device: &DeviceId,
    upload: &KeyUpload,
) -> Result<CheckedUpload, Error> {
    let keys = upload.device_keys.as_deref();
    Ok(CheckedUpload {
        device_keys: keys
            .map(|keys| check_upload(keys.get(), user, device.as_str()))
            .transpose()?,
        one_time: one_time_keys::check(&upload.one_time_keys)?,
        fallback: one_time_keys::check_fallback(&upload.fallback_keys)?,
    })
}

/// Writes a checked upload, and says how many one-time keys there are then.
pub(crate) fn put(
    tx: &mut Tx,
    no: UserNo,
    user: &UserId,
    device: &str,
    upload: &CheckedUpload,
) -> Result<BTreeMap<String, u64>, Error> {
    if let Some(keys) = &upload.device_keys
        && store(tx, no, user, device, keys)?
    {
        device_lists::note(tx, no, &[device])?;
    }
    one_time_keys::put(tx, no, device, &upload.one_time, &upload.fallback)
}

/// The identity keys of every device of a user, with those of their devices that have any.
pub(crate) fn all(
    s: &Snapshot,
    user: UserNo,
) -> impl Iterator<Item = Result<(String, Row), Error>> + '_ {
    s.prefix(DEVICE_KEYS, &(user,), Order::Forward).map(|row| {
        row.map(|((_, device), row)| (device, row))
            .map_err(Error::from)
    })
}
