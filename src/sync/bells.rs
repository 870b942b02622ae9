//! Who waits for news, and what news there has been: one bell per user who is or was just waiting.
//!
//! A bell is rung by `ringer.rs` and carries marks: which rooms, and which things of the user's own, have changed, and
//! where in the log. So a sync pays for what has changed and not for the rooms joined. A bell remembers from some
//! position on; who asks about an earlier time is told that nobody knows. A waiting client costs one bell and one
//! sleeping future.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::{Pos, RoomNo, UserNo};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Rooms that a bell remembers; when there are more, the longest unchanged ones go, and with them the time before.
const ROOMS: usize = 48;
/// How long a bell is kept after its last use.
const KEPT: Duration = Duration::from_secs(180);
const SHARDS: usize = 16;

/// Where something changed last; zero if nothing is known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoomMarks {
    /// An event in the timeline.
    pub event: Pos,
    /// A receipt that the user may see.
    pub receipt: Pos,
    /// The user's account data for the room.
    pub data: Pos,
}

impl RoomMarks {
    /// Takes over later marks.
    pub fn merge(&mut self, other: Self) {
        self.event = self.event.max(other.event);
        self.receipt = self.receipt.max(other.receipt);
        self.data = self.data.max(other.data);
    }

    fn last(&self) -> Pos {
        self.event.max(self.receipt).max(self.data)
    }

    /// The same without what changed earlier.
    pub fn only_after(self, since: Pos) -> Self {
        let after = |pos: Pos| if pos > since { pos } else { Pos::ZERO };
        Self {
            event: after(self.event),
            receipt: after(self.receipt),
            data: after(self.data),
        }
    }
}

/// Where things of the user's own changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserMarks {
    /// Their membership in some room, invites and knocks included.
    pub membership: Pos,
    /// Their account data.
    pub data: Pos,
    /// Their push rules or whom they ignore.
    pub rules: Pos,
    /// A message to one of their devices.
    pub to_device: Pos,
    /// The number of keys of one of their devices.
    pub keys: Pos,
    /// The devices of somebody they share a room with.
    pub device_lists: Pos,
    /// The presence of somebody they share a room with.
    pub presence: Pos,
}

impl UserMarks {
    /// Takes over later marks.
    pub fn merge(&mut self, other: Self) {
        self.membership = self.membership.max(other.membership);
        self.data = self.data.max(other.data);
        self.rules = self.rules.max(other.rules);
        self.to_device = self.to_device.max(other.to_device);
        self.keys = self.keys.max(other.keys);
        self.device_lists = self.device_lists.max(other.device_lists);
        self.presence = self.presence.max(other.presence);
    }

    fn last(&self) -> Pos {
        let Self {
            membership,
            data,
            rules,
            to_device,
            keys,
            device_lists,
            presence,
        } = *self;
        [data, rules, to_device, keys, device_lists, presence]
            .into_iter()
            .fold(membership, Pos::max)
    }
}

/// What has changed for one user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// Things of their own. These may also be marks from before the time that was asked about.
    pub own: UserMarks,
    /// Rooms; only those where something changed after the time that was asked about.
    pub rooms: Vec<(RoomNo, RoomMarks)>,
    /// The marks of these rooms are whole from here on.
    pub reach: Pos,
}

impl Marks {
    /// Whether nothing changed after `since`.
    pub fn is_quiet(&self, since: Pos) -> bool {
        self.own.last() <= since && self.rooms.is_empty()
    }

    /// Adds a mark for a room.
    pub fn mark(&mut self, room: RoomNo, marks: RoomMarks) {
        match self.rooms.iter_mut().find(|(other, _)| *other == room) {
            Some((_, known)) => known.merge(marks),
            None => self.rooms.push((room, marks)),
        }
    }
}

struct Heard {
    /// Everything that changed after this is in `marks`.
    from: Pos,
    marks: Marks,
}

/// One user's bell.
pub struct Bell {
    wake: Arc<Notify>,
    heard: Mutex<Heard>,
    /// Monotonic seconds of the last use.
    used: AtomicU64,
}

impl Bell {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has changed after `since`, as far as the bells have been rung; `None` if the bell does not reach back so far.
    pub fn marks(&self, since: Pos) -> Option<Marks> {
        let heard = self.heard();
        if since < heard.from {
            return None;
        }
        let rooms = heard.marks.rooms.iter();
        let rooms = rooms.filter(|(_, marks)| marks.last() > since).copied();
        Some(Marks {
            own: heard.marks.own,
            rooms: rooms.collect(),
            reach: heard.from,
        })
    }

    /// Puts a mark for a room.
    fn mark(&self, room: RoomNo, marks: RoomMarks) {
        let mut heard = self.heard();
        if heard.marks.rooms.len() >= ROOMS
            && !heard.marks.rooms.iter().any(|(known, _)| *known == room)
        {
            heard.drop_oldest();
        }
        heard.marks.mark(room, marks);
    }

    fn mark_own(&self, marks: UserMarks) {
        self.heard().marks.own.merge(marks);
    }
}

impl Heard {
    fn drop_oldest(&mut self) {
        let mut places: Vec<Pos> = self
            .marks
            .rooms
            .iter()
            .map(|(_, marks)| marks.last())
            .collect();
        places.sort_unstable();
        let Some(middle) = places.get(places.len() / 2).copied() else {
            return;
        };
        self.marks.rooms.retain(|(_, marks)| marks.last() > middle);
        self.from = self.from.max(middle);
    }
}

/// All bells.
pub struct Bells {
    shards: [Mutex<HashMap<UserNo, Arc<Bell>>>; SHARDS],
    hasher: RandomState,
    /// How far the log has been, or is being, rung for.
    ringing: AtomicU64,
    /// How far it has been rung for.
    rung: AtomicU64,
    closed: AtomicBool,
}

/// Somebody who listens: from the moment this exists, no ring is missed.
pub struct Listening {
    bell: Arc<Bell>,
    ring: Pin<Box<OwnedNotified>>,
}

impl Listening {
    /// Waits for the next ring since this exists.
    pub async fn rung(&mut self) {
        self.ring.as_mut().await;
    }

    /// What has changed after `since`: see [`Bell::marks`].
    #[cfg(test)]
    fn marks(&self, since: Pos) -> Option<Marks> {
        self.bell.marks(since)
    }

    /// The bell, to be asked what has changed.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}

impl Bells {
    /// No bells yet; the log is rung for from `head` on.
    pub fn new(head: Pos) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            ringing: AtomicU64::new(head.get()),
            rung: AtomicU64::new(head.get()),
            closed: AtomicBool::new(false),
        }
    }

    /// How far the bells have been rung for.
    pub fn rung(&self) -> Pos {
        Pos::new(self.rung.load(Ordering::SeqCst))
    }

    /// Whether the house is closing and nobody should wait any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Whether there are no bells at all.
    pub fn is_silent(&self) -> bool {
        self.shards.iter().all(|shard| lock(shard).is_empty())
    }

    /// How many bells there are.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Takes a user's bell.
    pub fn listen(&self, user: UserNo, now: Duration) -> Listening {
        let bell = self.bell(user);
        bell.used.store(now.as_secs(), Ordering::Relaxed);
        let mut ring = Box::pin(bell.wake.clone().notified_owned());
        ring.as_mut().enable();
        Listening { bell, ring }
    }

    fn bell(&self, user: UserNo) -> Arc<Bell> {
        if let Some(bell) = lock(self.shard(user)).get(&user) {
            return bell.clone();
        }
        let bell = Arc::new(Bell {
            wake: Arc::new(Notify::new()),
            heard: Mutex::new(Heard {
                from: Pos::MAX,
                marks: Marks::default(),
            }),
            used: AtomicU64::new(0),
        });
        let bell = lock(self.shard(user)).entry(user).or_insert(bell).clone();
        // Whatever is being rung for at this moment may have passed before the bell hung: it counts from behind that.
        let mut heard = bell.heard();
        if heard.from == Pos::MAX {
            heard.from = Pos::new(self.ringing.load(Ordering::SeqCst));
        }
        drop(heard);
        bell
    }

    fn shard(&self, user: UserNo) -> &Mutex<HashMap<UserNo, Arc<Bell>>> {
        let at = usize::try_from(self.hasher.hash_one(user) % SHARDS as u64).unwrap_or_default();
        let [first, ..] = &self.shards;
        self.shards.get(at).unwrap_or(first)
    }

    fn find(&self, user: UserNo) -> Option<Arc<Bell>> {
        lock(self.shard(user)).get(&user).cloned()
    }

    /// Says that changes up to `upto` are about to be rung for.
    pub fn begin(&self, upto: Pos) {
        self.ringing.fetch_max(upto.get(), Ordering::SeqCst);
    }

    /// Says that changes up to `upto` have been rung for, and wakes everybody concerned.
    pub fn finish(&self, upto: Pos, round: Round) {
        self.rung.fetch_max(upto.get(), Ordering::SeqCst);
        for bell in round.bells.into_values().flatten() {
            bell.wake.notify_waiters();
        }
    }

    /// Says that changes up to `upto` could not be rung for: nobody knows what happened before that.
    pub fn lose(&self, upto: Pos) {
        for shard in &self.shards {
            for bell in lock(shard).values() {
                let mut heard = bell.heard();
                heard.from = heard.from.max(upto);
                bell.wake.notify_waiters();
            }
        }
        self.rung.fetch_max(upto.get(), Ordering::SeqCst);
    }

    /// Wakes some users for what is not in the log, typing.
    pub fn nudge(&self, users: impl IntoIterator<Item = UserNo>) {
        for bell in users.into_iter().filter_map(|user| self.find(user)) {
            bell.wake.notify_waiters();
        }
    }

    /// Takes down the bells that nobody has used for a while.
    pub fn sweep(&self, now: Duration) {
        let oldest = now.saturating_sub(KEPT).as_secs();
        for shard in &self.shards {
            // Two owners: this map, and the one who waits.
            lock(shard).retain(|_, bell| {
                Arc::strong_count(bell) > 1 || bell.used.load(Ordering::Relaxed) >= oldest
            });
        }
    }

    /// Wakes everybody, for good.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for shard in &self.shards {
            for bell in lock(shard).values() {
                bell.wake.notify_waiters();
            }
        }
    }
}

/// The bells touched while a batch of changes is gone through: each is looked up once and rung once.
#[derive(Default)]
pub struct Round {
    bells: HashMap<UserNo, Option<Arc<Bell>>>,
}

impl Round {
    /// Marks a room for a user, if they have a bell.
    pub fn mark(&mut self, bells: &Bells, user: UserNo, room: RoomNo, marks: RoomMarks) {
        if let Some(bell) = self.bell(bells, user) {
            bell.mark(room, marks);
        }
    }

    /// Marks something of a user's own, if they have a bell.
    pub fn mark_own(&mut self, bells: &Bells, user: UserNo, marks: UserMarks) {
        if let Some(bell) = self.bell(bells, user) {
            bell.mark_own(marks);
        }
    }

    fn bell(&mut self, bells: &Bells, user: UserNo) -> Option<&Arc<Bell>> {
        self.bells
            .entry(user)
            .or_insert_with(|| bells.find(user))
            .as_ref()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: UserNo = UserNo::new(1);
    const BOB: UserNo = UserNo::new(2);

    fn event(at: u64) -> RoomMarks {
        RoomMarks {
            event: Pos::new(at),
            ..RoomMarks::default()
        }
    }

    fn ring(bells: &Bells, user: UserNo, room: u64, at: u64) {
        let mut round = Round::default();
        bells.begin(Pos::new(at));
        round.mark(bells, user, RoomNo::new(room), event(at));
        bells.finish(Pos::new(at), round);
    }

    fn rooms(marks: &Marks) -> Vec<u64> {
        marks.rooms.iter().map(|(room, _)| room.get()).collect()
    }

    #[tokio::test]
    async fn a_ring_between_listening_and_waiting_is_heard() {
        let bells = Bells::new(Pos::new(10));
        let mut alice = bells.listen(ALICE, Duration::ZERO);
        ring(&bells, ALICE, 7, 11);
        alice.rung().await;
        assert_eq!(rooms(&alice.marks(Pos::new(10)).unwrap()), [7]);
        assert!(alice.marks(Pos::new(11)).unwrap().is_quiet(Pos::new(11)));
    }

    #[tokio::test]
    async fn a_bell_knows_how_far_back_it_reaches() {
        let bells = Bells::new(Pos::new(10));
        ring(&bells, ALICE, 7, 11);
        let alice = bells.listen(ALICE, Duration::ZERO);
        assert_eq!(
            alice.marks(Pos::new(10)),
            None,
            "the ring came before the bell"
        );
        assert!(alice.marks(Pos::new(11)).is_some());
        for room in 0..200 {
            ring(&bells, ALICE, room, 12 + room);
        }
        assert_eq!(
            alice.marks(Pos::new(11)),
            None,
            "more rooms than a bell remembers"
        );
        let late = alice.marks(Pos::new(205)).unwrap();
        assert_eq!(rooms(&late), [194, 195, 196, 197, 198, 199]);
    }

    #[tokio::test]
    async fn others_are_not_woken_and_unused_bells_are_taken_down() {
        let bells = Bells::new(Pos::ZERO);
        let mut bob = bells.listen(BOB, Duration::ZERO);
        drop(bells.listen(ALICE, Duration::ZERO));
        ring(&bells, ALICE, 1, 1);
        let woken = tokio::time::timeout(Duration::ZERO, bob.rung()).await;
        assert!(woken.is_err());
        bells.sweep(KEPT * 2);
        assert_eq!(bells.count(), 1, "only the one who waits is left");
        bells.close();
        bob.rung().await;
        assert!(bells.is_closed());
    }
}
