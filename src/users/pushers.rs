//! Pushers: where to tell of events for a user (CS "Push Notifications"). Telling is in `outbox`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ruma::{DeviceId, OwnedDeviceId, UserId};
use serde_json::value::RawValue;
use store::rows::users::Pusher as Row;
use store::tables::{PUSHER_OWNERS, PUSHERS};
use store::{Order, Snapshot, Store, Tx, UserNo};

use crate::{Error, Users, push_queue};

/// Most pushers of one user.
const MOST: usize = 100;
const JSON_LIMIT: usize = 16 * 1024;
/// As the specification has it.
const PUSHKEY_LIMIT: usize = 512;
const APP_ID_LIMIT: usize = 64;

/// A pusher.
#[derive(Debug, Clone)]
pub struct Pusher {
    /// The application that it is for.
    pub app_id: String,
    /// What names the user's installation of the application.
    pub pushkey: String,
    /// All of it, as its client gave it.
    pub json: Box<RawValue>,
    /// The device that set it.
    pub device_id: OwnedDeviceId,
    /// When it was set, in milliseconds since 1970.
    pub created: u64,
    /// Whether it is to be used.
    pub enabled: bool,
}

/// Who has pushers, in memory; perhaps somebody who had some, too.
#[derive(Default)]
pub(crate) struct Pushed(Mutex<Option<HashSet<UserNo>>>);

impl Pushed {
    fn with<T>(
        &self,
        store: &Store,
        look: impl FnOnce(&mut HashSet<UserNo>) -> T,
    ) -> Result<T, Error> {
        let mut pushed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pushed) = &mut *pushed {
            return Ok(look(pushed));
        }
        let mut found = HashSet::new();
        for key in store.snapshot().scan(PUSHERS, .., Order::Forward).keys() {
            found.insert(key?.0);
        }
        Ok(look(pushed.insert(found)))
    }
}

/// A pusher to be set.
#[derive(Debug, Clone)]
pub struct NewPusher {
    /// The application that it is for.
    pub app_id: String,
    /// What names the user's installation of the application.
    pub pushkey: String,
    /// All of it.
    pub json: Box<RawValue>,
    /// Whether other users may have a pusher with the same key and application.
    pub append: bool,
    /// Whether it is to be used.
    pub enabled: bool,
}

/// A user's pushers.
pub fn list(s: &Snapshot, user: UserNo) -> Result<Vec<Pusher>, Error> {
    let rows = s.prefix(PUSHERS, &(user,), Order::Forward);
    rows.map(|row| {
        let (
            (_, pushkey, app_id),
            Row {
                json,
                device,
                created,
                enabled,
            },
        ) = row?;
        let json = RawValue::from_string(json).map_err(|_| Error::Damaged("pusher"))?;
        Ok(Pusher {
            app_id,
            pushkey,
            json,
            device_id: device.into(),
            created,
            enabled,
        })
    })
    .collect()
}

fn remove_where(tx: &mut Tx, user: UserNo, wanted: impl Fn(&Row) -> bool) -> Result<(), Error> {
    let rows: Vec<_> = tx
        .prefix(PUSHERS, &(user,), Order::Forward)
        .collect::<Result<_, _>>()?;
    for ((_, pushkey, app_id), _) in rows.into_iter().filter(|(_, row)| wanted(row)) {
        remove(tx, user, &pushkey, &app_id);
    }
    Ok(())
}

/// Removes every pusher of a user.
pub(crate) fn remove_all(tx: &mut Tx, user: UserNo) -> Result<(), Error> {
    remove_where(tx, user, |_| true)
}

/// Removes the pushers that a device has set.
pub(crate) fn remove_of_device(tx: &mut Tx, user: UserNo, device: &str) -> Result<(), Error> {
    remove_where(tx, user, |row| row.device == device)
}

fn remove(tx: &mut Tx, user: UserNo, pushkey: &str, app_id: &str) {
    tx.delete(PUSHERS, &(user, pushkey, app_id));
    tx.delete(PUSHER_OWNERS, &(pushkey, app_id, user));
    push_queue::forget(tx, &(user, pushkey.to_owned(), app_id.to_owned()));
}

fn put(tx: &mut Tx, user: UserNo, row: &Row, new: &NewPusher) -> Result<(), Error> {
    let place = (user, new.pushkey.as_str(), new.app_id.as_str());
    let known = tx.get_for_update(PUSHERS, &place)?.is_some();
    if !known && tx.prefix(PUSHERS, &(user,), Order::Forward).keys().count() >= MOST {
        return Err(Error::TooMany("pushers"));
    }
    if !new.append {
        let owners = tx
            .prefix(
                PUSHER_OWNERS,
                &(new.pushkey.as_str(), new.app_id.as_str()),
                Order::Forward,
            )
            .keys();
        let owners: Vec<_> = owners.collect::<Result<_, _>>()?;
        for (_, _, owner) in owners.into_iter().filter(|(_, _, owner)| *owner != user) {
            remove(tx, owner, &new.pushkey, &new.app_id);
        }
    }
    tx.put(PUSHERS, &place, row)?;
    Ok(tx.put(
        PUSHER_OWNERS,
        &(new.pushkey.as_str(), new.app_id.as_str(), user),
        &(),
    )?)
}

/// A pusher.
pub fn get(s: &Snapshot, place: &push_queue::Place) -> Result<Option<Pusher>, Error> {
    let (user, pushkey, app_id) = place;
    let all = list(s, *user)?;
    let wanted = |pusher: &Pusher| pusher.pushkey == *pushkey && pusher.app_id == *app_id;
    Ok(all.into_iter().find(wanted))
}

/// Removes a pusher that its gateway does not want to hear of again.
pub fn reject(tx: &mut Tx, place: &push_queue::Place) {
    let (user, pushkey, app_id) = place;
    remove(tx, *user, pushkey, app_id);
}

impl Users {
    /// Those among these users who may have pushers.
    pub fn with_pushers(
        &self,
        users: impl IntoIterator<Item = UserNo>,
    ) -> Result<Vec<UserNo>, Error> {
        self.inner.pushed.with(self.store(), |pushed| {
            users
                .into_iter()
                .filter(|user| pushed.contains(user))
                .collect()
        })
    }

    /// Whether anybody may have pushers.
    pub fn has_any_pushers(&self) -> Result<bool, Error> {
        self.inner
            .pushed
            .with(self.store(), |pushed| !pushed.is_empty())
    }

    /// A user's pushers.
    pub async fn pushers(&self, user: &UserId) -> Result<Vec<Pusher>, Error> {
        let no = self.local_no(user)?;
        self.read(move |s| list(s, no)).await
    }

    /// Sets a pusher, in place of one with the same key and application.
    pub async fn set_pusher(
        &self,
        user: &UserId,
        device: &DeviceId,
        new: NewPusher,
    ) -> Result<(), Error> {
        if new.pushkey.len() > PUSHKEY_LIMIT {
            return Err(Error::TooLarge("the push key"));
        }
        if new.app_id.len() > APP_ID_LIMIT {
            return Err(Error::TooLarge("the application's id"));
        }
        if new.json.get().len() > JSON_LIMIT {
            return Err(Error::TooLarge("the pusher"));
        }
        let no = self.local_no(user)?;
        let (json, device) = (new.json.get().to_owned(), device.as_str().to_owned());
        let row = Row {
            json,
            device,
            created: self.now(),
            enabled: new.enabled,
        };
        // Before there is one, so that nobody who looks after that misses it.
        self.inner
            .pushed
            .with(self.store(), |pushed| pushed.insert(no))?;
        self.write(move |tx| put(tx, no, &row, &new)).await
    }

    /// Removes a pusher. That there was none is no error.
    pub async fn delete_pusher(
        &self,
        user: &UserId,
        pushkey: &str,
        app_id: &str,
    ) -> Result<(), Error> {
        let (no, pushkey, app_id) = (self.local_no(user)?, pushkey.to_owned(), app_id.to_owned());
        self.write(move |tx| {
            remove(tx, no, &pushkey, &app_id);
            Ok(())
        })
        .await
    }
}
