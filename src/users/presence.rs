//! Presence: who is there, and since when (CS "Presence").
//!
//! What a person's devices are doing is in memory. What others can see of it is written down when it changes, at most once
//! a second each and many people in one batch, with a change in the log; so a sync finds by position whose presence it has
//! to tell, and nobody looks at everybody.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ruma::presence::PresenceState;
use ruma::{DeviceId, UserId};
use store::rows::users::Presence as Row;
use store::tables::{PRESENCE, PRESENCE_LOG};
use store::{Change, Order, Pos, Snapshot, UserNo};

use crate::{Error, Identity, Users};

/// A device counts as gone so long after its last sync has ended, in milliseconds.
const GRACE: u64 = 30_000;
/// Somebody who has done nothing for so long is not available.
const IDLE: u64 = 5 * 60_000;
/// Somebody who has done something within so long is doing something.
const ACTIVE: u64 = 60_000;
/// Longest status message, in bytes.
const STATUS_LIMIT: usize = 1024;

/// A user's presence, as others may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Whether they are there.
    pub state: PresenceState,
    /// What they say of it.
    pub status: Option<String>,
    /// How long ago they last did something, in milliseconds; none if they never did.
    pub last_active_ago: Option<u64>,
    /// Whether they are doing something just now.
    pub currently_active: bool,
}

/// What another server says of one of its users.
#[derive(Debug, Clone)]
pub struct RemotePresence {
    /// Whether they are there.
    pub state: PresenceState,
    /// What they say of it.
    pub status: Option<String>,
    /// How long ago they last did something, in milliseconds.
    pub last_active_ago: u64,
    /// Whether they are doing something just now.
    pub currently_active: bool,
}

/// The people who are there.
#[derive(Default)]
pub(crate) struct Live(Mutex<People>);

#[derive(Default)]
struct People {
    here: HashMap<UserNo, Person>,
    /// What is to be written down.
    changed: HashMap<UserNo, Row>,
    /// Whether those who were there when the server stopped have been looked at.
    revived: bool,
}

#[derive(Default)]
struct Person {
    devices: HashMap<String, Device>,
    status: Option<String>,
    last_active: u64,
    /// As others were told.
    shown: Row,
}

struct Device {
    state: PresenceState,
    /// How many syncs are open.
    syncing: u32,
    /// When the last one ended.
    last_sync: u64,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, People> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Person {
    /// What others are to see now.
    fn look(&self, now: u64) -> Row {
        let is = |state: &PresenceState| self.devices.values().any(|device| device.state == *state);
        let since = now.saturating_sub(self.last_active);
        let state = match () {
            () if is(&PresenceState::Online) && since < IDLE => PresenceState::Online,
            () if is(&PresenceState::Online) || is(&PresenceState::Unavailable) => {
                PresenceState::Unavailable
            }
            () => PresenceState::Offline,
        };
        let currently_active = state == PresenceState::Online && since < ACTIVE;
        Row {
            pos: Pos::ZERO,
            state: state.as_str().to_owned(),
            status: self.status.clone(),
            last_active: self.last_active,
            currently_active,
        }
    }
}

impl People {
    /// Changes what is known of somebody, and notes whether others have to hear of it.
    fn change(
        &mut self,
        user: UserNo,
        now: u64,
        known: impl FnOnce() -> Row,
        change: impl FnOnce(&mut Person),
    ) {
        let person = self.here.entry(user).or_insert_with(|| {
            let shown = known();
            Person {
                devices: HashMap::new(),
                status: shown.status.clone(),
                last_active: shown.last_active,
                shown,
            }
        });
        change(person);
        self.settle(user, now);
    }

    /// Notes what others have to hear of somebody, and forgets those who have gone.
    fn settle(&mut self, user: UserNo, now: u64) {
        let Some(person) = self.here.get_mut(&user) else {
            return;
        };
        person
            .devices
            .retain(|_, device| device.syncing > 0 || now.saturating_sub(device.last_sync) < GRACE);
        let look = person.look(now);
        // When somebody was last active is told with the next thing there is to tell.
        let told = (
            &person.shown.state,
            &person.shown.status,
            person.shown.currently_active,
        );
        if told != (&look.state, &look.status, look.currently_active) {
            person.shown = look.clone();
            self.changed.insert(user, look);
        }
        if person.devices.is_empty() {
            self.here.remove(&user);
        }
    }
}

fn shape(row: &Row, now: u64) -> Presence {
    Presence {
        state: PresenceState::from(row.state.as_str()),
        status: row.status.clone(),
        last_active_ago: (row.last_active > 0).then(|| now.saturating_sub(row.last_active)),
        currently_active: row.currently_active,
    }
}

fn offline() -> Row {
    Row {
        state: PresenceState::Offline.as_str().to_owned(),
        ..Row::default()
    }
}

fn stored(s: &Snapshot, user: UserNo) -> Result<Row, Error> {
    Ok(s.get(PRESENCE, &user)?.unwrap_or_else(offline))
}

/// Whose presence last changed after a position, in that order. Of all users: whoever asks has to keep those that they
/// share a room with.
pub fn changed_after(s: &Snapshot, after: Pos) -> impl Iterator<Item = Result<UserNo, Error>> + '_ {
    let rows = s.scan(PRESENCE_LOG, after.next().., Order::Forward);
    rows.map(|row| row.map(|(_, user)| user).map_err(Error::from))
}

/// When a user's presence last changed, if ever.
pub fn last_changed(s: &Snapshot, user: UserNo) -> Result<Option<Pos>, Error> {
    Ok(s.get(PRESENCE, &user)?.map(|row| row.pos))
}

/// A user's presence as others were last told.
pub fn get(s: &Snapshot, user: UserNo, now: u64) -> Result<Option<Presence>, Error> {
    Ok(s.get(PRESENCE, &user)?.map(|row| shape(&row, now)))
}

/// Held while a sync is open.
pub struct Syncing {
    users: Users,
    user: UserNo,
    device: String,
}

impl Drop for Syncing {
    fn drop(&mut self) {
        let now = self.users.now();
        let mut people = self.users.inner.presence.lock();
        if let Some(device) = people
            .here
            .get_mut(&self.user)
            .and_then(|person| person.devices.get_mut(&self.device))
        {
            device.syncing = device.syncing.saturating_sub(1);
            device.last_sync = now;
        }
    }
}

impl Users {
    /// Whether users see each other's presence at all.
    #[must_use]
    pub fn has_presence(&self) -> bool {
        self.inner.settings.presence
    }

    /// Notes that a device syncs, and wants its user to be seen as `state`; to be held until the sync ends.
    pub fn presence_syncing(&self, who: &Identity, state: &PresenceState) -> Option<Syncing> {
        if !self.has_presence() || *state == PresenceState::Offline {
            return None;
        }
        let (now, device) = (self.now(), who.device_id.as_str().to_owned());
        self.change_presence(who.user_no(), now, |person| {
            let gone = |known: &&Device| {
                known.syncing == 0 && now.saturating_sub(known.last_sync) >= GRACE
            };
            let known = person.devices.get(&device).filter(|known| !gone(known));
            // Coming online is doing something; staying online is not.
            let comes = known.is_none_or(|known| known.state != PresenceState::Online);
            if comes && *state == PresenceState::Online {
                person.last_active = now;
            }
            let syncing = known.map_or(0, |known| known.syncing) + 1;
            let here = Device {
                state: state.clone(),
                syncing,
                last_sync: now,
            };
            person.devices.insert(device.clone(), here);
        });
        Some(Syncing {
            users: self.clone(),
            user: who.user_no(),
            device,
        })
    }

    /// Notes that a user did something.
    pub fn presence_active(&self, who: &Identity) {
        if !self.has_presence() {
            return;
        }
        let now = self.now();
        self.change_presence(who.user_no(), now, |person| {
            person.last_active = now;
            if let Some(device) = person.devices.get_mut(who.device_id.as_str()) {
                device.state = PresenceState::Online;
            }
        });
    }

    /// Sets a user's presence, as their client asks.
    ///
    /// # Errors
    /// If the status is too long.
    pub async fn set_presence(
        &self,
        user: &UserId,
        device: &DeviceId,
        state: PresenceState,
        status: Option<String>,
    ) -> Result<(), Error> {
        if status
            .as_ref()
            .is_some_and(|status| status.len() > STATUS_LIMIT)
        {
            return Err(Error::TooLarge("the status message"));
        }
        if !matches!(
            state,
            PresenceState::Online | PresenceState::Unavailable | PresenceState::Offline
        ) {
            return Err(Error::InvalidParam(
                "presence is online, unavailable or offline".to_owned(),
            ));
        }
        if !self.has_presence() {
            return Ok(());
        }
        let (no, now) = (self.local_no(user)?, self.now());
        self.change_presence(no, now, |person| {
            person.status = status;
            if state == PresenceState::Online {
                person.last_active = now;
            }
            let fresh = || Device {
                state: state.clone(),
                syncing: 0,
                last_sync: now,
            };
            let known = person
                .devices
                .entry(device.as_str().to_owned())
                .or_insert_with(fresh);
            known.state = state.clone();
            known.last_sync = now;
        });
        self.write_presence().await
    }

    /// Takes what another server says of its users.
    pub async fn receive_presence(
        &self,
        said: Vec<(ruma::OwnedUserId, RemotePresence)>,
    ) -> Result<(), Error> {
        if !self.has_presence() {
            return Ok(());
        }
        let (now, snapshot) = (self.now(), self.store().snapshot());
        for (user, presence) in said {
            // Of people we have never heard of, nobody here wants to know.
            let Some(no) = snapshot.user_no(&user)?.filter(|_| !self.is_local(&user)) else {
                continue;
            };
            let row = Row {
                pos: Pos::ZERO,
                state: presence.state.as_str().to_owned(),
                status: presence
                    .status
                    .filter(|status| status.len() <= STATUS_LIMIT),
                last_active: now.saturating_sub(presence.last_active_ago),
                currently_active: presence.currently_active,
            };
            self.inner.presence.lock().changed.insert(no, row);
        }
        Ok(())
    }

    /// A user's presence, as of this moment.
    pub fn presence_of(&self, user: UserNo) -> Result<Presence, Error> {
        let now = self.now();
        {
            let people = self.inner.presence.lock();
            if let Some(person) = people.here.get(&user) {
                return Ok(shape(&person.look(now), now));
            }
            if let Some(row) = people.changed.get(&user) {
                return Ok(shape(row, now));
            }
        }
        Ok(shape(&stored(&self.store().snapshot(), user)?, now))
    }

    /// A user's presence, as of this moment.
    pub fn presence(&self, user: &UserId) -> Result<Presence, Error> {
        self.presence_of(self.local_no(user)?)
    }

    /// Lets time pass: those who have gone or do nothing are noted, and what has changed is written down.
    pub async fn tick_presence(&self) -> Result<(), Error> {
        if !self.has_presence() {
            return Ok(());
        }
        self.revive_presence().await?;
        let now = self.now();
        {
            let mut people = self.inner.presence.lock();
            let here: Vec<UserNo> = people.here.keys().copied().collect();
            for user in here {
                people.settle(user, now);
            }
        }
        self.write_presence().await
    }

    fn change_presence(&self, user: UserNo, now: u64, change: impl FnOnce(&mut Person)) {
        let store = self.store();
        let mut people = self.inner.presence.lock();
        let pending = people.changed.get(&user).cloned();
        let known = || {
            pending
                .or_else(|| stored(&store.snapshot(), user).ok())
                .unwrap_or_else(offline)
        };
        people.change(user, now, known, change);
    }

    /// Those who were there when the server stopped may come back; if they do not, others have to hear that they have gone.
    async fn revive_presence(&self) -> Result<(), Error> {
        if std::mem::replace(&mut self.inner.presence.lock().revived, true) {
            return Ok(());
        }
        let users = self.clone();
        let there = self.read(move |s| {
            let mut there = Vec::new();
            for row in s.scan(PRESENCE, .., Order::Forward) {
                let (user, row) = row?;
                if row.state != PresenceState::Offline.as_str() && users.is_local(&s.user_id(user)?)
                {
                    there.push((user, row));
                }
            }
            Ok(there)
        });
        let (there, now) = (there.await?, self.now());
        let mut people = self.inner.presence.lock();
        for (user, row) in there {
            if people.here.contains_key(&user) {
                continue;
            }
            let state = PresenceState::from(row.state.as_str());
            people.change(
                user,
                now,
                || row,
                |person| {
                    person.devices.entry(String::new()).or_insert(Device {
                        state,
                        syncing: 0,
                        last_sync: now,
                    });
                },
            );
        }
        Ok(())
    }

    /// Writes down what has changed.
    async fn write_presence(&self) -> Result<(), Error> {
        let changed = std::mem::take(&mut self.inner.presence.lock().changed);
        if changed.is_empty() {
            return Ok(());
        }
        let write = self.inner.store.write_relaxed::<(), Error>(move |tx| {
            for (user, row) in &changed {
                let before = tx.get_for_update(PRESENCE, user)?;
                if let Some(before) = before {
                    tx.delete(PRESENCE_LOG, &before.pos);
                }
                let pos = tx.log(Change::Presence { user: *user });
                tx.put(PRESENCE, user, &Row { pos, ..row.clone() })?;
                tx.put(PRESENCE_LOG, &pos, user)?;
            }
            Ok(())
        });
        write.await.map(|_| ())
    }
}
