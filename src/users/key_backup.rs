//! Server-side key backups: encrypted copies of room keys, in versions of which only the newest is written to (CS
//! "Server-side key backups").

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::rows::users::{BackedUpKey, KeyBackup};
use store::tables::{BACKED_UP_KEYS, KEY_BACKUPS};
use store::{Order, Snapshot, Tx, UserNo};

use crate::{Error, Users, What};

/// Largest `auth_data`, and largest key.
const LIMIT: usize = 64 * 1024;

/// A version of a backup.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Its name.
    pub version: String,
    /// How its keys are encrypted.
    pub algorithm: String,
    /// What the algorithm needs to know.
    pub auth_data: Box<RawValue>,
    /// How many keys it holds, and a value that changes when they do.
    pub state: BackupState,
}

/// What is in a backup, in two numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupState {
    /// Changes with every change of the keys.
    pub etag: String,
    /// How many keys there are.
    pub count: u64,
}

/// A key, as clients send and get it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RoomKey {
    /// The index of the first message that it can decrypt.
    pub first_message_index: u64,
    /// How many times it was forwarded.
    pub forwarded_count: u64,
    /// Whether the device that uploaded it had verified the device it came from.
    pub is_verified: bool,
    /// The encrypted key.
    pub session_data: Box<RawValue>,
}

/// Keys by session, by room.
pub type RoomKeys = BTreeMap<OwnedRoomId, BTreeMap<String, RoomKey>>;

/// Which keys are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Every key.
    All,
    /// Those of one room.
    Room(OwnedRoomId),
    /// That of one session.
    Session(OwnedRoomId, String),
}

impl From<&KeyBackup> for BackupState {
    fn from(row: &KeyBackup) -> Self {
        Self {
            etag: row.etag.to_string(),
            count: row.count,
        }
    }
}

fn shape(version: u64, row: KeyBackup) -> Result<Backup, Error> {
    let state = BackupState::from(&row);
    let auth_data =
        RawValue::from_string(row.auth_data).map_err(|_| Error::Damaged("key backup"))?;
    Ok(Backup {
        version: version.to_string(),
        algorithm: row.algorithm,
        auth_data,
        state,
    })
}

/// The number of the newest version that has not been deleted.
fn newest(s: &Snapshot, user: UserNo) -> Result<Option<(u64, KeyBackup)>, Error> {
    for row in s.prefix(KEY_BACKUPS, &(user,), Order::Backward) {
        let ((_, version), row) = row?;
        if !row.deleted {
            return Ok(Some((version, row)));
        }
    }
    Ok(None)
}

fn number(version: &str) -> Result<u64, Error> {
    version.parse().map_err(|_| Error::NotFound(What::Backup))
}

/// A version that exists.
fn existing(s: &Snapshot, user: UserNo, version: u64) -> Result<KeyBackup, Error> {
    let row = s
        .get(KEY_BACKUPS, &(user, version))?
        .filter(|row| !row.deleted);
    row.ok_or(Error::NotFound(What::Backup))
}

/// A version that may be written to, which only the newest may.
fn writable(tx: &mut Tx, user: UserNo, version: u64) -> Result<KeyBackup, Error> {
    let (current, _) = newest(tx, user)?.ok_or(Error::NotFound(What::Backup))?;
    if current != version {
        return Err(Error::WrongVersion {
            current: current.to_string(),
        });
    }
    tx.get_for_update(KEY_BACKUPS, &(user, version))?
        .ok_or(Error::NotFound(What::Backup))
}

/// Whether a new key is to stand in place of the one that is there.
fn is_better(new: &BackedUpKey, old: &BackedUpKey) -> bool {
    if new.is_verified != old.is_verified {
        return new.is_verified;
    }
    (new.first_message_index, new.forwarded_count) < (old.first_message_index, old.forwarded_count)
}

fn row(key: RoomKey) -> Result<BackedUpKey, Error> {
    if key.session_data.get().len() > LIMIT {
        return Err(Error::TooLarge("a key"));
    }
    let RoomKey {
        first_message_index,
        forwarded_count,
        is_verified,
        session_data,
    } = key;
    Ok(BackedUpKey {
        first_message_index,
        forwarded_count,
        is_verified,
        session_data: Box::<str>::from(session_data).into(),
    })
}

fn key(row: BackedUpKey) -> Result<RoomKey, Error> {
    let BackedUpKey {
        first_message_index,
        forwarded_count,
        is_verified,
        session_data,
    } = row;
    let session_data =
        RawValue::from_string(session_data).map_err(|_| Error::Damaged("backed-up key"))?;
    Ok(RoomKey {
        first_message_index,
        forwarded_count,
        is_verified,
        session_data,
    })
}

type Place = (UserNo, u64, String, String);

/// The places of the keys that are meant.
fn places(s: &Snapshot, user: UserNo, version: u64, which: &Which) -> Result<Vec<Place>, Error> {
    let places: Result<Vec<Place>, store::Error> = match which {
        Which::All => s
            .prefix(BACKED_UP_KEYS, &(user, version), Order::Forward)
            .keys()
            .collect(),
        Which::Room(room) => s
            .prefix(
                BACKED_UP_KEYS,
                &(user, version, room.as_str()),
                Order::Forward,
            )
            .keys()
            .collect(),
        Which::Session(room, session) => {
            let place = (user, version, room.as_str().to_owned(), session.clone());
            Ok(if s.contains(BACKED_UP_KEYS, &place)? {
                vec![place]
            } else {
                Vec::new()
            })
        }
    };
    Ok(places?)
}

/// Writes keys, each unless the one that is there is better.
fn put(
    tx: &mut Tx,
    user: UserNo,
    version: u64,
    keys: &[(Place, BackedUpKey)],
) -> Result<BackupState, Error> {
    let mut backup = writable(tx, user, version)?;
    let there = tx.get_many(
        BACKED_UP_KEYS,
        &keys.iter().map(|(place, _)| place).collect::<Vec<_>>(),
    )?;
    let mut changed = false;
    for ((place, new), old) in keys.iter().zip(there) {
        match old {
            Some(old) if !is_better(new, &old) => continue,
            Some(_) => {}
            None => backup.count += 1,
        }
        tx.put(BACKED_UP_KEYS, place, new)?;
        changed = true;
    }
    if changed {
        backup.etag += 1;
        tx.put(KEY_BACKUPS, &(user, version), &backup)?;
    }
    Ok(BackupState::from(&backup))
}

impl Users {
    /// Begins a new version, and gives its name.
    pub async fn create_backup(
        &self,
        user: &UserId,
        algorithm: String,
        auth_data: Box<RawValue>,
    ) -> Result<String, Error> {
        if auth_data.get().len() > LIMIT || algorithm.len() > 255 {
            return Err(Error::TooLarge("auth_data"));
        }
        let no = self.local_no(user)?;
        let row = KeyBackup {
            algorithm,
            auth_data: Box::<str>::from(auth_data).into(),
            etag: 0,
            count: 0,
            deleted: false,
        };
        self.write(move |tx| {
            let last = tx
                .prefix(KEY_BACKUPS, &(no,), Order::Backward)
                .keys()
                .next()
                .transpose()?;
            let version = last.map_or(1, |(_, version)| version + 1);
            tx.expect(KEY_BACKUPS, &(no, version), None)?;
            tx.put(KEY_BACKUPS, &(no, version), &row)?;
            Ok(version.to_string())
        })
        .await
    }

    /// A version of a user's backup, or the newest.
    pub async fn backup(&self, user: &UserId, version: Option<&str>) -> Result<Backup, Error> {
        let (no, version) = (self.local_no(user)?, version.map(number).transpose()?);
        self.read(move |s| match version {
            Some(version) => shape(version, existing(s, no, version)?),
            None => {
                let (version, row) = newest(s, no)?.ok_or(Error::NotFound(What::Backup))?;
                shape(version, row)
            }
        })
        .await
    }

    /// Changes what the algorithm of a version needs to know; the algorithm itself stays.
    pub async fn update_backup(
        &self,
        user: &UserId,
        version: &str,
        algorithm: &str,
        auth_data: Box<RawValue>,
    ) -> Result<(), Error> {
        if auth_data.get().len() > LIMIT {
            return Err(Error::TooLarge("auth_data"));
        }
        let (no, version, algorithm) =
            (self.local_no(user)?, number(version)?, algorithm.to_owned());
        self.write(move |tx| {
            existing(tx, no, version)?;
            let row = tx.get_for_update(KEY_BACKUPS, &(no, version))?;
            let mut row = row.ok_or(Error::NotFound(What::Backup))?;
            if row.algorithm != algorithm {
                return Err(Error::InvalidParam(
                    "the algorithm of a key backup cannot be changed".to_owned(),
                ));
            }
            auth_data.get().clone_into(&mut row.auth_data);
            Ok(tx.put(KEY_BACKUPS, &(no, version), &row)?)
        })
        .await
    }

    /// Deletes a version with its keys.
    pub async fn delete_backup(&self, user: &UserId, version: &str) -> Result<(), Error> {
        let (no, version) = (self.local_no(user)?, number(version)?);
        self.write(move |tx| {
            existing(tx, no, version)?;
            let row = tx.get_for_update(KEY_BACKUPS, &(no, version))?;
            let row = row.ok_or(Error::NotFound(What::Backup))?;
            tx.delete_prefix(BACKED_UP_KEYS, &(no, version));
            let gone = KeyBackup {
                auth_data: "{}".to_owned(),
                count: 0,
                deleted: true,
                ..row
            };
            Ok(tx.put(KEY_BACKUPS, &(no, version), &gone)?)
        })
        .await
    }

    /// Adds keys to the newest version. Of two keys for the same session the better one stays.
    ///
    /// # Errors
    /// If the version is not the newest one.
    pub async fn put_backed_up_keys(
        &self,
        user: &UserId,
        version: &str,
        keys: RoomKeys,
    ) -> Result<BackupState, Error> {
        let (no, version) = (self.local_no(user)?, number(version)?);
        let mut rows = Vec::new();
        for (room, sessions) in keys {
            for (session, key) in sessions {
                if session.len() > 255 {
                    return Err(Error::TooLarge("the session id"));
                }
                rows.push(((no, version, room.as_str().to_owned(), session), row(key)?));
            }
        }
        let users = self.clone();
        self.in_lane(no, async move {
            users.write(move |tx| put(tx, no, version, &rows)).await
        })
        .await
    }

    /// The keys that are meant, of any version.
    pub async fn backed_up_keys(
        &self,
        user: &UserId,
        version: &str,
        which: Which,
    ) -> Result<RoomKeys, Error> {
        let (no, version) = (self.local_no(user)?, number(version)?);
        self.read(move |s| {
            existing(s, no, version)?;
            let mut keys = RoomKeys::new();
            for place in places(s, no, version, &which)? {
                let Some(row) = s.get(BACKED_UP_KEYS, &place)? else {
                    continue;
                };
                let room =
                    RoomId::parse(place.2.as_str()).map_err(|_| Error::Damaged("room id"))?;
                keys.entry(room).or_default().insert(place.3, key(row)?);
            }
            Ok(keys)
        })
        .await
    }

    /// The key of one session.
    pub async fn backed_up_key(
        &self,
        user: &UserId,
        version: &str,
        room: &RoomId,
        session: &str,
    ) -> Result<RoomKey, Error> {
        let which = Which::Session(room.to_owned(), session.to_owned());
        let keys = self.backed_up_keys(user, version, which).await?;
        let key = keys.into_values().flat_map(BTreeMap::into_values).next();
        key.ok_or(Error::NotFound(What::BackedUpKey))
    }

    /// Deletes the keys that are meant.
    pub async fn delete_backed_up_keys(
        &self,
        user: &UserId,
        version: &str,
        which: Which,
    ) -> Result<BackupState, Error> {
        let (no, version) = (self.local_no(user)?, number(version)?);
        let users = self.clone();
        let decide = move |tx: &mut Tx| {
            existing(tx, no, version)?;
            let backup = tx.get_for_update(KEY_BACKUPS, &(no, version))?;
            let mut backup = backup.ok_or(Error::NotFound(What::Backup))?;
            let places = places(tx, no, version, &which)?;
            for place in &places {
                tx.delete(BACKED_UP_KEYS, place);
            }
            if !places.is_empty() {
                backup.count = backup.count.saturating_sub(places.len() as u64);
                backup.etag += 1;
                tx.put(KEY_BACKUPS, &(no, version), &backup)?;
            }
            Ok(BackupState::from(&backup))
        };
        self.in_lane(no, async move { users.write(decide).await })
            .await
    }
}
