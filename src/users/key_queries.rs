//! What others are shown of a user's keys: every device's keys with the signatures that vouch for them, and the
//! cross-signing keys.

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde_json::value::RawValue;
use store::rows::users::DeviceKeys;
use store::tables::{DEVICE_KEYS, DEVICES, FOREIGN_SIGNATURES};
use store::{Json, Order, Snapshot, UserNo};

use crate::cross_signing::{self, Usage};
use crate::{Error, Users, device_keys, signed_json};

/// The keys of one user.
#[derive(Debug, Clone, Default)]
pub struct UserKeys {
    /// The identity keys of their devices.
    pub device_keys: BTreeMap<OwnedDeviceId, Box<RawValue>>,
    /// The master key.
    pub master: Option<Box<RawValue>>,
    /// The self-signing key.
    pub self_signing: Option<Box<RawValue>>,
    /// The user-signing key; only its owner is shown it.
    pub user_signing: Option<Box<RawValue>>,
}

/// Who looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// A user of this server.
    User(OwnedUserId),
    /// Another server. It is not told what people call their devices.
    Server,
}

/// A user's keys: those of the given devices, or of all if none are given.
pub fn read(
    s: &Snapshot,
    user: UserNo,
    devices: &[OwnedDeviceId],
    viewer: Option<UserNo>,
) -> Result<UserKeys, Error> {
    let rows: Vec<(String, DeviceKeys)> = if devices.is_empty() {
        device_keys::all(s, user).collect::<Result<_, _>>()?
    } else {
        let keys: Vec<_> = devices
            .iter()
            .map(|device| (user, device.as_str()))
            .collect();
        let found = devices.iter().zip(s.get_many(DEVICE_KEYS, &keys)?);
        found
            .filter_map(|(device, row)| Some((device.as_str().to_owned(), row?)))
            .collect()
    };
    let mut keys = UserKeys::default();
    for (device, row) in rows {
        let name = match viewer {
            Some(_) => s
                .get(DEVICES, &(user, device.as_str()))?
                .and_then(|row| row.display_name)
                .or(row.display_name),
            None => None,
        };
        keys.device_keys
            .insert(device.into(), raw(with_name(row.json, name.as_deref())?)?);
    }
    keys.master = master(s, user, viewer)?.map(raw).transpose()?;
    let plain = |usage| {
        cross_signing::get(s, user, usage)?
            .map(|json| raw(json.into_boxed_str().into()))
            .transpose()
    };
    keys.self_signing = plain(Usage::SelfSigning)?;
    if viewer == Some(user) {
        keys.user_signing = plain(Usage::UserSigning)?;
    }
    Ok(keys)
}

/// The master key, with what the viewer themselves has signed of it.
fn master(s: &Snapshot, user: UserNo, viewer: Option<UserNo>) -> Result<Option<String>, Error> {
    let Some(json) = cross_signing::get(s, user, Usage::Master)?.map(Json::into_boxed_str) else {
        return Ok(None);
    };
    let Some(viewer) = viewer.filter(|viewer| *viewer != user) else {
        return Ok(Some(json.into()));
    };
    let mut object = signed_json::parse(&json)?;
    let Some(public) =
        signed_json::object(&object, "keys").and_then(|keys| keys.values().next()?.as_str())
    else {
        return Ok(Some(json.into()));
    };
    let signatures = s.prefix(FOREIGN_SIGNATURES, &(user, public, viewer), Order::Forward);
    let signatures: Vec<_> = signatures.collect::<Result<_, _>>()?;
    if signatures.is_empty() {
        return Ok(Some(json.into()));
    }
    let viewer = s.user_id(viewer)?;
    for ((_, _, _, key_id), signature) in signatures {
        cross_signing::add_signature(&mut object, viewer.as_str(), &key_id, &signature);
    }
    signed_json::write(&object).map(Some)
}

/// Puts a device's name where clients look for it. Stored objects have no `unsigned` and are never empty.
fn with_name(mut json: String, name: Option<&str>) -> Result<String, Error> {
    let Some(name) = name else { return Ok(json) };
    let name = serde_json::to_string(name).map_err(|_| Error::Bug("text that is not JSON"))?;
    if json.pop() != Some('}') {
        return Err(Error::Damaged("device keys"));
    }
    json.push_str(",\"unsigned\":{\"device_display_name\":");
    json.push_str(&name);
    json.push_str("}}");
    Ok(json)
}

/// Of what another server says of its user's keys, that which is asked for (all, if no devices are given) and makes sense: what does not
/// would break whoever is shown it.
#[must_use]
pub fn well_formed(user: &UserId, devices: &[OwnedDeviceId], mut keys: UserKeys) -> UserKeys {
    keys.device_keys.retain(|device, keys| {
        (devices.is_empty() || devices.contains(device))
            && device_keys::check_shape(keys.get(), user, device.as_str()).is_ok()
    });
    let fits = |key: &RawValue, usage| cross_signing::check_shape(key.get(), user, usage).is_ok();
    keys.master = keys.master.filter(|key| fits(key, Usage::Master));
    keys.self_signing = keys
        .self_signing
        .filter(|key| fits(key, Usage::SelfSigning));
    keys.user_signing = None;
    keys
}

/// A user's device list as other servers are told it.
#[derive(Debug, Clone)]
pub struct ToldList {
    /// The number of the last change that is in it.
    pub stream_id: u64,
    /// The keys of the devices, and the cross-signing keys.
    pub keys: UserKeys,
}

fn raw(json: String) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(json).map_err(|_| Error::Damaged("key"))
}

impl Users {
    /// The keys of users, as far as this server knows them: of its own users, and what it has stored of others'. Unknown
    /// users are left out. That the viewer may see them has been judged.
    pub async fn query_keys(
        &self,
        viewer: Viewer,
        wanted: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
    ) -> Result<BTreeMap<OwnedUserId, UserKeys>, Error> {
        self.read(move |s| {
            let viewer = match &viewer {
                Viewer::User(user) => s.user_no(user)?,
                Viewer::Server => None,
            };
            let mut found = BTreeMap::new();
            for (user, devices) in wanted {
                if let Some(no) = s.user_no(&user)? {
                    found.insert(user, read(s, no, &devices, viewer)?);
                }
            }
            Ok(found)
        })
        .await
    }

    /// The device list of one of our users, as other servers are told it.
    pub async fn device_list_for_servers(&self, user: &UserId) -> Result<ToldList, Error> {
        let user = user.to_owned();
        self.read(move |s| {
            let no = crate::known(s, &user)?;
            Ok(ToldList {
                stream_id: crate::device_lists::stream_id(s, no)?,
                keys: read(s, no, &[], None)?,
            })
        })
        .await
    }

    /// The keys of one user.
    pub async fn keys_of(&self, viewer: Viewer, user: &UserId) -> Result<UserKeys, Error> {
        let wanted = BTreeMap::from([(user.to_owned(), Vec::new())]);
        Ok(self
            .query_keys(viewer, wanted)
            .await?
            .remove(user)
            .unwrap_or_default())
    }
}
