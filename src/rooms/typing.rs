//! Who is typing. In memory only: after a restart nobody is, which is true soon enough anyway.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::SharedClock;
use store::{RoomNo, UserNo};
use tokio::sync::watch;

/// Nobody is believed to type for longer than this without saying so again.
const LONGEST: Duration = Duration::from_secs(120);

/// Who is typing where, with a version that grows with every change.
pub struct Typing {
    clock: SharedClock,
    rooms: Mutex<HashMap<RoomNo, Typists>>,
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct Typists {
    /// Who, and until when by monotonic time.
    users: BTreeMap<UserNo, Duration>,
    changed: u64,
}

impl Typing {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            rooms: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }

    /// Notes that a user types, for as long as they say, or stops typing. Whether they may is the caller's business.
    pub fn set(&self, room: RoomNo, user: UserNo, timeout: Option<Duration>) {
        let until = timeout.map(|timeout| self.clock.monotonic() + timeout.min(LONGEST));
        let mut rooms = self.lock();
        let changed = match until {
            Some(until) => rooms
                .entry(room)
                .or_default()
                .users
                .insert(user, until)
                .is_none(),
            None => rooms
                .get_mut(&room)
                .is_some_and(|typists| typists.users.remove(&user).is_some()),
        };
        if changed {
            self.bump(&mut rooms, &[room]);
        }
    }

    /// Lets those stop whose time is over. Called about once a second.
    pub fn tick(&self) {
        let now = self.clock.monotonic();
        let mut rooms = self.lock();
        let mut changed = Vec::new();
        for (room, typists) in rooms.iter_mut() {
            let before = typists.users.len();
            typists.users.retain(|_, until| *until > now);
            if typists.users.len() < before {
                changed.push(*room);
            }
        }
        self.bump(&mut rooms, &changed);
    }

    /// Who types in a room.
    pub fn users(&self, room: RoomNo) -> Vec<UserNo> {
        let rooms = self.lock();
        rooms
            .get(&room)
            .map(|typists| typists.users.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Who types in a room, if that changed after a version.
    pub fn users_if_changed(&self, room: RoomNo, after: u64) -> Option<Vec<UserNo>> {
        let rooms = self.lock();
        let typists = rooms.get(&room)?;
        (typists.changed > after).then(|| typists.users.keys().copied().collect())
    }

    /// The rooms in which something changed after a version.
    pub fn changed_rooms(&self, after: u64) -> Vec<RoomNo> {
        let rooms = self.lock();
        let changed = rooms.iter().filter(|(_, typists)| typists.changed > after);
        changed.map(|(room, _)| *room).collect()
    }

    /// The rooms in which somebody is typing.
    pub fn active(&self) -> Vec<RoomNo> {
        let rooms = self.lock();
        let active = rooms
            .iter()
            .filter(|(_, typists)| !typists.users.is_empty());
        active.map(|(room, _)| *room).collect()
    }

    /// The present version.
    pub fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// A bell that rings with every new version.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Takes a user out of a room they are no longer in.
    pub(crate) fn leave(&self, room: RoomNo, user: UserNo) {
        self.set(room, user, None);
    }

    fn bump(&self, rooms: &mut HashMap<RoomNo, Typists>, changed: &[RoomNo]) {
        if changed.is_empty() {
            return;
        }
        let version = self.version() + 1;
        for room in changed {
            if let Some(typists) = rooms.get_mut(room) {
                typists.changed = version;
            }
        }
        self.version.send_replace(version);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomNo, Typists>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
