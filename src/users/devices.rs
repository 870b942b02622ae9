//! Devices: what a user is logged in with. Their keys are in `device_keys.rs`, their tokens in `sessions.rs`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use ruma::{DeviceId, OwnedDeviceId, UserId};
use store::rows::users::{Device as Row, Seen};
use store::tables::{DEVICES, DEVICES_SEEN};
use store::{Order, Snapshot, Tx, UserNo};

use crate::{
    Error, Identity, Users, What, account_data, device_keys, device_lists, pushers, sessions,
    to_device,
};

/// When a device was seen is noted at most this often, in milliseconds.
const NOTE_EVERY: u64 = 60_000;
/// How many devices' last visits are remembered until they are written down.
const MOST_NOTED: usize = 100_000;
/// Longest display name of a device, in characters.
const NAME_LIMIT: usize = 100;

/// A device, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// What its owner calls it.
    pub display_name: Option<String>,
    /// When it was last used, in milliseconds since 1970.
    pub last_seen: Option<u64>,
    /// From which address.
    pub last_address: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
    /// Whether it waits to be brought back to life.
    pub dehydrated: bool,
}

/// When devices were seen, until it is written down.
#[derive(Default)]
pub(crate) struct SeenLater(Mutex<HashMap<(UserNo, String), Seen>>);

impl SeenLater {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(UserNo, String), Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts a name that is too long.
pub(crate) fn shorten(name: &str) -> String {
    name.chars().take(NAME_LIMIT).collect()
}

fn shape(device_id: String, row: Row, seen: Option<Seen>) -> Device {
    let seen = seen.unwrap_or_default();
    Device {
        device_id: device_id.into(),
        display_name: row.display_name,
        last_seen: (seen.at > 0).then_some(seen.at),
        last_address: seen.address,
        user_agent: seen.user_agent,
        dehydrated: row.dehydrated,
    }
}

/// The devices of a user.
pub fn list(s: &Snapshot, user: UserNo) -> Result<Vec<Device>, Error> {
    let mut devices = Vec::new();
    for row in s.prefix(DEVICES, &(user,), Order::Forward) {
        let (key, row) = row?;
        let seen = s.get(DEVICES_SEEN, &key)?;
        devices.push(shape(key.1, row, seen));
    }
    Ok(devices)
}

/// A device of a user.
pub fn get(s: &Snapshot, user: UserNo, device: &str) -> Result<Option<Device>, Error> {
    let Some(row) = s.get(DEVICES, &(user, device))? else {
        return Ok(None);
    };
    let seen = s.get(DEVICES_SEEN, &(user, device))?;
    Ok(Some(shape(device.to_owned(), row, seen)))
}

/// Whether a user has a device.
pub fn exists(s: &Snapshot, user: UserNo, device: &str) -> Result<bool, Error> {
    Ok(s.contains(DEVICES, &(user, device))?)
}

/// Removes a device and everything that belongs to it. Whether others have to hear of it is the answer.
fn remove(tx: &mut Tx, user: UserNo, device: &str) -> Result<bool, Error> {
    let key = (user, device.to_owned());
    sessions::revoke(tx, &key)?;
    tx.delete(DEVICES, &key);
    tx.delete(DEVICES_SEEN, &key);
    let had_keys = device_keys::remove(tx, user, device)?;
    to_device::remove(tx, user, device);
    pushers::remove_of_device(tx, user, device)?;
    account_data::remove_of_device(tx, user, device)?;
    Ok(had_keys)
}

fn remove_where(
    tx: &mut Tx,
    user: UserNo,
    wanted: impl Fn(&str, &Row) -> bool,
) -> Result<(), Error> {
    let mut devices = Vec::new();
    for row in tx.prefix(DEVICES, &(user,), Order::Forward) {
        let ((_, device), row) = row?;
        if wanted(&device, &row) {
            devices.push(device);
        }
    }
    let mut had_keys = Vec::new();
    for device in &devices {
        if remove(tx, user, device)? {
            had_keys.push(device.as_str());
        }
    }
    if !had_keys.is_empty() {
        device_lists::note(tx, user, &had_keys)?;
    }
    Ok(())
}

/// Removes every device of a user.
pub(crate) fn remove_all(tx: &mut Tx, user: UserNo) -> Result<(), Error> {
    remove_where(tx, user, |_, _| true)
}

/// Removes every device of a user that is logged in, but one. A dehydrated one was never logged in.
pub(crate) fn remove_others(tx: &mut Tx, user: UserNo, keep: Option<&str>) -> Result<(), Error> {
    remove_where(tx, user, |device, row| {
        Some(device) != keep && !row.dehydrated
    })
}

/// Removes these devices.
pub(crate) fn remove_these(
    tx: &mut Tx,
    user: UserNo,
    devices: &[OwnedDeviceId],
) -> Result<(), Error> {
    remove_where(tx, user, |device, _| {
        devices.iter().any(|other| other.as_str() == device)
    })
}

impl Users {
    /// The devices of a user.
    pub async fn devices(&self, user: &UserId) -> Result<Vec<Device>, Error> {
        let no = self.local_no(user)?;
        let mut devices = self.read(move |s| list(s, no)).await?;
        devices
            .iter_mut()
            .for_each(|device| self.freshen(no, device));
        Ok(devices)
    }

    /// A device of a user.
    pub async fn device(&self, user: &UserId, device: &DeviceId) -> Result<Device, Error> {
        let (no, device) = (self.local_no(user)?, device.to_owned());
        let found = self.read(move |s| get(s, no, device.as_str())).await?;
        let mut device = found.ok_or(Error::NotFound(What::Device))?;
        self.freshen(no, &mut device);
        Ok(device)
    }

    /// Whether a user has a device.
    pub async fn has_device(&self, user: &UserId, device: &DeviceId) -> Result<bool, Error> {
        let (user, device) = (user.to_owned(), device.to_owned());
        self.read(move |s| match s.user_no(&user)? {
            Some(no) => exists(s, no, device.as_str()),
            None => Ok(false),
        })
        .await
    }

    /// Makes a device nobody is logged in with, for an application service. Says whether it is new.
    pub async fn create_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        name: Option<&str>,
    ) -> Result<bool, Error> {
        let (no, now, device) = (
            self.local_no(user)?,
            self.now(),
            self.device_for(Some(device.to_owned()))?,
        );
        let name = name.map(shorten);
        self.write(move |tx| {
            let key = (no, device.as_str().to_owned());
            if let Some(mut row) = tx.get_for_update(DEVICES, &key)? {
                row.display_name = name.clone().or(row.display_name);
                tx.put(DEVICES, &key, &row)?;
                return Ok(false);
            }
            tx.put(
                DEVICES,
                &key,
                &Row {
                    display_name: name.clone(),
                    created: now,
                    dehydrated: false,
                },
            )?;
            Ok(true)
        })
        .await
    }

    /// Gives a device a name, or none.
    pub async fn rename_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        name: Option<&str>,
    ) -> Result<(), Error> {
        if name.is_some_and(|name| name.chars().count() > NAME_LIMIT) {
            return Err(Error::TooLarge("the device's name"));
        }
        let (no, key) = (self.local_no(user)?, device.as_str().to_owned());
        let name = name.map(ToOwned::to_owned);
        self.write(move |tx| {
            let mut row = tx
                .get_for_update(DEVICES, &(no, &key))?
                .ok_or(Error::NotFound(What::Device))?;
            if row.display_name == name {
                return Ok(());
            }
            row.display_name.clone_from(&name);
            tx.put(DEVICES, &(no, &key), &row)?;
            // The name goes out with the keys.
            if device_keys::has(tx, no, &key)? {
                device_lists::note(tx, no, &[&key])?;
            }
            Ok(())
        })
        .await
    }

    /// Removes devices, and logs them out. Those that do not exist are passed over.
    pub async fn delete_devices(
        &self,
        user: &UserId,
        devices: Vec<OwnedDeviceId>,
    ) -> Result<(), Error> {
        let no = self.local_no(user)?;
        let users = self.clone();
        self.in_lane(no, async move {
            let _sessions = users.inner.sessions.changing(no);
            let _counts = users.inner.counts.changing(no);
            users.write(move |tx| remove_these(tx, no, &devices)).await
        })
        .await
    }

    /// Notes that a device was used just now. Costs next to nothing; it is written down later.
    pub fn note_seen(&self, who: &Identity, address: Option<IpAddr>, user_agent: Option<&str>) {
        let (now, before) = (self.now(), who.noted.load(Ordering::Relaxed));
        if now < before.saturating_add(NOTE_EVERY) {
            return;
        }
        who.noted.store(now, Ordering::Relaxed);
        let seen = Seen {
            at: now,
            address: address.map(|address| address.to_canonical().to_string()),
            user_agent: user_agent.map(|agent| agent.chars().take(200).collect()),
        };
        let mut later = self.inner.seen.lock();
        if later.len() < MOST_NOTED {
            later.insert((who.user_no(), who.device_id.as_str().to_owned()), seen);
        }
    }

    /// Writes down when devices were seen.
    pub async fn write_seen(&self) -> Result<(), Error> {
        let seen = std::mem::take(&mut *self.inner.seen.lock());
        if seen.is_empty() {
            return Ok(());
        }
        let write = self.inner.store.write_relaxed::<(), Error>(move |tx| {
            for (key, seen) in &seen {
                // A device that has gone meanwhile stays gone.
                if tx.contains(DEVICES, key)? {
                    tx.put(DEVICES_SEEN, key, seen)?;
                }
            }
            Ok(())
        });
        write.await.map(|_| ())
    }

    /// Lays what is not written down yet over what is.
    fn freshen(&self, user: UserNo, device: &mut Device) {
        let key = (user, device.device_id.as_str().to_owned());
        if let Some(seen) = self.inner.seen.lock().get(&key) {
            device.last_seen = Some(seen.at);
            device.last_address.clone_from(&seen.address);
            device.user_agent.clone_from(&seen.user_agent);
        }
    }
}
