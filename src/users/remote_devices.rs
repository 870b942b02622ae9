//! What this server knows of the devices of other servers' users: their lists as last fetched, and the changes that their
//! servers announced since (SS "Device Management"). Fetching is for `actions`.

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, UserId};
use serde_json::value::RawValue;
use store::rows::users::{DeviceKeys, RemoteDevices as Row};
use store::tables::{CROSS_SIGNING, DEVICE_KEYS, REMOTE_DEVICES};
use store::{Snapshot, Tx, UserNo};

use crate::cross_signing::{self, Usage};
use crate::{Error, Users, device_keys, device_lists, signed_json};

/// Most devices of one user that are kept.
const MOST: usize = 1000;

/// How far what is known can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It is what their server last said.
    Fresh,
    /// Something has changed since.
    Stale,
    /// Nothing is known.
    Unknown,
}

/// A device of another server's user.
#[derive(Debug, Clone)]
pub struct RemoteDevice {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// Its keys; none if it has gone or never had any.
    pub keys: Option<Box<RawValue>>,
    /// Its name.
    pub display_name: Option<String>,
}

/// The whole device list of another server's user.
#[derive(Debug, Clone, Default)]
pub struct RemoteList {
    /// The number of its last change.
    pub stream_id: u64,
    /// The devices.
    pub devices: Vec<RemoteDevice>,
    /// The master key.
    pub master: Option<Box<RawValue>>,
    /// The self-signing key.
    pub self_signing: Option<Box<RawValue>>,
}

/// What an announced change says.
#[derive(Debug, Clone)]
pub struct RemoteChange {
    /// Its number.
    pub stream_id: u64,
    /// The numbers of the changes before it.
    pub previous: Vec<u64>,
    /// The device, as it is now.
    pub device: RemoteDevice,
}

/// How far the device list of another server's user is known.
pub fn freshness(s: &Snapshot, user: UserNo) -> Result<Freshness, Error> {
    Ok(match s.get(REMOTE_DEVICES, &user)? {
        Some(row) if row.stale => Freshness::Stale,
        Some(_) => Freshness::Fresh,
        None => Freshness::Unknown,
    })
}

/// Stores one device's keys, and says whether they are others than before. Keys that are not well-formed are left out:
/// they would break whoever is shown them.
fn put(tx: &mut Tx, no: UserNo, user: &UserId, device: &RemoteDevice) -> Result<bool, Error> {
    let id = device.device_id.as_str();
    let checked = device
        .keys
        .as_ref()
        .map(|keys| device_keys::check_shape(keys.get(), user, id));
    let before = tx.get(DEVICE_KEYS, &(no, id))?;
    let row = match checked {
        Some(Ok(keys)) => {
            let display_name = device.display_name.as_deref().map(crate::devices::shorten);
            Some(DeviceKeys {
                json: signed_json::write(&keys)?,
                display_name,
            })
        }
        Some(Err(error)) => {
            tracing::debug!(%user, device = id, %error, "another server's device keys are not well-formed");
            None
        }
        None => None,
    };
    match &row {
        Some(row) => tx.put(DEVICE_KEYS, &(no, id), row)?,
        None => tx.delete(DEVICE_KEYS, &(no, id)),
    }
    Ok(before != row)
}

fn put_signing_key(
    tx: &mut Tx,
    no: UserNo,
    user: &UserId,
    usage: Usage,
    key: Option<&RawValue>,
) -> Result<bool, Error> {
    let place = (no, usage as u8);
    let new = key.and_then(|key| cross_signing::check_shape(key.get(), user, usage).ok());
    let new = new.map(|object| signed_json::write(&object)).transpose()?;
    let old = tx.get(CROSS_SIGNING, &place)?;
    match &new {
        Some(json) => tx.put(CROSS_SIGNING, &place, json.as_str())?,
        None => tx.delete(CROSS_SIGNING, &place),
    }
    Ok(old.as_deref() != new.as_deref())
}

impl Users {
    /// How far the device lists of users are known; our own users' are always fresh.
    pub async fn device_list_freshness<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserId>,
    ) -> Result<BTreeMap<ruma::OwnedUserId, Freshness>, Error> {
        let users: Vec<_> = users
            .into_iter()
            .map(|user| (user.to_owned(), self.is_local(user)))
            .collect();
        self.read(move |s| {
            let mut found = BTreeMap::new();
            for (user, local) in users {
                let fresh = match s.user_no(&user)? {
                    _ if local => Freshness::Fresh,
                    Some(no) => freshness(s, no)?,
                    None => Freshness::Unknown,
                };
                found.insert(user, fresh);
            }
            Ok(found)
        })
        .await
    }

    /// Stores the whole device list of another server's user, in place of what was known.
    pub async fn store_remote_devices(
        &self,
        user: &UserId,
        mut list: RemoteList,
    ) -> Result<(), Error> {
        if self.is_local(user) {
            return Err(Error::Bug("a remote device list of a local user"));
        }
        list.devices.truncate(MOST);
        let user = user.to_owned();
        self.write(move |tx| {
            let no = tx.intern_user(&user)?;
            let before = tx.get_for_update(REMOTE_DEVICES, &no)?;
            let mut changed = false;
            for row in device_keys::all(tx, no).collect::<Result<Vec<_>, _>>()? {
                if !list.devices.iter().any(|device| device.device_id == row.0) {
                    tx.delete(DEVICE_KEYS, &(no, row.0));
                    changed = true;
                }
            }
            for device in &list.devices {
                changed |= put(tx, no, &user, device)?;
            }
            for (usage, key) in [
                (Usage::Master, &list.master),
                (Usage::SelfSigning, &list.self_signing),
            ] {
                changed |= put_signing_key(tx, no, &user, usage, key.as_deref())?;
            }
            // A change that was announced while this list was on its way may not be in it.
            let stale = before
                .as_ref()
                .is_some_and(|before| before.stale && before.stream_id > list.stream_id);
            tx.put(
                REMOTE_DEVICES,
                &no,
                &Row {
                    stream_id: list.stream_id,
                    stale,
                },
            )?;
            // Who knew nothing has nothing to forget.
            if changed && before.is_some() {
                device_lists::note(tx, no, &[])?;
            }
            Ok(())
        })
        .await
    }

    /// Takes a change that another server announced. Says whether the list is known completely then; if not, somebody
    /// has to fetch it.
    pub async fn apply_remote_change(
        &self,
        user: &UserId,
        change: RemoteChange,
    ) -> Result<Freshness, Error> {
        if self.is_local(user) {
            return Err(Error::Bug("a remote device change of a local user"));
        }
        let user = user.to_owned();
        self.write(move |tx| {
            let no = tx.intern_user(&user)?;
            let row = tx.get_for_update(REMOTE_DEVICES, &no)?;
            if row
                .as_ref()
                .is_some_and(|row| !row.stale && change.stream_id <= row.stream_id)
            {
                return Ok(Freshness::Fresh); // seen before
            }
            let follows = |row: &Row| {
                !row.stale
                    && change
                        .previous
                        .iter()
                        .all(|previous| *previous <= row.stream_id)
            };
            let complete = row.as_ref().is_some_and(follows);
            let known = row.is_some();
            if complete {
                put(tx, no, &user, &change.device)?;
            }
            if known {
                let stream_id = row.map_or(0, |row| row.stream_id).max(change.stream_id);
                tx.put(
                    REMOTE_DEVICES,
                    &no,
                    &Row {
                        stream_id,
                        stale: !complete,
                    },
                )?;
            }
            device_lists::note(tx, no, &[])?;
            Ok(match (known, complete) {
                (true, true) => Freshness::Fresh,
                (true, false) => Freshness::Stale,
                (false, _) => Freshness::Unknown,
            })
        })
        .await
    }

    /// Takes new cross-signing keys that another server announced.
    pub async fn apply_remote_signing_keys(
        &self,
        user: &UserId,
        master: Option<Box<RawValue>>,
        self_signing: Option<Box<RawValue>>,
    ) -> Result<(), Error> {
        if self.is_local(user) {
            return Err(Error::Bug("remote signing keys of a local user"));
        }
        let user = user.to_owned();
        self.write(move |tx| {
            let no = tx.intern_user(&user)?;
            let mut changed = false;
            for (usage, key) in [
                (Usage::Master, &master),
                (Usage::SelfSigning, &self_signing),
            ] {
                if key.is_some() {
                    changed |= put_signing_key(tx, no, &user, usage, key.as_deref())?;
                }
            }
            if changed {
                device_lists::note(tx, no, &[])?;
            }
            Ok(())
        })
        .await
    }

    /// Notes that a user's devices may have changed in a way that was missed, for instance while no room was shared.
    pub async fn distrust_remote_devices(&self, user: &UserId) -> Result<(), Error> {
        let user = user.to_owned();
        self.write(move |tx| {
            let Some(no) = tx.user_no(&user)? else {
                return Ok(());
            };
            if let Some(mut row) = tx.get_for_update(REMOTE_DEVICES, &no)? {
                row.stale = true;
                tx.put(REMOTE_DEVICES, &no, &row)?;
            }
            Ok(())
        })
        .await
    }
}
