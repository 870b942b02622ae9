//! Whose devices, device keys or cross-signing keys have changed, and when (CS "Tracking the device list for a user").
//!
//! Per user only the latest change counts, so that there is one row per user, however often they log in. Other servers are told device by device, in
//! a chain of changes (SS "Device Management"): of each of our users' devices the latest change is kept, with the one before it.

use ruma::OwnedDeviceId;
use serde_json::value::RawValue;
use store::rows::users::DeviceChange;
use store::tables::{DEVICE_CHANGES, DEVICE_KEYS, DEVICE_LIST_LAST, DEVICE_LIST_LOG};
use store::{Change, Order, Pos, Snapshot, Tx, UserNo};

use crate::Error;
use crate::cross_signing::{self, Usage};

/// Devices of one user whose latest change is kept. A server that missed one that is not sees a gap in the chain, and asks for the whole list.
const CHANGES: usize = 200;
/// Stands among the devices for the cross-signing keys. No device is called so.
pub(crate) const SIGNING_KEYS: &str = "";

/// Notes that these devices of a user changed; of another server's user it does not matter which. Once per batch is enough, and all that is allowed.
pub(crate) fn note(tx: &mut Tx, user: UserNo, devices: &[&str]) -> Result<(), Error> {
    let before = tx.get_for_update(DEVICE_LIST_LAST, &user)?;
    if let Some(before) = &before {
        tx.delete(DEVICE_LIST_LOG, before);
    }
    let mut pos = tx.log(Change::DeviceList { user });
    if !devices.is_empty() {
        let mut previous = chain(tx, user)?.or(before);
        for (at, device) in devices.iter().enumerate() {
            if at > 0 {
                pos = tx.log(Change::DeviceList { user });
            }
            tx.put(
                DEVICE_CHANGES,
                &(user, *device),
                &DeviceChange { pos, previous },
            )?;
            if *device != SIGNING_KEYS {
                previous = Some(pos);
            }
        }
        trim(tx, user)?;
    }
    tx.put(DEVICE_LIST_LAST, &user, &pos)?;
    Ok(tx.put(DEVICE_LIST_LOG, &pos, &user)?)
}

/// The last change of a device of a user, as far as one is kept: the end of the chain that other servers follow. Cross-signing keys are not part of it.
fn chain(s: &Snapshot, user: UserNo) -> Result<Option<Pos>, Error> {
    let mut last = None;
    for row in s.prefix(DEVICE_CHANGES, &(user,), Order::Forward) {
        let ((_, device), change) = row?;
        if device != SIGNING_KEYS {
            last = last.max(Some(change.pos));
        }
    }
    Ok(last)
}

/// Forgets the oldest change, if there are many.
fn trim(tx: &mut Tx, user: UserNo) -> Result<(), Error> {
    let mut changes = Vec::new();
    for row in tx.prefix(DEVICE_CHANGES, &(user,), Order::Forward) {
        let (key, change) = row?;
        changes.push((change.pos, key));
    }
    if changes.len() >= CHANGES {
        changes.sort();
        let many = changes.len() + 1 - CHANGES;
        for (_, key) in changes.iter().take(many) {
            tx.delete(DEVICE_CHANGES, key);
        }
    }
    Ok(())
}

/// A change of a user's devices, as other servers are told.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Its number.
    pub pos: Pos,
    /// What changed.
    pub update: Update,
}

/// What changed about a user's devices.
#[derive(Debug, Clone)]
pub enum Update {
    /// A device.
    Device {
        /// Which.
        device_id: OwnedDeviceId,
        /// The change of a device of this user before it.
        previous: Option<Pos>,
        /// Its keys; none if it has gone.
        keys: Option<Box<RawValue>>,
    },
    /// The cross-signing keys.
    SigningKeys {
        /// The master key.
        master: Option<Box<RawValue>>,
        /// The self-signing key.
        self_signing: Option<Box<RawValue>>,
    },
}

/// What changed about the devices of one of our users in `[since, upto]` and not after, oldest first.
pub fn updates(s: &Snapshot, user: UserNo, since: Pos, upto: Pos) -> Result<Vec<Changed>, Error> {
    let raw = |json: String| RawValue::from_string(json).map_err(|_| Error::Damaged("key"));
    let signing_key = |usage| {
        let key = cross_signing::get(s, user, usage)?;
        key.map(|json| raw(json.into_boxed_str().into()))
            .transpose()
    };
    let mut found = Vec::new();
    for row in s.prefix(DEVICE_CHANGES, &(user,), Order::Forward) {
        let ((_, device), DeviceChange { pos, previous }) = row?;
        if pos < since || pos > upto {
            continue;
        }
        let update = if device == SIGNING_KEYS {
            Update::SigningKeys {
                master: signing_key(Usage::Master)?,
                self_signing: signing_key(Usage::SelfSigning)?,
            }
        } else {
            let keys = s.get(DEVICE_KEYS, &(user, device.as_str()))?;
            Update::Device {
                keys: keys.map(|keys| raw(keys.json)).transpose()?,
                device_id: device.into(),
                previous,
            }
        };
        found.push(Changed { pos, update });
    }
    found.sort_by_key(|changed| changed.pos);
    Ok(found)
}

/// When a user's devices or keys last changed.
pub fn last_changed(s: &Snapshot, user: UserNo) -> Result<Option<Pos>, Error> {
    Ok(s.get(DEVICE_LIST_LAST, &user)?)
}

/// Everybody whose devices or keys last changed after a position, in that order. Of all users: whoever asks has to keep
/// those that they share a room with.
pub fn changed_after(s: &Snapshot, after: Pos) -> impl Iterator<Item = Result<UserNo, Error>> + '_ {
    let rows = s.scan(DEVICE_LIST_LOG, after.next().., Order::Forward);
    rows.map(|row| row.map(|(_, user)| user).map_err(Error::from))
}

/// Which of these users changed after a position. For few users, or a position long ago.
pub fn changed_of(s: &Snapshot, users: &[UserNo], after: Pos) -> Result<Vec<UserNo>, Error> {
    let last = s.get_many(DEVICE_LIST_LAST, users)?;
    let changed = users
        .iter()
        .zip(last)
        .filter(|(_, last)| last.is_some_and(|last| last > after));
    Ok(changed.map(|(user, _)| *user).collect())
}

/// The number of the last change of a device, as other servers are told.
pub fn stream_id(s: &Snapshot, user: UserNo) -> Result<u64, Error> {
    let last = match chain(s, user)? {
        Some(last) => Some(last),
        None => last_changed(s, user)?,
    };
    Ok(last.map_or(0, Pos::get))
}
